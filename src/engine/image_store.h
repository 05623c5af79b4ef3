/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the database and how they get there: for the files image*.c only. */
#pragma once

#include "engine/digest.h"
#include "engine/image.h"

extern const char image_schema_sql[];

/*
 * Makes an image of the manifest DIGEST, whose blobs are all in the store: checks them against
 * each other, unpacks its layers, stores the record and moves NAMES to it.  REPOSITORY (or NULL)
 * and LISTED: the digest by which a registry knows it, beside the manifest's.  The caller holds
 * blobs_hold().
 */
struct image_source {
	const char *digest;
	char *const *names; /* complete, or NULL */
	const char *repository, *listed;
};
int image_adopt(struct engine *e, const struct image_source *s, char ret_id[ENGINE_ID_LEN + 1])
	MUST_CHECK;

struct image_record {
	const char *id, *digest;
	int64_t created_ns;
	uint64_t size_bytes;
	json_t *document;
	char *const *layers;
	char *const *blobs; /* digests of everything that it needs */
};
int image_store_add(struct engine *e, const struct image_record *rec, const struct image_source *s)
	MUST_CHECK;

/* By full ID.  1: found, 0: not there. */
int image_load_record(struct engine *e, const char *id, struct image *ret) MUST_CHECK;

/* Within a transaction: NAME is this image's from now on, and nobody else's. */
int image_store_name(struct engine *e, const char *id, const char *name) MUST_CHECK;

/* Of an unpacked layer, from the table; 0 when unknown. */
uint64_t image_layer_size(struct engine *e, const char *chain);

/* "2026-11-21T07:35:53.708228545Z" and with other zones; 0 when it cannot be read. */
int64_t image_parse_time(const char *text);

/* An uncompressed layer, as a manifest lists it; a new reference. */
json_t *image_describe_layer(const char *digest, uint64_t bytes);
enum image_format_kind { IMAGE_OCI, IMAGE_DOCKER };
/*
 * Takes CONFIG, LAYERS (descriptors of any format) and ANNOTATIONS (NULL: none); RET is the
 * manifest's digest.
 */
int image_write_documents(struct engine *e, enum image_format_kind kind, json_t *config,
			  json_t *layers, json_t *annotations, char ret[DIGEST_MAX]) MUST_CHECK;

struct transport;
/* `load` from PATH (NULL: stdin); SAID gets a name or ID for each image, ID is the last one's. */
int image_load_from(struct transport *t, const char *path, GPtrArray *said,
		    char id[ENGINE_ID_LEN + 1]) MUST_CHECK;
