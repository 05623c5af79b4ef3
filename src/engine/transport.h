/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skopeo: moves images between registries, archives, directories and our blobs.
 *
 * Images keep their bytes, and so their digests and IDs.  They go straight into ROOT/blobs, and
 * what is there already is not fetched again.
 */
#pragma once

#include "base/interrupt.h"
#include "engine/blobs.h"
#include "engine/image.h"

struct transport {
	struct engine *e;
	const struct pull_options *options;
	char *scratch;		    /* a private directory; skopeo runs in it */
	int hold;		    /* blobs_hold(): handed to skopeo as descriptor 3 */
	struct interrupt interrupt; /* Ctrl-C takes back what is not complete */
};

/* Takes the lock and makes the directory. */
int transport_open(struct engine *e, const struct pull_options *o, struct transport *ret)
	MUST_CHECK;
void transport_close(struct transport *t);
/* After the failure R: closed, and what Ctrl-C has left half-way is removed.  Returns R. */
int transport_give_up(struct transport *t, int r) MUST_CHECK;

/*
 * Fetches one image, so that all its blobs are in the store; RET is its manifest's digest.
 * SOURCE as skopeo(1) has it; relative paths in it are relative to T->scratch.  Errors are one
 * line, in skopeo's words.
 */
int transport_fetch(struct transport *t, const char *source, char ret[DIGEST_MAX]) MUST_CHECK;

/*
 * Copies the image whose manifest is DIGEST to DESTINATION, as skopeo(1) has it.  FORMAT: "oci",
 * "v2s2", or NULL: as the destination likes it.  TAGS (or NULL): further names in a docker-archive.
 * DIGESTFILE (or NULL) gets the digest of what was written.
 */
struct transport_target {
	const char *destination, *format, *digestfile;
	char *const *tags;
};
int transport_send(struct transport *t, const char *digest, const struct transport_target *to)
	MUST_CHECK;
