/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `rmi`: names first, then the record, in one transaction that has looked for containers; the
 * files go afterwards (image_gc.c), so that a kill in between leaves garbage and nothing broken.
 */
#include "engine/events.h"
#include "engine/image_store.h"
#include "engine/store.h"

#include <errno.h>
#include <string.h>

static void say(const struct image_remove_options *o, const char *what, const char *which)
{
	if (o->report)
		o->report(o->data, what, which);
}

static int refuse_users(struct engine *e, const char *id)
{
	g_auto(GStrv) users = NULL;
	int r = image_users(e, id, &users);

	if (r < 0 || !*users)
		return r;
	return err_set(EBUSY,
		       "image used by %s: image is in use by a container: consider listing "
		       "external containers and force-removing image",
		       *users);
}

static int remove_users(struct engine *e, const char *id, const struct image_remove_options *o)
{
	g_auto(GStrv) users = NULL;
	int r = image_users(e, id, &users);

	for (char **u = users; r == 0 && u && *u; u++)
		r = o->remove_container(e, *u);
	return r;
}

static const char *const tables[] = {
	"DELETE FROM image_names WHERE image_id=?",   "DELETE FROM image_past WHERE image_id=?",
	"DELETE FROM image_digests WHERE image_id=?", "DELETE FROM image_blobs WHERE image_id=?",
	"DELETE FROM image_layers WHERE image_id=?",  "DELETE FROM images WHERE id=?",
};

static int delete_record(struct engine *e, const char *id)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int r = store_begin(e, &tx);

	if (r == 0) /* in the transaction: `create` stores its container in one, too */
		r = refuse_users(e, id);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(tables); i++)
		r = store_exec(e, tables[i], "s", id);
	return r < 0 ? r : store_commit(&tx);
}

/* Only one of its names goes; 1: that was it. */
static int drop_one_name(struct engine *e, const struct image *img,
			 const struct image_remove_options *o)
{
	const char *one[] = {img->name, NULL};
	bool by_id = !strcmp(img->name, img->id);
	int r;

	if (o->all_names || g_strv_length(img->names) < 2)
		return 0;
	if (by_id && o->force)
		return 0;
	if (by_id) {
		g_autofree char *all = g_strjoinv(" ", img->names);

		return err_set(EINVAL,
			       "unable to delete image \"%s\" by ID with more than one tag ([%s]): "
			       "please force removal",
			       img->id, all);
	}
	if (!g_strv_contains((const char *const *)img->names, img->name))
		return 0; /* found by its digest */
	r = image_untag(e, img, one);
	if (r < 0)
		return r;
	say(o, "Untagged", img->name);
	return 1;
}

int image_remove(struct engine *e, const char *name, const struct image_remove_options *o)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, name, &img);

	if (r == -ENOENT && (o->ignore || o->force)) {
		err_clear();
		return 0;
	}
	if (r == 0)
		r = drop_one_name(e, &img, o);
	if (r != 0)
		return r < 0 ? r : 0;
	if (o->force)
		r = remove_users(e, img.id, o);
	if (r == 0)
		r = delete_record(e, img.id);
	if (r < 0)
		return r;
	for (char **n = img.names; *n; n++) {
		say(o, "Untagged", *n);
		event_image(e, "untag", img.id, *n);
	}
	say(o, "Deleted", img.id);
	event_image(e, "remove", img.id, img.name);
	return image_collect_garbage(e);
}
