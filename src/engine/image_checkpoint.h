/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints as images: one layer with the members of an archive (engine/archive_out.h), and
 * annotations that say what it is.  Podman and CRI-O tell such images by their own annotations:
 * ours have those of both.
 *
 *	CLEANUP(checkpoint_image_drop) struct checkpoint_image *ci = NULL;
 *
 *	r = checkpoint_image_begin(e, "web-warm", &ci);	// the name is checked
 *	r = archive_create(checkpoint_image_archive(ci), &archive);
 *	...						// written, archive_commit()ed
 *	r = checkpoint_image_commit(ci, c);		// in the store, synced, named
 *
 * The layer of such an image is never unpacked: it is no root file system.  It is read as what it
 * is, an archive, by checkpoint_image_open().
 */
#pragma once

#include "engine/archive_out.h"

struct checkpoint_image;
struct image; /* engine/image.h */

int checkpoint_image_begin(struct engine *e, const char *name, struct checkpoint_image **ret)
	MUST_CHECK;
/* How its layer is to be written; valid as long as CI. */
const struct archive_options *checkpoint_image_archive(struct checkpoint_image *ci);
int checkpoint_image_commit(struct checkpoint_image *ci, struct container *c) MUST_CHECK;
/* What came of it: the digest of the layer, the name of the image; valid as long as CI. */
const char *checkpoint_image_layer(const struct checkpoint_image *ci);
const char *checkpoint_image_name(const struct checkpoint_image *ci);
void checkpoint_image_drop(struct checkpoint_image **ci);

/* By the annotations of a manifest. */
bool checkpoint_image_is(const json_t *manifest);

/*
 * 1: IMG is one that this host's runtime can restore, 0: it is an ordinary image.  -EINVAL: it
 * needs another OCI runtime, with Podman's text.
 */
int checkpoint_image_check(struct engine *e, const struct image *img) MUST_CHECK;

/* The packed layer; the caller closes. */
int checkpoint_image_open(struct engine *e, const struct image *img, int *ret) MUST_CHECK;
