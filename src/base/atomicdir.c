/* SPDX-License-Identifier: Apache-2.0 */
#include "base/atomicdir.h"
#include "base/fd.h"
#include "base/file.h"

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

/*
 * syncfs(2) waits for everybody's data, fsync(2) only for ours but once per file: the former is
 * taken only for directories of very many files.
 */
#define SYNC_ONE_BY_ONE 1024

static int each_file(int dir, const struct dirent *e, bool wait)
{
	autoclose int fd = -1;

	if (e->d_type != DT_REG)
		return 0;
	fd = openat(dir, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", e->d_name);
	if (!wait) {
		/* A hint only: all files' data is on its way before the first fsync(2) waits. */
		(void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		return 0;
	}
	return fsync(fd) < 0 ? err_errno("sync %s", e->d_name) : 0;
}

/* Returns how many entries there were. */
static int sync_files(int dir, bool wait)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0, r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return err_errno("read directory");
	}
	while (r == 0 && n <= SYNC_ONE_BY_ONE && (e = readdir(d))) {
		r = each_file(dir, e, wait);
		n++;
	}
	closedir(d);
	return r < 0 ? r : n;
}

static int sync_all(struct atomicdir *d)
{
	int n = sync_files(d->fd, false);

	if (n < 0)
		return n;
	if (n > SYNC_ONE_BY_ONE)
		return syncfs(d->fd) < 0 ? err_errno("sync") : 0;
	n = sync_files(d->fd, true);
	if (n < 0)
		return n;
	return fsync(d->fd) < 0 ? err_errno("sync") : 0;
}

int atomicdir_commit(struct atomicdir *d)
{
	g_autofree char *old = g_strdup_printf("%s.new-old", d->name);
	int r = sync_all(d);

	if (r < 0)
		return err_wrap(r, "%s", d->name);
	/* The exchange keeps a complete directory under NAME at every instant. */
	if (renameat2(d->parent, d->aside, d->parent, d->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return err_errno("rename %s", d->name);
		if (renameat2(d->parent, d->aside, d->parent, d->name, RENAME_EXCHANGE) < 0)
			return err_errno("rename %s", d->name);
		if (renameat(d->parent, d->aside, d->parent, old) == 0)
			g_strlcpy(d->aside, old, sizeof(d->aside));
	} else {
		d->aside[0] = 0;
	}
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
	if (d->fd >= 0)
		close(d->fd);
	if (d->parent >= 0)
		close(d->parent);
	*d = ATOMICDIR_NONE;
}
