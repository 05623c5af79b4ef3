/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record goes last, so that a killed `rm` can be repeated; what it has removed already is not
 * missed by the second one.
 */
#include "base/file.h"
#include "base/log.h"
#include "engine/ckfiles.h"
#include "engine/container_store.h"
#include "engine/events.h"
#include "engine/lifecycle_internal.h"
#include "engine/network.h"
#include "engine/rootfs.h"
#include "engine/store.h"
#include "engine/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Those whose namespaces are this one's. */
static int dependents(struct engine *e, struct container *c, GPtrArray *ids)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	int r = container_list(e, &all);

	for (unsigned i = 0; r == 0 && i < all->len; i++) {
		struct container *other = all->pdata[i];
		const json_t *value;
		const char *key;

		json_object_foreach(json_object_get(other->config, "partners"), key,
				    value) if (!strcmp(json_string_value(value), c->id))
		{
			g_ptr_array_add(ids, g_strdup(other->id));
			break;
		}
	}
	return r;
}

static int check_dependents(struct engine *e, struct container *c)
{
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *list = NULL;
	int r = dependents(e, c, ids);

	if (r < 0 || ids->len == 0)
		return r;
	g_ptr_array_add(ids, NULL);
	list = g_strjoinv(",", (char **)ids->pdata);
	return err_set(EBUSY,
		       "container %s has dependent containers which must be removed before it: %s: "
		       "container already exists",
		       c->id, list);
}

static int remove_files(struct engine *e, struct container *c)
{
	g_autofree char *parent = g_build_filename(e->root, "overlay-containers", NULL);
	g_autofree char *exit_file = container_exit_file(e, c);
	autoclose int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	unlink(exit_file);
	r = rootfs_remove(e, c->id);
	if (r < 0)
		return r;
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", parent);
	return file_remove_tree_at(fd, c->id);
}

/* After the container's record is gone: volumes that were made for it and have no name of their
 * own.
 */
static void remove_volumes(struct engine *e, struct container *c)
{
	const json_t *name;
	size_t i;

	json_array_foreach(json_object_get(c->config, "volumes"), i, name)
	{
		int r = volume_remove(e, json_string_value(name));

		if (r < 0 && r != -ENOENT && r != -EBUSY)
			log_warn("container %s: %s", c->name, err_message());
		if (r < 0)
			err_clear();
	}
}

static void remove_lock(struct engine *e, struct container *c)
{
	g_autofree char *path = g_build_filename(e->runroot, "locks", c->id, NULL);

	unlink(path); /* while it is held: see lock_file() */
}

static int take_apart(struct engine *e, struct container *c, const struct remove_options *o)
{
	int r;

	c->state.status = CONTAINER_REMOVING;
	r = life_save_if_room(e, c);
	if (r < 0)
		return r;
	c->state.mounts = 0;
	if (c->state.checkpointed && !c->state.netns) /* else it goes with the namespace */
		ck_drop_connections(e, c);
	r = container_release(e, c, 0);
	if (r == 0)
		r = network_forget(e, c->id);
	if (r == 0)
		r = remove_files(e, c);
	if (r == 0)
		r = container_delete_record(e, c);
	if (r < 0)
		return r;
	if (o->volumes)
		remove_volumes(e, c);
	remove_lock(e, c);
	event_container(e, c, "remove");
	return 0;
}

int life_remove(struct engine *e, struct container *c, const struct remove_options *o)
{
	int r;

	if (!o->force && container_is_running(c))
		return err_set(EBUSY,
			       "cannot remove container %s as it is %s - running or paused "
			       "containers cannot be removed without force: container state "
			       "improper",
			       c->id, container_status_name(c->state.status));
	r = check_dependents(e, c);
	if (r < 0)
		return r;
	if (container_is_running(c)) {
		r = life_stop(e, c, o->timeout);
		if (r == -ENOENT) { /* somebody else, or --rm, was faster */
			err_clear();
			return 0;
		}
		if (r < 0)
			return r;
	}
	return take_apart(e, c, o);
}

int container_remove(struct engine *e, struct container *c, const struct remove_options *o)
{
	int r = container_lock(e, c);

	if (r < 0)
		return r;
	r = life_remove(e, c, o);
	if (r == -ENOSPC && store_use_reserve(e))
		r = life_remove(e, c, o);
	container_unlock(c);
	if (r == 0)
		store_keep_reserve(e);
	return r;
}

int container_rename(struct engine *e, struct container *c, const char *name)
{
	g_autofree char *old = NULL;
	int r = container_check_name(name);

	if (r == 0)
		r = container_lock(e, c);
	if (r < 0)
		return r;
	old = g_steal_pointer(&c->name);
	c->name = g_strdup(name);
	r = container_save_config(e, c);
	if (r < 0) {
		g_free(c->name);
		c->name = g_steal_pointer(&old);
	} else {
		event_container(e, c, "rename");
	}
	container_unlock(c);
	return r;
}
