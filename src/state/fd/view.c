/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int fd_view_read(const struct dtask *t, int tfd, struct fd_view *ret)
{
	CLEANUP(fd_view_clear) struct fd_view v = {.task = t, .tfd = tfd};
	char name[32];
	int r;

	snprintf(name, sizeof(name), "fd/%d", tfd);
	r = proc_link(t->proc.dir, name, &v.link);
	if (r < 0)
		return r;
	if (fstatat(t->proc.dir, name, &v.st, 0) < 0)
		return err_errno("stat /proc/%d/%s", t->proc.pid, name);
	r = fdinfo_read(t->proc.dir, tfd, &v.info);
	if (r < 0)
		return r;
	*ret = v;
	v = (struct fd_view){0};
	return 0;
}

void fd_view_clear(struct fd_view *v)
{
	g_clear_pointer(&v->link, g_free);
	fdinfo_clear(&v->info);
}

void fd_view_path(const struct fd_view *v, char ret[static 64])
{
	snprintf(ret, 64, "/proc/%d/fd/%d", v->task->proc.pid, v->tfd);
}

int fd_view_get(const struct fd_view *v, int *ret_fd)
{
	return proc_getfd(&v->task->proc, v->tfd, ret_fd);
}
