/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ROOT/blobs/sha256/HEX: manifests, configurations and packed layers, named by their digests.
 *
 * Files appear by rename, whole.  Whoever adds blobs or layers that no image refers to yet holds a
 * shared lock on ROOT/blobs for that time; garbage is only collected by somebody who gets it
 * exclusively without waiting.  It is a flock(2) that other programs inherit (skopeo, as descriptor
 * 3): a killed cryopod does not have its blobs taken away under a skopeo that still runs.
 */
#pragma once

#include "engine/digest.h"
#include "engine/engine.h"

/* *RET is the descriptor that holds the lock until it is closed. */
int blobs_hold(struct engine *e, int *ret) MUST_CHECK;
/* The same exclusively; 1: somebody else holds it, nothing was done. */
int blobs_hold_alone(struct engine *e, int *ret) MUST_CHECK;

/* The path of a blob, for the caller to free; DIGEST was checked. */
char *blob_path(struct engine *e, const char *digest);
bool blob_exists(struct engine *e, const char *digest);
int blob_open(struct engine *e, const char *digest, int *ret) MUST_CHECK;
/* A small one (manifest, configuration), with its digest verified. */
int blob_read(struct engine *e, const char *digest, size_t max, char **ret, size_t *ret_len)
	MUST_CHECK;
int blob_read_json(struct engine *e, const char *digest, json_t **ret) MUST_CHECK;
/* Stores it; what is there already stays. */
int blob_write(struct engine *e, const void *data, size_t len, char ret[DIGEST_MAX]) MUST_CHECK;
/* Takes the file at PATH (same file system) over as the blob DIGEST, which the caller trusts. */
int blob_adopt(struct engine *e, const char *path, const char *digest) MUST_CHECK;
/* Drops one that turned out to be corrupt, so that the next pull fetches it again. */
void blob_discard(struct engine *e, const char *digest);

/* A fresh private directory ROOT/tmp/WHAT-XXXXXX; swept with the garbage if we die. */
int blobs_scratch(struct engine *e, const char *what, char **ret_path) MUST_CHECK;
/* For CLEANUP(): removes it with all its content and frees the path. */
void blobs_scratch_drop(char **path);
