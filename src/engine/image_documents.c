/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of an image that is made here: configuration and manifest. */
#include "engine/blobs.h"
#include "engine/image_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct image_format {
	const char *manifest, *config, *layer, *gzip, *zstd; /* NULL: does not exist */
} formats[] = {
	[IMAGE_OCI] = {"application/vnd.oci.image.manifest.v1+json",
		       "application/vnd.oci.image.config.v1+json",
		       "application/vnd.oci.image.layer.v1.tar",
		       "application/vnd.oci.image.layer.v1.tar+gzip",
		       "application/vnd.oci.image.layer.v1.tar+zstd"},
	[IMAGE_DOCKER] = {"application/vnd.docker.distribution.manifest.v2+json",
			  "application/vnd.docker.container.image.v1+json",
			  "application/vnd.docker.image.rootfs.diff.tar",
			  "application/vnd.docker.image.rootfs.diff.tar.gzip", NULL},
};

static int write_json(struct engine *e, const json_t *doc, char digest[DIGEST_MAX], size_t *len)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	int r;

	if (!text)
		return err_set(EILSEQ, "a text of the image is not UTF-8");
	*len = strlen(text);
	r = blob_write(e, text, *len, digest);
	free(text);
	return r;
}

static const char *layer_type(const struct image_format *f, const char *type)
{
	if (type && strstr(type, "gzip"))
		return f->gzip;
	if (type && strstr(type, "zstd"))
		return f->zstd;
	return f->layer;
}

json_t *image_describe_layer(const char *digest, uint64_t bytes)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", formats[IMAGE_OCI].layer, "digest", digest,
			 "size", (json_int_t)bytes);
}

/* As FORMAT calls them, whatever the manifest that they come from called them. */
static int name_types(const struct image_format *f, json_t *layers)
{
	json_t *layer;
	size_t i;

	json_array_foreach(layers, i, layer)
	{
		const char *had = json_string_value(json_object_get(layer, "mediaType"));
		const char *type = layer_type(f, had);

		if (!type)
			return err_set(EOPNOTSUPP,
				       "a layer is compressed as %s, which Docker's format does "
				       "not have: use oci",
				       had);
		json_object_set_new(layer, "mediaType", json_string(type));
	}
	return 0;
}

int image_write_documents(struct engine *e, enum image_format_kind kind, json_t *config,
			  json_t *layers, json_t *annotations, char ret[DIGEST_MAX])
{
	const struct image_format *f = &formats[kind];
	char digest[DIGEST_MAX];
	json_t *manifest = NULL;
	size_t len = 0;
	int r = name_types(f, layers);

	if (r == 0)
		r = write_json(e, config, digest, &len);
	if (r == 0) {
		manifest = json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:O, s:O*}", "schemaVersion", 2,
				     "mediaType", f->manifest, "config", "mediaType", f->config,
				     "digest", digest, "size", (json_int_t)len, "layers", layers,
				     "annotations", annotations);
		r = write_json(e, manifest, ret, &len);
	}
	json_decref(manifest);
	json_decref(config);
	json_decref(layers);
	json_decref(annotations);
	return r;
}
