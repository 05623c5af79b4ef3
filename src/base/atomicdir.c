/* SPDX-License-Identifier: Apache-2.0 */
#include "base/atomicdir.h"
#include "base/discard.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int remove_leftovers(int parent, const char *name)
{
	g_autofree char *prefix = g_strdup_printf("%s.new-", name);
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return err_errno("read directory");
	}
	while (r == 0 && (e = readdir(d)))
		if (g_str_has_prefix(e->d_name, prefix))
			r = file_remove_tree_at(parent, e->d_name);
	closedir(d);
	return r;
}

int atomicdir_begin(struct atomicdir *d, int parent, const char *name)
{
	int r = remove_leftovers(parent, name);

	if (r < 0)
		return err_wrap(r, "%s", name);
	*d = ATOMICDIR_NONE;
	d->parent = fd_dup_above(parent, 3);
	if (d->parent < 0)
		return d->parent;
	g_strlcpy(d->name, name, sizeof(d->name));
	snprintf(d->aside, sizeof(d->aside), "%s.new-%d", name, getpid());
	if (mkdirat(d->parent, d->aside, 0700) < 0)
		return err_errno("create %s", d->aside);
	d->fd = openat(d->parent, d->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return d->fd < 0 ? err_errno("open %s", d->aside) : 0;
}

int atomicdir_also(struct atomicdir *d, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", name);
	if (d->nalso == ARRAY_SIZE(d->also)) {
		close(fd);
		return err_set(E2BIG, "%s: too many files beside %s", name, d->name);
	}
	d->also[d->nalso++] = fd;
	return 0;
}

/*
 * syncfs(2) waits for everybody's data, fsync(2) only for ours but once per file: the former is
 * taken only for directories of very many files.  Few are open at a time.
 */
#define SYNC_AT_ONCE	64
#define SYNC_ONE_BY_ONE 4096

struct open_files {
	int fds[SYNC_AT_ONCE];
	const char *names[SYNC_AT_ONCE]; /* owned or NULL */
	unsigned n, total;
};

static void open_files_clear(struct open_files *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		close(o->fds[i]);
		g_free((char *)o->names[i]);
	}
	o->n = 0;
}

static int flush(struct open_files *o)
{
	int r = sync_files(o->fds, o->names, o->n);

	open_files_clear(o);
	return r;
}

static int add_file(struct open_files *o, int fd, const char *name)
{
	if (fd < 0)
		return err_errno("open %s", name);
	o->names[o->n] = g_strdup(name);
	o->fds[o->n++] = fd;
	o->total++;
	return o->n == SYNC_AT_ONCE ? flush(o) : 0;
}

static int sync_entries(struct atomicdir *d, struct open_files *o)
{
	int copy = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return err_errno("read directory");
	}
	while (r == 0 && o->total <= SYNC_ONE_BY_ONE && (e = readdir(dir)))
		if (e->d_type == DT_REG)
			r = add_file(o, openat(d->fd, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC),
				     e->d_name);
	closedir(dir);
	return r;
}

static int sync_all(struct atomicdir *d)
{
	CLEANUP(open_files_clear) struct open_files o = {.n = 0};
	int r = sync_entries(d, &o);

	if (r == 0 && o.total > SYNC_ONE_BY_ONE && syncfs(d->fd) < 0)
		return err_errno("sync");
	if (r == 0)
		r = add_file(&o, openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), d->name);
	while (r == 0 && d->nalso > 0)
		r = add_file(&o, d->also[--d->nalso], NULL);
	return r < 0 ? r : flush(&o);
}

int atomicdir_commit(struct atomicdir *d)
{
	int r = sync_all(d);

	if (r < 0)
		return err_wrap(r, "%s", d->name);
	/* The exchange keeps a complete directory under NAME at every instant. */
	if (renameat2(d->parent, d->aside, d->parent, d->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return err_errno("rename %s", d->name);
		if (renameat2(d->parent, d->aside, d->parent, d->name, RENAME_EXCHANGE) < 0)
			return err_errno("rename %s", d->name);
		if (discard_at(d->parent, d->aside) < 0)
			err_clear(); /* the next atomicdir_begin() tries again */
	}
	d->aside[0] = 0;
	if (fsync(d->parent) < 0)
		return err_errno("sync the parent of %s", d->name);
	atomicdir_drop(d);
	return 0;
}

void atomicdir_drop(struct atomicdir *d)
{
	ERR_KEEP;

	if (d->aside[0] && file_remove_tree_at(d->parent, d->aside) < 0)
		err_clear(); /* the next atomicdir_begin() tries again */
	while (d->nalso > 0)
		close(d->also[--d->nalso]);
	if (d->fd >= 0)
		close(d->fd);
	if (d->parent >= 0)
		close(d->parent);
	*d = ATOMICDIR_NONE;
}
