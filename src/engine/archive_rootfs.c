/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_rootfs.h"
#include "base/file.h"
#include "engine/archive_out.h"
#include "engine/layer.h"
#include "engine/layer_tree.h"
#include "engine/rootfs.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LAYERS_MAX 500 /* OVL_MAX_STACK, fs/overlayfs/params.h */
#define DEPTH_MAX  256

struct lower {
	int fds[LAYERS_MAX]; /* topmost first */
	unsigned n;
};

static void lower_close(struct lower *l)
{
	while (l->n > 0)
		close(l->fds[--l->n]);
}

static int lower_open(struct archive_in *in, struct lower *l)
{
	unsigned n = in->image.layers ? g_strv_length(in->image.layers) : 0;

	while (n-- > 0 && l->n < LAYERS_MAX) {
		g_autofree char *path = rootfs_diff_path(in->e, in->image.layers[n]);
		int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return err_errno("open layer %s", path);
		l->fds[l->n++] = fd;
	}
	return 0;
}

static int open_diff(struct archive_in *in, int *ret)
{
	if ((mkdirat(in->dir, "rootfs", 0700) < 0 && errno != EEXIST) ||
	    (mkdirat(in->dir, "rootfs/diff", 0755) < 0 && errno != EEXIST))
		return err_errno("create rootfs");
	*ret = openat(in->dir, "rootfs/diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open rootfs/diff") : 0;
}

int archive_rootfs_unpack(struct archive_in *in, struct unpack *u)
{
	CLEANUP(lower_close) struct lower l = {.n = 0};
	autoclose int diff = -1;
	int r;

	if (in->has_rootfs)
		return err_set(EEXIST, "member " ARCHIVE_ROOTFS ": twice in the archive");
	in->has_rootfs = true;
	r = lower_open(in, &l);
	if (r == 0)
		r = open_diff(in, &diff);
	return r < 0 ? r : unpack_to_tree(u, diff, l.fds, l.n);
}

/* It came before the documents. */
static int unpack_late(struct archive_in *in, const struct lower *l)
{
	autoclose int fd = openat(in->dir, ARCHIVE_ROOTFS, O_RDONLY | O_CLOEXEC), diff = -1;
	struct layer_result unused;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open " ARCHIVE_ROOTFS);
	in->has_rootfs = true;
	r = open_diff(in, &diff);
	if (r == 0)
		r = layer_unpack(
			&(struct layer_stream){
				.fd = fd, .copy_fd = -1, .plain = true, .limits = LAYER_LIMITS},
			diff, l->fds, l->n, &unused);
	return r < 0 ? err_wrap(r, "member " ARCHIVE_ROOTFS) : 0;
}

/* overlayfs hides what a device 0:0 stands for.  Nothing below: there is nothing to be hidden. */
static int put_whiteout(struct layer_tree *t, const struct lower *l, const char *path)
{
	struct timespec times[2];
	struct stat below, parent;
	const char *base;
	int dir, r = overlay_lookup(l->fds, l->n, path, &below, NULL);

	if (r < 0)
		return r;
	if (r > 0)
		r = layer_tree_parent(t, path, true, &dir, &base);
	else
		r = layer_tree_parent(t, path, false, &dir, &base) < 0 ? -ENOENT : 2;
	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	if (fstat(dir, &parent) < 0)
		return err_errno("look at the directory of %s", path);
	if (unlinkat(dir, base, 0) < 0 && errno == EISDIR)
		r = file_remove_tree_at(dir, base) < 0 ? -EIO : r;
	if (r == 2)
		return 0;
	if (r < 0)
		return r;
	if (mknodat(dir, base, S_IFCHR, makedev(0, 0)) < 0)
		return err_errno("delete %s", path);
	/* The directory has got its times from the archive. */
	times[0] = parent.st_atim;
	times[1] = parent.st_mtim;
	return utimensat(dir, ".", times, 0) < 0
		       ? err_errno("set times of the directory of %s", path)
		       : 0;
}

static int delete_all(struct archive_in *in, const struct lower *l, int diff)
{
	CLEANUP(layer_tree_clear)
	struct layer_tree t = LAYER_TREE(.root = diff, .parents = l->fds, .nparents = l->n,
					 .depth_max = DEPTH_MAX);
	json_t *value;
	size_t i;

	if (!json_is_array(in->deleted))
		return err_set(EBADMSG, "member " ARCHIVE_DELETED ": not a list");
	json_array_foreach(in->deleted, i, value)
	{
		g_autofree char *path = NULL;
		int r;

		if (!json_is_string(value))
			return err_set(EBADMSG, "member " ARCHIVE_DELETED ": not a list of paths");
		r = layer_tree_clean(&t, json_string_value(value), &path);
		if (r == 0 && !*path)
			r = err_set(EBADMSG, "\"%s\" is not a file", json_string_value(value));
		if (r == 0)
			r = put_whiteout(&t, l, path);
		layer_tree_forget(&t);
		if (r < 0)
			return err_wrap(r, "member " ARCHIVE_DELETED);
	}
	return 0;
}

int archive_rootfs_finish(struct archive_in *in)
{
	CLEANUP(lower_close) struct lower l = {.n = 0};
	autoclose int diff = -1, below = -1;
	struct stat st;
	int r = lower_open(in, &l);

	if (r == 0)
		r = unpack_late(in, &l);
	if (r < 0 || !in->deleted || json_is_null(in->deleted))
		return r;
	r = open_diff(in, &diff);
	if (r == 0 && !in->has_rootfs) {
		r = overlay_lookup(l.fds, l.n, "", &st, &below);
		if (r > 0)
			r = overlay_copy_attributes(below, &st, diff, ".");
	}
	in->has_rootfs = true;
	return r < 0 ? r : delete_all(in, &l, diff);
}
