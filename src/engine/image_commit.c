/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_commit.h"
#include "base/log.h"
#include "engine/blobs.h"
#include "engine/events.h"
#include "engine/image_change.h"
#include "engine/image_store.h"
#include "engine/inspect.h"
#include "engine/lifecycle.h"
#include "engine/pack_tree.h"
#include "engine/rootfs.h"
#include "engine/rootfs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define WHITEOUT ".wh." /* image-spec, layer.md */

struct commit {
	struct engine *e;
	struct container *c;
	const struct commit_options *o;
	struct image base;
	char *scratch;
	char layer[DIGEST_MAX];
	uint64_t layer_bytes;
	int hold;
};

static void commit_clear(struct commit *k)
{
	image_clear(&k->base);
	blobs_scratch_drop(&k->scratch);
	cleanup_close(&k->hold);
}

static int add_changes(struct pack_tree *t, const GPtrArray *changes)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < changes->len; i++) {
		const struct rootfs_change *ch = changes->pdata[i];
		g_autofree char *dir = NULL, *base = NULL, *mark = NULL;

		if (ch->kind != ROOTFS_DELETED) {
			r = pack_tree_add(t, ch->path + 1);
			continue;
		}
		dir = g_path_get_dirname(ch->path);
		base = g_path_get_basename(ch->path);
		mark = g_strdup_printf("%s%s" WHITEOUT "%s", dir + 1, dir[1] ? "/" : "", base);
		pack_tree_add_mark(t, mark);
	}
	return r;
}

static int write_layer(struct commit *k, struct pack_tree *t)
{
	g_autofree char *blob = g_build_filename(k->scratch, "layer.tar", NULL);
	autoclose int fd = open(blob, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CLEANUP(sha256_free) struct sha256 *sum = sha256_new();
	int r;

	if (fd < 0)
		return err_errno("create %s", blob);
	r = pack_tree_write_fd(t, fd, sum, &k->layer_bytes);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno("write %s", blob);
	if (r < 0)
		return r;
	digest_finish(sum, k->layer);
	return blob_adopt(k->e, blob, k->layer);
}

static int open_root(struct engine *e, const struct container *c, struct rootfs_look *look,
		     int *ret)
{
	int r = rootfs_look_open(e, c, look);

	return r < 0 ? r : rootfs_look_fd(look, ret);
}

static int pack(struct commit *k)
{
	CLEANUP(rootfs_look_close) struct rootfs_look look = ROOTFS_LOOK_NONE;
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	g_autoptr(GPtrArray) changes = NULL;
	autoclose int root = -1;
	int r = open_root(k->e, k->c, &look, &root);

	if (r == 0)
		r = pack_tree_new(root, &t);
	if (r == 0 && k->o->squash)
		r = pack_tree_add_all(t);
	else if (r == 0)
		r = rootfs_diff(k->e, k->c->id, k->base.layers, &changes);
	if (r == 0 && changes)
		r = add_changes(t, changes);
	return r < 0 ? r : write_layer(k, t);
}

/* What the engine adds to every environment is not the image's. */
static json_t *environment(const json_t *env)
{
	static const char *const ours[] = {"TERM=xterm", "container="};
	json_t *list = json_array(), *v;
	size_t i;

	json_array_foreach(env, i, v)
	{
		bool skip = false;

		for (unsigned k = 0; k < ARRAY_SIZE(ours); k++)
			skip |= g_str_has_prefix(json_string_value(v), ours[k]);
		if (!skip)
			json_array_append(list, v);
	}
	return list;
}

static json_t *set_of(const json_t *names)
{
	json_t *set = json_object(), *v;
	size_t i;

	json_array_foreach(names, i, v)
		json_object_set_new(set, json_string_value(v), json_object());
	return set;
}

/* Takes VALUE; what is empty is left out. */
static void put(json_t *to, const char *key, json_t *value)
{
	bool empty = json_is_string(value) ? !*json_string_value(value)
					   : !json_array_size(value) && !json_object_size(value);

	if (empty)
		json_object_del(to, key);
	else
		json_object_set(to, key, value);
	json_decref(value);
}

static int build_config(struct commit *k, json_t **ret)
{
	json_t *config = json_deep_copy(k->base.config) ?: json_object();
	const json_t *c = k->c->config;
	int r = 0;

	put(config, "Cmd", json_deep_copy(json_object_get(c, "command")));
	put(config, "Entrypoint", json_deep_copy(json_object_get(c, "entrypoint")));
	put(config, "Env", environment(json_object_get(c, "env")));
	put(config, "User", json_string(container_text(k->c, "user")));
	put(config, "WorkingDir", json_string(container_text(k->c, "workdir")));
	put(config, "Labels", json_deep_copy(json_object_get(c, "labels")));
	put(config, "ExposedPorts", json_deep_copy(json_object_get(c, "exposed")));
	if (k->o->volumes)
		put(config, "Volumes", set_of(json_object_get(c, "volumes")));
	for (char *const *change = k->o->changes; r == 0 && change && *change; change++)
		r = image_change(config, *change);
	*ret = config;
	return r;
}

static char *command_line(const struct container *c)
{
	GString *s = g_string_new(NULL);
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(c->config, "argv"), i, v)
		g_string_append_printf(s, "%s%s", i ? " " : "", json_string_value(v));
	return g_string_free(s, FALSE);
}

