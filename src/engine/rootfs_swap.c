/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going back to a root file system of before:
 *
 *	diff.swap	a copy that is being made; junk when nobody is at work
 *	diff.undo	what the container had; it is what counts until rootfs_swap_commit()
 *	diff.drop	the same after that: on its way out
 */
#include "base/file.h"
#include "base/treesync.h"
#include "engine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_own(struct engine *e, const char *id, int *ret)
{
	g_autofree char *path = g_build_filename(e->root, "overlay", id, NULL);

	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

static int copy(int own, int from)
{
	CLEANUP(treesync_free) struct treesync *s = NULL;
	autoclose int to = -1;
	int r = file_remove_tree_at(own, "diff.swap");

	if (r == 0 && mkdirat(own, "diff.swap", 0700) < 0)
		r = err_errno("create directory diff.swap");
	if (r < 0)
		return r;
	to = openat(own, "diff.swap", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_errno("open diff.swap");
	s = treesync_new(from, to);
	return treesync_pass(s);
}

int rootfs_swap(struct engine *e, const char *id, int from)
{
	autoclose int own = -1;
	int r = open_own(e, id, &own);

	if (r == 0)
		r = rootfs_swap_recover(e, id, own);
	if (r == 0)
		r = file_remove_tree_at(own, "diff.drop");
	if (r == 0)
		r = copy(own, from);
	if (r == 0)
		r = rootfs_umount(e, id);
	if (r < 0)
		return err_wrap(r, "go back to the root file system of the checkpoint");
	g_strlcpy(e->swapping, id, sizeof(e->swapping));
	if (renameat(own, "diff", own, "diff.undo") < 0 && errno != ENOENT)
		return err_errno("put the root file system aside");
	if (renameat(own, "diff.swap", own, "diff") < 0)
		return err_errno("put the root file system in place");
	return 0;
}

int rootfs_swap_recover(struct engine *e, const char *id, int own)
{
	int r;

	if (!strcmp(e->swapping, id) || faccessat(own, "diff.undo", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	r = file_remove_tree_at(own, "diff");
	if (r == 0 && renameat(own, "diff.undo", own, "diff") < 0)
		r = err_errno("put the root file system back");
	return r;
}

int rootfs_swap_undo(struct engine *e, const char *id)
{
	autoclose int own = -1;
	int r = rootfs_umount(e, id);

	if (r == 0)
		r = open_own(e, id, &own);
	if (r < 0)
		return r;
	if (renameat(own, "diff.drop", own, "diff.undo") < 0 && errno != ENOENT)
		return err_errno("put the root file system back");
	*e->swapping = 0;
	return rootfs_swap_recover(e, id, own);
}

int rootfs_swap_commit(struct engine *e, const char *id)
{
	autoclose int own = -1;
	int r = open_own(e, id, &own);

	if (r == 0 && renameat(own, "diff.undo", own, "diff.drop") < 0 && errno != ENOENT)
		r = err_errno("drop the root file system of before");
	return r;
}

int rootfs_swap_done(struct engine *e, const char *id)
{
	autoclose int own = -1;
	int r = open_own(e, id, &own);

	*e->swapping = 0;
	return r < 0 ? r : file_remove_tree_at(own, "diff.drop");
}
