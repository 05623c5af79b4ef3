/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/*
 * /proc/PID/fd of a process that has gone counts what is not there (fs/proc/fd.c:
 * proc_fd_getattr(): ENOENT).  The directory above it is as good.
 */
static int stat_it(const struct dtask *t, const char *name, struct stat *ret)
{
	char above[40];

	if (fstatat(t->proc.dir, name, ret, 0) == 0)
		return 0;
	snprintf(above, sizeof(above), "%s/..", name);
	if (errno != ENOENT || fstatat(t->proc.dir, above, ret, 0) < 0)
		return err_errno("stat /proc/%d/%s", t->proc.pid, name);
	return 0;
}

int fd_view_read(const struct dtask *t, int tfd, struct fd_view *ret)
{
	CLEANUP(fd_view_clear) struct fd_view v = {.task = t, .tfd = tfd};
	char name[32];
	int r;

	snprintf(name, sizeof(name), "fd/%d", tfd);
	r = proc_link(t->proc.dir, name, &v.link);
	if (r < 0)
		return r;
	r = stat_it(t, name, &v.st);
	if (r < 0)
		return r;
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

struct path_view fd_view_named(const struct fd_view *v, char reopen[static 64])
{
	fd_view_path(v, reopen);
	return (struct path_view){.link = v->link,
				  .st = v->st,
				  .reopen = reopen,
				  .flags = v->info.flags & ~(unsigned)O_CLOEXEC,
				  .mnt_id = v->info.mnt_id};
}

int fd_dump_named(struct dump *d, const struct fd_view *v, const struct path_view *p, uint32_t id,
		  RegFileEntry **ret)
{
	int r = path_dump(d, p, id, ret);

	if (r < 0)
		return r;
	fown_entry__free_unpacked((*ret)->fown, NULL);
	(*ret)->fown = NULL;
	return fown_dump(v, &(*ret)->fown);
}

int fd_view_get(const struct fd_view *v, int *ret_fd)
{
	return proc_getfd(&v->task->proc, v->tfd, ret_fd);
}
