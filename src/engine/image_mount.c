/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `image mount`: ROOT/overlay-images/ID/merged.  overlayfs wants two directories at least when
 * there is none to write to, so an empty one lies below the image's layers.
 */
#include "base/file.h"
#include "engine/image.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>

static char *own_path(struct engine *e, const struct image *img, const char *what)
{
	return g_build_filename(e->root, "overlay-images", img->id, what, NULL);
}

char *image_mountpoint(struct engine *e, const struct image *img)
{
	g_autofree char *path = own_path(e, img, "merged");
	int r = mount_is_mount(path);

	if (r > 0)
		return g_steal_pointer(&path);
	if (r < 0)
		err_clear(); /* not even the directory is there */
	return NULL;
}

int image_mount(struct engine *e, const struct image *img, char **ret_path)
{
	unsigned n = g_strv_length(img->layers);
	g_auto(GStrv) lower = g_new0(char *, n + 2);
	g_autofree char *path = own_path(e, img, "merged");
	autoclose int mnt = -1;
	int r;

	for (unsigned i = 0; i < n; i++)
		lower[i] =
			g_build_filename(e->root, "overlay", img->layers[n - 1 - i], "diff", NULL);
	lower[n] = own_path(e, img, "empty");
	r = file_mkdirs(path, 0700);
	if (r == 0)
		r = file_mkdirs(lower[n], 0755);
	if (r == 0)
		r = mount_is_mount(path);
	if (r == 0) {
		r = mount_make_overlay(&(struct mount_overlay){.lower = (const char *const *)lower,
							       .nlower = n + 1},
				       &mnt);
		if (r == 0)
			r = mount_attach(mnt, AT_FDCWD, path);
	}
	if (r < 0)
		return err_wrap(r, "mount image %s", img->name);
	*ret_path = g_steal_pointer(&path);
	return 0;
}

int image_umount(struct engine *e, const struct image *img)
{
	g_autofree char *own = g_build_filename(e->root, "overlay-images", img->id, NULL);
	g_autofree char *path = own_path(e, img, "merged");
	int r = access(path, F_OK) < 0 ? 0 : mount_detach(path);

	return r < 0 ? r : file_remove_tree_at(AT_FDCWD, own);
}