/* The image's document, with one layer more or with a single one. */
static json_t *build_document(const struct commit *k, json_t *config)
{
	json_t *doc = json_deep_copy(k->base.document), *rootfs, *history;
	g_autofree char *now = time_rfc3339(engine_now_ns()), *by = command_line(k->c);

	json_object_set_new(doc, "created", json_string(now));
	json_object_set(doc, "config", config);
	if (k->o->author)
		json_object_set_new(doc, "author", json_string(k->o->author));
	rootfs = json_object_get(doc, "rootfs");
	history = json_object_get(doc, "history");
	if (k->o->squash || !json_is_array(json_object_get(rootfs, "diff_ids"))) {
		json_object_set_new(doc, "rootfs",
				    json_pack("{s:s, s:[]}", "type", "layers", "diff_ids"));
		rootfs = json_object_get(doc, "rootfs");
	}
	if (k->o->squash || !json_is_array(history)) {
		json_object_set_new(doc, "history", json_array());
		history = json_object_get(doc, "history");
	}
	json_array_append_new(json_object_get(rootfs, "diff_ids"), json_string(k->layer));
	json_array_append_new(history,
			      json_pack("{s:s, s:s, s:s*, s:s*}", "created", now, "created_by", by,
					"author", k->o->author, "comment", k->o->message));
	return doc;
}

static int build_layers(const struct commit *k, json_t **ret)
{
	json_t *manifest = NULL, *layer, *list = *ret = json_array();
	size_t i;
	int r = k->o->squash ? 0 : blob_read_json(k->e, k->base.digest, &manifest);

	json_array_foreach(json_object_get(manifest, "layers"), i, layer)
		json_array_append_new(list, json_deep_copy(layer));
	json_array_append_new(list, image_describe_layer(k->layer, k->layer_bytes));
	json_decref(manifest);
	return r;
}

static int write_image(struct commit *k, json_t *config, const char *name, struct image *ret)
{
	char digest[DIGEST_MAX], id[ENGINE_ID_LEN + 1];
	char *names[2] = {(char *)name, NULL};
	json_t *layers = NULL;
	int r = build_layers(k, &layers);

	if (r < 0) {
		json_decref(layers);
		return r;
	}
	r = image_write_documents(k->e, k->o->docker ? IMAGE_DOCKER : IMAGE_OCI,
				  build_document(k, config), layers, NULL, digest);
	if (r == 0)
		r = image_adopt(k->e, &(struct image_source){.digest = digest, .names = names}, id);
	if (r == 0)
		r = image_load_record(k->e, id, ret);
	return r < 0 ? r : r == 0 ? err_set(ENOENT, "%s: image not known", id) : 0;
}

static int commit_locked(struct commit *k, json_t *config, const char *name, struct image *ret)
{
	int r = blobs_hold(k->e, &k->hold);

	if (r == 0)
		r = blobs_scratch(k->e, "commit", &k->scratch);
	if (r == 0)
		r = pack(k);
	return r < 0 ? r : write_image(k, config, name, ret);
}

static int thaw(struct engine *e, struct container *c, int r)
{
	ERR_KEEP;

	if (container_unpause(e, c) < 0)
		log_warn("container %s stays paused: %s", c->name, err_message());
	return r;
}

int container_commit(struct engine *e, struct container *c, const struct commit_options *o,
		     struct image *ret)
{
	CLEANUP(commit_clear) struct commit k = {.e = e, .c = c, .o = o, .hold = -1};
	bool pause = o->pause && c->state.status == CONTAINER_RUNNING;
	g_autofree char *name = NULL;
	json_t *config = NULL;
	int r = o->reference ? image_normalize(o->reference, &name) : 0;

	if (r == 0)
		r = image_resolve(e, c->image_id, &k.base);
	if (r == 0)
		r = build_config(&k, &config);
	if (r == 0 && pause)
		r = container_pause(e, c);
	if (r == 0) {
		r = container_lock(e, c);
		if (r == 0) {
			r = commit_locked(&k, config, name, ret);
			container_unlock(c);
		}
		if (pause)
			r = thaw(e, c, r);
	}
	json_decref(config);
	if (r < 0)
		return r;
	event_container(e, c, "commit");
	return 0;
}

int container_export(struct engine *e, struct container *c, int fd)
{
	CLEANUP(rootfs_look_close) struct rootfs_look look = ROOTFS_LOOK_NONE;
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	autoclose int root = -1;
	uint64_t bytes;
	int r = container_lock(e, c);

	if (r == 0)
		r = open_root(e, c, &look, &root);
	if (r == 0)
		r = pack_tree_new(root, &t);
	if (r == 0)
		r = pack_tree_add_all(t);
	if (r == 0)
		r = pack_tree_write_fd(t, fd, NULL, &bytes);
	if (r == 0)
		event_container(e, c, "export");
	return r;
}
