/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From blobs to an image.  Nothing in a manifest is believed before it was compared: the
 * configuration by its digest, every layer by the digest of its packed and of its unpacked form.
 */
#include "engine/blobs.h"
#include "engine/image_checkpoint.h"
#include "engine/image_store.h"
#include "engine/layer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define LAYERS_MAX 500 /* OVL_MAX_STACK, fs/overlayfs/params.h */

struct adoption {
	json_t *manifest, *document;
	GPtrArray *layers, *blobs; /* chain IDs; digests */
	uint64_t size_bytes;
	char config_digest[DIGEST_MAX];
};

static void adoption_clear(struct adoption *a)
{
	json_decref(a->manifest);
	json_decref(a->document);
	g_ptr_array_unref(a->layers);
	g_ptr_array_unref(a->blobs);
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const json_t *layers_of(const struct adoption *a)
{
	return json_object_get(a->manifest, "layers");
}

static const json_t *diff_ids_of(const struct adoption *a)
{
	return json_object_get(json_object_get(a->document, "rootfs"), "diff_ids");
}

static int read_documents(struct engine *e, struct adoption *a, const char *digest)
{
	const char *config;
	int r = blob_read_json(e, digest, &a->manifest);

	if (r < 0)
		return err_wrap(r, "manifest");
	config = string_of(json_object_get(a->manifest, "config"), "digest");
	if (!config || !json_is_array(layers_of(a)))
		return err_set(EBADMSG, "manifest %s (%s) is not that of an image", digest,
			       string_of(a->manifest, "mediaType") ?: "no media type");
	r = digest_check(config);
	if (r == 0)
		r = blob_read_json(e, config, &a->document);
	if (r < 0)
		return err_wrap(r, "configuration");
	g_strlcpy(a->config_digest, config, sizeof(a->config_digest));
	if (!json_is_array(diff_ids_of(a)) ||
	    json_array_size(diff_ids_of(a)) != json_array_size(layers_of(a)))
		return err_set(EBADMSG,
			       "image %s: the configuration's layers are not those of the manifest",
			       digest);
	if (json_array_size(layers_of(a)) > LAYERS_MAX)
		return err_set(EFBIG, "image %s has more than %d layers", digest, LAYERS_MAX);
	g_ptr_array_add(a->blobs, g_strdup(digest));
	g_ptr_array_add(a->blobs, g_strdup(config));
	return 0;
}

static int add_layer(struct engine *e, struct adoption *a, const char *digest, const char *diff_id)
{
	struct layer_stream s = {
		.digest = digest, .diff_id = diff_id, .limits = LAYER_LIMITS, .copy_fd = -1};
	g_autofree char **below = NULL;
	char chain[ENGINE_ID_LEN + 1];
	autoclose int fd = -1;
	int r;

	if (!digest || !diff_id)
		return err_set(EBADMSG, "the manifest has a layer without a digest");
	r = blob_open(e, digest, &fd);
	if (r < 0)
		return r;
	below = g_new0(char *, a->layers->len + 1);
	for (unsigned i = 0; i < a->layers->len; i++)
		below[i] = a->layers->pdata[i];
	s.fd = fd;
	r = layer_ensure(e, &s, below, chain);
	if (r == -EBADMSG)
		blob_discard(e, digest);
	if (r < 0)
		return r;
	g_ptr_array_add(a->layers, g_strdup(chain));
	g_ptr_array_add(a->blobs, g_strdup(digest));
	a->size_bytes += image_layer_size(e, chain);
	return 0;
}

/* Of a checkpoint: an archive, which nobody unpacks here. */
static int add_archive(struct engine *e, struct adoption *a, const json_t *layer)
{
	const char *digest = string_of(layer, "digest");
	autoclose int fd = -1;
	struct stat st;
	int r = digest ? blob_open(e, digest, &fd)
		       : err_set(EBADMSG, "the manifest has a layer without a digest");

	if (r == 0 && fstat(fd, &st) < 0)
		r = err_errno("look at layer %s", digest);
	if (r < 0)
		return r;
	g_ptr_array_add(a->blobs, g_strdup(digest));
	a->size_bytes += (uint64_t)st.st_size;
	return 0;
}

static int add_layers(struct engine *e, struct adoption *a)
{
	size_t n = json_array_size(layers_of(a));
	bool checkpoint = checkpoint_image_is(a->manifest);
	int r = 0;

	for (size_t i = 0; checkpoint && r == 0 && i < n; i++)
		r = add_archive(e, a, json_array_get(layers_of(a), i));
	for (size_t i = 0; !checkpoint && r == 0 && i < n; i++)
		r = add_layer(e, a, string_of(json_array_get(layers_of(a), i), "digest"),
			      json_string_value(json_array_get(diff_ids_of(a), i)));
	g_ptr_array_add(a->layers, NULL);
	g_ptr_array_add(a->blobs, NULL);
	return r;
}

int image_adopt(struct engine *e, const struct image_source *s, char ret_id[ENGINE_ID_LEN + 1])
{
	CLEANUP(adoption_clear)
	struct adoption a = {.layers = g_ptr_array_new_with_free_func(g_free),
			     .blobs = g_ptr_array_new_with_free_func(g_free)};
	int r = read_documents(e, &a, s->digest);

	if (r == 0)
		r = add_layers(e, &a);
	if (r < 0)
		return r;
	g_strlcpy(ret_id, digest_hex(a.config_digest), ENGINE_ID_LEN + 1);
	return image_store_add(
		e,
		&(struct image_record){
			.id = ret_id,
			.digest = s->digest,
			.created_ns = image_parse_time(string_of(a.document, "created")),
			.size_bytes = a.size_bytes,
			.document = a.document,
			.layers = (char **)a.layers->pdata,
			.blobs = (char **)a.blobs->pdata,
		},
		s);
}
