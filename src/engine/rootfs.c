/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rootfs.h"
#include "base/file.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char *own_path(struct engine *e, const char *id, const char *what)
{
	return g_build_filename(e->root, "overlay", id, what, NULL);
}

char *rootfs_path(struct engine *e, const char *id)
{
	return own_path(e, id, "merged");
}

char *rootfs_diff_path(struct engine *e, const char *id)
{
	return own_path(e, id, "diff");
}

char *rootfs_mountpoint(struct engine *e, const char *id)
{
	g_autofree char *path = rootfs_path(e, id);
	int r = mount_is_mount(path);

	if (r > 0)
		return g_steal_pointer(&path);
	if (r < 0)
		err_clear(); /* not even the directory is there */
	return NULL;
}

static int make_dir(int dir, const char *name, mode_t mode)
{
	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return err_errno("create directory %s", name);
	return 0;
}

/*
 * What overlayfs shows as "/" has the attributes of the uppermost directory, so that one starts
 * with those of the image.  It gets its name when it has them.
 */
static int make_diff(int own, const char *top_layer)
{
	struct stat st;
	int r;

	if (faccessat(own, "diff", F_OK, 0) == 0)
		return 0;
	if (stat(top_layer, &st) < 0)
		return err_errno("look up the image's layer %s", top_layer);
	r = make_dir(own, "diff.new", 0755);
	if (r < 0)
		return r;
	if (fchownat(own, "diff.new", st.st_uid, st.st_gid, 0) < 0 ||
	    fchmodat(own, "diff.new", st.st_mode & 07777, 0) < 0 ||
	    renameat(own, "diff.new", own, "diff") < 0)
		return err_errno("create directory diff");
	return 0;
}

static int make_dirs(struct engine *e, const char *id, const char *top_layer)
{
	g_autofree char *path = g_build_filename(e->root, "overlay", id, NULL);
	autoclose int own = -1;
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return r;
	own = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return err_errno("open %s", path);
	r = rootfs_swap_recover(e, id, own);
	if (r == 0)
		r = make_diff(own, top_layer);
	if (r == 0)
		r = make_dir(own, "work", 0700);
	return r < 0 ? r : make_dir(own, "merged", 0700);
}

/* Topmost first, as the mount wants them. */
static char **lower_paths(struct engine *e, char *const *layers)
{
	unsigned n = g_strv_length((char **)layers);
	char **paths = g_new0(char *, n + 1);

	for (unsigned i = 0; i < n; i++)
		paths[i] = own_path(e, layers[n - 1 - i], "diff");
	return paths;
}

int rootfs_mount(struct engine *e, const char *id, char *const *layers, char **ret)
{
	/* The changes must make sense without the layers: they are copied into checkpoints. */
	static const struct mount_param params[] = {
		{"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "off"}, {NULL, NULL}};
	g_auto(GStrv) lower = lower_paths(e, layers);
	g_autofree char *path = rootfs_path(e, id), *upper = NULL, *work = NULL;
	autoclose int mnt = -1;
	int r;

	if (!lower[0])
		return err_set(EINVAL, "the image has no layers");
	r = make_dirs(e, id, lower[0]);
	if (r == 0)
		r = mount_is_mount(path);
	if (r == 0) {
		upper = rootfs_diff_path(e, id);
		work = own_path(e, id, "work");
		r = mount_make_overlay(&(struct mount_overlay){.lower = (const char *const *)lower,
							       .nlower = g_strv_length(lower),
							       .upper = upper,
							       .work = work,
							       .params = params},
				       &mnt);
		if (r == 0)
			r = mount_attach(mnt, AT_FDCWD, path);
	}
	if (r < 0)
		return err_wrap(r, "mount the root file system");
	if (ret)
		*ret = g_steal_pointer(&path);
	return 0;
}

int rootfs_umount(struct engine *e, const char *id)
{
	g_autofree char *path = rootfs_path(e, id);

	return mount_detach_later(path);
}

int rootfs_remove(struct engine *e, const char *id)
{
	g_autofree char *path = g_build_filename(e->root, "overlay", id, NULL);
	int r = rootfs_umount(e, id);

	return r < 0 ? r : file_remove_tree_at(AT_FDCWD, path);
}
