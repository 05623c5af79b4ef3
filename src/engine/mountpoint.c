/* SPDX-License-Identifier: Apache-2.0 */
/* `mount` and `umount`: a container's root file system for the host's eyes, counted. */
#include "engine/events.h"
#include "engine/image.h"
#include "engine/lifecycle_internal.h"
#include "engine/rootfs.h"

#include <errno.h>

static bool in_use(const struct container *c)
{
	return container_is_running(c) || c->state.status == CONTAINER_INITIALIZED;
}

static int mount_locked(struct engine *e, struct container *c, char **ret_path)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, c->image_id, &img);

	if (r == 0)
		r = rootfs_mount(e, c->id, img.layers, ret_path);
	if (r < 0)
		return r;
	c->state.mounts++;
	r = container_save(e, c);
	if (r < 0)
		g_clear_pointer(ret_path, g_free);
	else
		event_container(e, c, "mount");
	return r;
}

int container_mount(struct engine *e, struct container *c, char **ret_path)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	r = mount_locked(e, c, ret_path);
	container_unlock(c);
	return r;
}

static int umount_locked(struct engine *e, struct container *c, bool force)
{
	int r = 0;

	if (in_use(c) && c->state.mounts == 0)
		return life_improper("container %s has active mounts, refusing to unmount", c->id);
	if (c->state.mounts > 0)
		c->state.mounts--;
	if (force)
		c->state.mounts = 0;
	if (c->state.mounts == 0 && !in_use(c))
		r = rootfs_umount(e, c->id);
	if (r == 0)
		r = container_save(e, c);
	if (r == 0)
		event_container(e, c, "unmount");
	return r;
}

int container_umount(struct engine *e, struct container *c, bool force)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	r = umount_locked(e, c, force);
	container_unlock(c);
	return r;
}

char *container_mountpoint(struct engine *e, const struct container *c)
{
	return rootfs_mountpoint(e, c->id);
}
