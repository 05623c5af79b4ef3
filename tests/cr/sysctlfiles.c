/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below /proc/sys that are those of a namespace, of the first one and of one inside, where
 * those of the first one are open as well.
 */
#include "cr.h"

#include <sched.h>

static const char *const names[] = {
	"/proc/sys/fs/mqueue/queues_max",    "/proc/sys/kernel/shmmni",
	"/proc/sys/kernel/hostname",	     "/proc/sys/net/core/somaxconn",
	"/proc/sys/net/ipv4/ip_default_ttl",
};

static void open_all(int *fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		fds[i] = open(names[i], (i & 1 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		check(fds[i] >= 0, "%s: errno %d", names[i], errno);
	}
}

static void same_all(const int *fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct stat mine, now;

		check(fstat(fds[i], &mine) == 0 && stat(names[i], &now) == 0, "%s", names[i]);
		check(mine.st_ino == now.st_ino && mine.st_dev == now.st_dev,
		      "%s is another namespace's", names[i]);
		check((fcntl(fds[i], F_GETFL) & O_ACCMODE) == (i & 1 ? O_RDWR : O_RDONLY));
	}
}

static void set(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: errno %d",
	      name, errno);
	close(fd);
}

static void inside(int in, int out, const int *first)
{
	struct stat a, b;
	int fds[ARRAY_SIZE(names)];
	char c, text[16] = "";

	check(unshare(CLONE_NEWNET | CLONE_NEWUTS) == 0, "errno %d", errno);
	set("/proc/sys/net/core/somaxconn", "777");
	open_all(fds);
	check(write(out, "r", 1) == 1 && read(in, &c, 1) == 1);
	same_all(fds);
	check(fstat(first[3], &a) == 0 && fstat(fds[3], &b) == 0 && a.st_ino != b.st_ino);
	check(pread(fds[3], text, sizeof(text), 0) == 4 && strcmp(text, "777\n") == 0, "%s", text);
	check(pwrite(fds[3], "778", 3, 0) == 3, "errno %d", errno);
	_exit(0);
}

int main(void)
{
	int fds[ARRAY_SIZE(names)], to[2], from[2], status;
	char c, text[16] = "";
	pid_t pid;

	set("/proc/sys/kernel/shmmni", "99");
	open_all(fds);
	check(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0)
		inside(to[0], from[1], fds);
	check(read(from[0], &c, 1) == 1);
	ready();
	same_all(fds);
	check(pread(fds[1], text, sizeof(text), 0) == 3 && strcmp(text, "99\n") == 0, "%s", text);
	check(pwrite(fds[1], "98", 2, 0) == 2, "errno %d", errno);
	check(write(to[1], "v", 1) == 1);
	check(waitpid(pid, &status, 0) == pid && status == 0, "status %x", status);
	return ok();
}
