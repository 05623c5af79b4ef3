/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/usage.h"

#include "base/json.h"
#include "engine/container.h"
#include "engine/image.h"
#include "engine/rootfs.h"
#include "engine/volume.h"

#include <fts.h>
#include <sys/stat.h>

uint64_t usage_of_tree(const char *path)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	char *const paths[] = {(char *)path, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	uint64_t sum = 0;
	FTSENT *f;

	while (walk && (f = fts_read(walk)) != NULL) {
		if (f->fts_info != FTS_F)
			continue;
		if (f->fts_statp->st_nlink > 1) {
			gint64 *ino = g_new(gint64, 1);

			*ino = (gint64)f->fts_statp->st_ino;
			if (!g_hash_table_add(seen, ino))
				continue;
		}
		sum += (uint64_t)f->fts_statp->st_size;
	}
	if (walk)
		fts_close(walk);
	return sum;
}

static void count(struct usage *u, bool active, uint64_t bytes)
{
	u->total++;
	u->active += active;
	u->bytes += bytes;
	u->reclaimable += active ? 0 : bytes;
}

/* Layers that several images have are on disk once. */
struct layers {
	GHashTable *seen, *needed; /* borrowed names of layers */
};

static uint64_t layer_bytes(struct engine *e, const char *layer)
{
	g_autofree char *path = g_build_filename(e->root, "overlay", layer, NULL);

	return usage_of_tree(path);
}

static int count_image(struct engine *e, const struct image *img, struct layers *l,
		       struct usage *ret)
{
	g_auto(GStrv) users = NULL;
	int r = image_users(e, img->id, &users);

	if (r < 0)
		return r;
	ret->total++;
	ret->active += users[0] != NULL;
	for (char **layer = img->layers; *layer; layer++) {
		g_hash_table_add(l->seen, *layer);
		if (users[0])
			g_hash_table_add(l->needed, *layer);
	}
	return 0;
}

int usage_images(struct engine *e, struct usage *ret)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) needed = g_hash_table_new(g_str_hash, g_str_equal);
	struct layers l = {seen, needed};
	g_autoptr(GPtrArray) list = NULL;
	GHashTableIter it;
	void *layer;
	int r = image_list(e, &list);

	*ret = (struct usage){0};
	for (guint i = 0; r == 0 && i < list->len; i++)
		r = count_image(e, list->pdata[i], &l, ret);
	if (r < 0)
		return r;
	g_hash_table_iter_init(&it, seen);
	while (g_hash_table_iter_next(&it, &layer, NULL)) {
		uint64_t bytes = layer_bytes(e, layer);

		ret->bytes += bytes;
		ret->reclaimable += g_hash_table_contains(needed, layer) ? 0 : bytes;
	}
	return 0;
}

int usage_containers(struct engine *e, struct usage *ret)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	int r = container_list(e, &all);

	*ret = (struct usage){0};
	for (guint i = 0; r == 0 && i < all->len; i++) {
		const struct container *c = all->pdata[i];
		uint64_t bytes = 0;

		if (rootfs_size(e, c->id, &bytes) < 0)
			err_clear();
		count(ret, c->state.status == CONTAINER_RUNNING, bytes);
	}
	return r;
}

int usage_volumes(struct engine *e, struct usage *ret)
{
	json_t *all = NULL, *v;
	size_t i;
	int r = volume_list(e, &all);

	*ret = (struct usage){0};
	json_array_foreach(all, i, v)
	{
		g_auto(GStrv) users = NULL;

		r = volume_users(e, json_text_of(v, "Name"), &users);
		if (r < 0)
			break;
		count(ret, users[0] != NULL, usage_of_tree(json_text_of(v, "Mountpoint")));
	}
	json_decref(all);
	return r;
}
