/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rootfs_look.h"
#include "engine/image.h"
#include "engine/rootfs.h"

#include <fcntl.h>

int rootfs_look_open(struct engine *e, const struct container *c, struct rootfs_look *ret)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r;

	*ret = (struct rootfs_look){.e = e, .id = c->id, .path = rootfs_mountpoint(e, c->id)};
	if (ret->path)
		return 0;
	r = image_resolve(e, c->image_id, &img);
	if (r == 0)
		r = rootfs_mount(e, c->id, img.layers, &ret->path);
	ret->ours = r == 0;
	return r;
}

void rootfs_look_close(struct rootfs_look *l)
{
	ERR_KEEP;

	if (l->ours && rootfs_umount(l->e, l->id) < 0)
		err_clear();
	g_free(l->path);
	*l = ROOTFS_LOOK_NONE;
}

int rootfs_look_fd(const struct rootfs_look *l, int *ret)
{
	*ret = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", l->path) : 0;
}
