/* SPDX-License-Identifier: Apache-2.0 */
/* Going into a user namespace. */
#pragma once

#include "cr.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

static int poke(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	r = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return r;
}

/* New ones of the caller's, with maps that a child from before writes. */
__attribute__((unused)) static void enter(int flags, const char *uids, const char *gids,
					  const char *setgroups)
{
	int go[2];
	char c, path[64];
	pid_t writer, me = getpid();

	check(pipe(go) == 0);
	writer = fork();
	if (writer == 0) {
		close(go[1]);
		check(read(go[0], &c, 1) == 1);
		snprintf(path, sizeof(path), "/proc/%d/uid_map", me);
		check(!uids || poke(path, uids) == 0, "errno %d", errno);
		snprintf(path, sizeof(path), "/proc/%d/setgroups", me);
		check(!setgroups || poke(path, setgroups) == 0, "errno %d", errno);
		snprintf(path, sizeof(path), "/proc/%d/gid_map", me);
		check(!gids || poke(path, gids) == 0, "errno %d", errno);
		_exit(0);
	}
	check(unshare(CLONE_NEWUSER | flags) == 0, "errno %d", errno);
	check(write(go[1], "g", 1) == 1 && waitpid(writer, NULL, 0) == writer);
	close(go[0]);
	close(go[1]);
}

/* The user namespace that the namespace PATH belongs to, by its inode. */
__attribute__((unused)) static uint64_t owner_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), owner = ioctl(fd, NS_GET_USERNS);
	struct stat st = {0};

	fstat(owner, &st);
	close(owner);
	close(fd);
	return st.st_ino;
}
