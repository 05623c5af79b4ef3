/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ckinspect.h"

#include "base/file.h"
#include "base/json.h"
#include "engine/archive_in.h"
#include "engine/ckfiles.h"
#include "engine/cknamed.h"
#include "engine/describe.h"
#include "engine/exported.h"
#include "engine/inspect.h"
#include "engine/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

json_t *ckinspect_own(struct engine *e, const struct container *c)
{
	g_autofree char *path = ck_path(e, c, CK_IMAGES), *created = NULL;
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (dir < 0 || fstatat(dir, "inventory.img", &st, 0) < 0)
		return NULL;
	created = time_rfc3339(c->state.checkpointed_ns
				       ? c->state.checkpointed_ns
				       : st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
	return json_pack("{ss ss ss ss ss sI}", "name", "", "created", created, "container", c->id,
			 "containerName", c->name, "image", c->image_name, "imagesSize",
			 (json_int_t)ck_images_size(dir));
}

static int open_images(int dir, int *ret)
{
	*ret = openat(dir, CK_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", CK_IMAGES) : 0;
}

/* META is consumed. */
static int complete(int images, json_t *meta, json_t **ret)
{
	json_t *found = NULL;
	int r = describe_images(images, &found);

	if (r < 0) {
		json_decref(meta);
		return r;
	}
	if (!json_object_get(meta, "imagesSize"))
		json_object_set_new(meta, "imagesSize",
				    json_integer((json_int_t)ck_images_size(images)));
	json_object_update(meta, found);
	json_decref(found);
	*ret = meta;
	return 0;
}

static int named(struct engine *e, const struct container *c, const char *custom, const char *name,
		 json_t **ret)
{
	autoclose int dir = -1, images = -1;
	g_autofree char *text = NULL;
	json_t *meta;
	int r = cknamed_open(e, c, custom, name, &dir);

	if (r == 0)
		r = open_images(dir, &images);
	if (r == 0)
		r = file_read_at(dir, CKNAMED_META, 1 << 20, &text, NULL);
	if (r < 0)
		return r;
	meta = json_loads(text, 0, NULL);
	if (!json_is_object(meta)) {
		json_decref(meta);
		return err_set(EBADMSG, "checkpoint %s: %s is not JSON", name, CKNAMED_META);
	}
	json_object_set_new(meta, "name", json_string(name));
	return complete(images, meta, ret);
}

/* It is unpacked aside; only the memory's pages are large in there. */
static int archive(struct engine *e, const char *path, json_t **ret)
{
	const struct archive_in_options o = {
		.path = path, .fd = -1, .ignore_rootfs = true, .ignore_volumes = true};
	CLEANUP(archive_in_clear) struct archive_in in = ARCHIVE_IN_NONE;
	autoclose int images = -1;
	int r = archive_in_open(&in, e, &o);

	if (r == 0)
		r = archive_in_read(&in);
	if (r == 0)
		r = open_images(in.dir, &images);
	if (r < 0)
		return r;
	return complete(images,
			json_pack("{ss ss ss ss ss}", "name", path, "created",
				  json_text_of(in.config, "checkpointedTime"), "container",
				  json_text_of(in.config, "id"), "containerName",
				  json_text_of(in.config, "name"), "image",
				  json_text_of(in.config, "rootfsImageName")),
			ret);
}

/* It may be in an archive or an image only. */
static int elsewhere(struct engine *e, const struct container *c, json_t **ret)
{
	g_autofree char *path = NULL;
	int r = exported_find(e, c, &path);

	if (r < 0)
		return err_wrap(r, "the checkpoint of container %s", c->name);
	if (r > 0)
		return err_set(ENOENT, "container %s has no checkpoint", c->name);
	r = archive(e, path, ret);
	if (r == 0)
		json_object_set_new(*ret, "name", json_string(""));
	return r;
}

int ckinspect(struct engine *e, const struct container *c, const char *custom, const char *name,
	      json_t **ret)
{
	autoclose int images = -1;
	g_autofree char *path = NULL;
	json_t *meta;

	if (name)
		return named(e, c, custom, name, ret);
	meta = ckinspect_own(e, c);
	if (!meta)
		return elsewhere(e, c, ret);
	path = ck_path(e, c, CK_IMAGES);
	images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (images < 0) {
		json_decref(meta);
		return err_errno("open %s", path);
	}
	return complete(images, meta, ret);
}

int ckinspect_path(struct engine *e, const char *path, json_t **ret)
{
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), images = -1;
	struct stat st;
	int r;

	if (dir < 0 && errno == ENOTDIR)
		return archive(e, path, ret);
	if (dir < 0)
		return err_errno("open %s", path);
	if (fstatat(dir, "inventory.img", &st, 0) == 0)
		images = take_fd(&dir);
	else if (fstatat(dir, CK_INVENTORY, &st, 0) == 0)
		r = open_images(dir, &images);
	else
		return err_set(ENOENT, "%s is no checkpoint: there is no inventory.img", path);
	if (images < 0)
		return r;
	g_autofree char *created =
		time_rfc3339(st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
	return complete(images, json_pack("{ss ss}", "name", path, "created", created), ret);
}
