/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/blobs.h"
#include "engine/image_store.h"
#include "engine/store.h"

#include <errno.h>
#include <string.h>

static json_t *strings(char *const *v)
{
	json_t *a = json_array();

	for (; *v; v++)
		json_array_append_new(a, json_string(*v));
	return a;
}

static json_t *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return json_string(s ? s : "");
}

/* What Go's encoder leaves out: "omitempty". */
static bool is_empty(const json_t *j)
{
	return !j || json_is_null(j) || json_is_false(j) ||
	       (json_is_string(j) && !*json_string_value(j)) ||
	       (json_is_array(j) && !json_array_size(j)) ||
	       (json_is_object(j) && !json_object_size(j));
}

/* In the order of Go's struct ImageConfig, which is what people compare with. */
static json_t *config_of(const struct image *img)
{
	static const char *const keys[] = {"User",    "ExposedPorts", "Env",	"Entrypoint", "Cmd",
					   "Volumes", "WorkingDir",   "Labels", "StopSignal"};
	json_t *out = json_object();

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *v = json_object_get(img->config, keys[i]);

		if (!is_empty(v))
			json_object_set(out, keys[i], v);
	}
	return out;
}

static json_t *graph_driver(struct engine *e, const struct image *img)
{
	unsigned n = g_strv_length(img->layers);
	g_autoptr(GString) lower = g_string_new(NULL);
	json_t *data = json_object();

	for (unsigned i = n; i-- > 1;)
		g_string_append_printf(lower, "%s%s/overlay/%s/diff", lower->len ? ":" : "",
				       e->root, img->layers[i - 1]);
	if (lower->len)
		json_object_set_new(data, "LowerDir", json_string(lower->str));
	if (n) {
		g_autofree char *upper =
			g_build_filename(e->root, "overlay", img->layers[n - 1], "diff", NULL);
		g_autofree char *work =
			g_build_filename(e->root, "overlay", img->layers[n - 1], "work", NULL);

		json_object_set_new(data, "UpperDir", json_string(upper));
		json_object_set_new(data, "WorkDir", json_string(work));
	}
	return json_pack("{s:s, s:o}", "Name", "overlay", "Data", data);
}

/* The comment of the newest entry that has one, as Podman shows it. */
static json_t *comment_of(const struct image *img)
{
	json_t *history = json_object_get(img->document, "history");

	return text(json_array_get(history, json_array_size(history) - 1), "comment");
}

static int past_names(struct engine *e, const struct image *img, json_t *out)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q =
		store_prepare(e, "SELECT name FROM image_past WHERE image_id=? ORDER BY name");
	int r;

	store_bind(q, "s", img->id);
	while ((r = store_step(e, q)) > 0)
		json_array_append_new(out, json_string(store_text(q, 0)));
	return r;
}

static json_t *or_null(json_t *j)
{
	return is_empty(j) ? json_null() : json_incref(j);
}

static json_t *array_or_empty(json_t *j)
{
	return json_is_array(j) ? json_incref(j) : json_array();
}

static json_t *object_or_empty(json_t *j)
{
	return json_is_object(j) ? json_incref(j) : json_object();
}

int image_inspect(struct engine *e, const struct image *img, json_t **ret)
{
	json_t *manifest = NULL, *out = json_object(), *past = json_array(), *rootfs;
	const char *type;
	int r = past_names(e, img, past);

	if (r == 0)
		r = blob_read_json(e, img->digest, &manifest);
	if (r < 0) {
		json_decref(out);
		json_decref(past);
		return r;
	}
	type = json_string_value(json_object_get(manifest, "mediaType"));
	rootfs = json_object_get(img->document, "rootfs");
	json_object_set_new(out, "Id", json_string(img->id));
	json_object_set_new(out, "Digest", json_string(img->digest));
	json_object_set_new(out, "RepoTags", strings(img->names));
	json_object_set_new(out, "RepoDigests", strings(img->repo_digests));
	json_object_set_new(out, "Parent", json_string(""));
	json_object_set_new(out, "Comment", comment_of(img));
	json_object_set_new(out, "Created", text(img->document, "created"));
	json_object_set_new(out, "Config", config_of(img));
	json_object_set_new(out, "Version", text(img->document, "docker_version"));
	json_object_set_new(out, "Author", text(img->document, "author"));
	json_object_set_new(out, "Architecture", text(img->document, "architecture"));
	json_object_set_new(out, "Os", text(img->document, "os"));
	json_object_set_new(out, "Size", json_integer((json_int_t)img->size_bytes));
	json_object_set_new(out, "VirtualSize", json_integer((json_int_t)img->size_bytes));
	json_object_set_new(out, "GraphDriver", graph_driver(e, img));
	json_object_set_new(out, "RootFS",
			    json_pack("{s:s, s:o}", "Type", "layers", "Layers",
				      array_or_empty(json_object_get(rootfs, "diff_ids"))));
	json_object_set_new(out, "Labels", or_null(json_object_get(img->config, "Labels")));
	json_object_set_new(out, "Annotations",
			    object_or_empty(json_object_get(manifest, "annotations")));
	json_object_set_new(
		out, "ManifestType",
		json_string(type ? type : "application/vnd.oci.image.manifest.v1+json"));
	json_object_set_new(out, "User", text(img->config, "User"));
	json_object_set_new(out, "History",
			    array_or_empty(json_object_get(img->document, "history")));
	json_object_set_new(out, "NamesHistory", past);
	if (!is_empty(json_object_get(img->config, "Healthcheck")))
		json_object_set(out, "Healthcheck", json_object_get(img->config, "Healthcheck"));
	json_decref(manifest);
	*ret = out;
	return 0;
}

static void history_free(void *p)
{
	struct image_history *h = p;

	g_free(h->id);
	g_free(h->created_by);
	g_free(h->comment);
	g_strfreev(h->tags);
	g_free(h);
}

static char *string_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return g_strdup(s ? s : "");
}

/* Layers belong to the entries that do not say "empty_layer", in order. */
int image_get_history(struct engine *e, const struct image *img, GPtrArray **ret)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(history_free);
	const json_t *list = json_object_get(img->document, "history");
	size_t layer = 0, layers = g_strv_length(img->layers), i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		struct image_history *h = g_new0(struct image_history, 1);

		h->created_ns =
			image_parse_time(json_string_value(json_object_get(entry, "created")));
		h->created_by = string_of(entry, "created_by");
		h->comment = string_of(entry, "comment");
		h->tags = g_new0(char *, 1);
		if (!json_is_true(json_object_get(entry, "empty_layer")) && layer < layers)
			h->size_bytes = image_layer_size(e, img->layers[layer++]);
		g_ptr_array_insert(out, 0, h);
	}
	while (layer < layers) { /* an image without a history still has layers */
		struct image_history *h = g_new0(struct image_history, 1);

		h->created_ns = img->created_ns;
		h->created_by = g_strdup("");
		h->comment = g_strdup("");
		h->tags = g_new0(char *, 1);
		h->size_bytes = image_layer_size(e, img->layers[layer++]);
		g_ptr_array_insert(out, 0, h);
	}
	if (out->len) {
		struct image_history *newest = out->pdata[0];

		newest->id = g_strdup(img->id);
		g_strfreev(newest->tags);
		newest->tags = g_strdupv(img->names);
	}
	*ret = g_steal_pointer(&out);
	return 0;
}
