/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues (mq_overview(7)) are files of a file system that belongs to the IPC
 * namespace: what is in it ends with the namespace.  They are refused by name, open or not.
 */
#include "state/ns/ns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int check_mount(struct dump *d, const char *target)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, d->root, target, &how, sizeof(how)), r = 0;
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", target);
	dir = fdopendir(fd);
	if (!dir) {
		r = err_errno("read %s", target);
		close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = dump_refuse(d, err_set(EOPNOTSUPP,
						   "%s/%s: POSIX message queues cannot be saved; "
						   "end who uses it and remove it",
						   target, e->d_name));
	closedir(dir);
	return r;
}

int mqueue_check(struct dump *d)
{
	bool own;
	int r = ipc_is_own(d, &own);

	for (size_t i = 0; r == 0 && own && i < d->mounts.n; i++)
		if (strcmp(d->mounts.v[i].fstype, "mqueue") == 0)
			r = check_mount(d, d->mounts.v[i].target);
	return r;
}
