/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box is there already: the root file system is changed through its mount, as the container
 * itself would do it, and never below it.
 */
#include "engine/migrate_parts.h"

#include "base/dir.h"
#include "base/file.h"
#include "engine/archive_out.h"
#include "engine/mounts.h"
#include "engine/rootfs.h"
#include "engine/unpack.h"
#include "engine/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GONE_MAX ((size_t)256 << 20)
#define LOG_MAX	 (UINT64_C(64) << 30)

static int open_volume(struct engine *e, struct container *c, const char *name, int *ret)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &all);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < all.n; i++) {
		g_autofree char *its = NULL, *path = NULL;

		if (all.v[i].type != USER_MOUNT_VOLUME)
			continue;
		its = volume_name_of(&all.v[i]);
		if (strcmp(its, name) != 0)
			continue;
		path = volume_path(e, c, &all.v[i], VOLUME_DATA);
		*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret < 0 ? err_errno("open %s", path) : 0;
	}
	return err_set(EBADMSG, "volume %s is not one of %s", name, c->name);
}

static int open_tree(struct engine *e, struct container *c, const char *name, int *ret)
{
	g_autofree char *path = NULL;

	if (g_str_has_prefix(name, ARCHIVE_VOLUMES "/"))
		return open_volume(e, c, name + strlen(ARCHIVE_VOLUMES "/"), ret);
	path = rootfs_mountpoint(e, c->id);
	*ret = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return *ret < 0 ? err_errno("open the root file system of %s", c->name) : 0;
}

static int remove_one(int root, const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path), *base = g_path_get_basename(path);
	autoclose int dir = -1;

	if (!*path || !strcmp(base, "..") || !strcmp(base, ".") || !strcmp(base, "/"))
		return err_set(EBADMSG, "\"%s\" cannot go", path);
	dir = dir_open_beneath(root, parent, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : err_errno("open %s", parent);
	return file_remove_tree_at(dir, base);
}

static int remove_gone(struct unpack *u, int root)
{
	g_autofree char *all = NULL;
	size_t len = 0;
	int r = unpack_to_bytes(u, GONE_MAX, &all, &len);

	for (const char *p = all; r == 0 && p < all + len; p += strlen(p) + 1)
		r = remove_one(root, p);
	return r;
}

static int copy_log(int scratch, int log)
{
	g_autofree char *buf = g_malloc(65536);
	ssize_t n;

	while ((n = read(scratch, buf, 65536)) > 0)
		if (write(log, buf, (size_t)n) != n)
			return err_errno("write the log");
	return n < 0 ? err_errno("read the log") : 0;
}

/* conmon has it open for appending, and nothing is printed yet. */
static int take_log(struct engine *e, struct container *c, struct unpack *u,
		    const struct unpack_member *m, const char *from)
{
	g_autofree char *path = container_log_path(e, c);
	autoclose int dir = -1, part = -1, log = -1;
	g_autofree char *run = container_run_dir(e, c);
	char *end;
	uint64_t at = strtoull(from, &end, 10);
	int r;

	if (!*from || *end || m->bytes > LOG_MAX || !path)
		return err_set(EBADMSG, "member %s", m->name);
	dir = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", run);
	r = unpack_to_file(u, dir, "log.part");
	if (r < 0)
		return r;
	part = openat(dir, "log.part", O_RDONLY | O_CLOEXEC);
	unlinkat(dir, "log.part", 0);
	log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (part < 0 || log < 0)
		return err_errno("open %s", path);
	if (ftruncate(log, (off_t)at) < 0)
		return err_errno("write %s", path);
	return copy_log(part, log);
}

int files_in_member(struct engine *e, struct container *c, struct unpack *u,
		    const struct unpack_member *m)
{
	g_autofree char *name = NULL;
	autoclose int root = -1;
	bool gone = g_str_has_suffix(m->name, ".gone"), tar = g_str_has_suffix(m->name, ".tar");
	int r;

	if (!S_ISREG(m->type))
		return 0;
	if (g_str_has_prefix(m->name, "log.")) {
		r = take_log(e, c, u, m, m->name + strlen("log."));
		return r < 0 ? r : 1;
	}
	if ((!gone && !tar) || !(g_str_has_prefix(m->name, "rootfs.") ||
				 g_str_has_prefix(m->name, ARCHIVE_VOLUMES "/")))
		return 0;
	name = g_strndup(m->name, strlen(m->name) - strlen(gone ? ".gone" : ".tar"));
	r = open_tree(e, c, name, &root);
	if (r == 0)
		r = gone ? remove_gone(u, root) : unpack_to_tree(u, root, NULL, 0);
	return r < 0 ? r : 1;
}
