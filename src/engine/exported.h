/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint that went straight into an archive or an image: its memory was never written twice,
 * so the container's own directory has none.  `restore CONTAINER` reads it from there, as long as
 * that is where it was and as it was.
 *
 *	userdata/exported/archive.json	{"path", "size", "mtime_ns"} or {"layer", "image"}
 */
#pragma once

#include "engine/container.h"

#define CK_EXPORTED "exported"

/*
 * The archive at PATH, complete, is the newest checkpoint of the container with the directory DIR.
 * Synced, with what it needs.
 */
int exported_note(struct engine *e, int dir, const char *path) MUST_CHECK;
/* So is the layer with the digest LAYER, which has come as the image NAME. */
int exported_note_image(struct engine *e, int dir, const char *layer, const char *name) MUST_CHECK;

/* Is there such a checkpoint, wherever its archive is now? */
bool exported_is_noted(int dir);

/* There is one, and its archive is what it was. */
bool exported_is_there(struct engine *e, const struct container *c);

/* Where it is, for the caller to free; 1: there is none. */
int exported_find(struct engine *e, const struct container *c, char **ret_path) MUST_CHECK;

/* Its images, and what of /dev/shm is beside them, into the container's directory DIR, as
 * CK_IMAGES.  1: there is none. */
int exported_fetch(struct engine *e, const struct container *c, int dir) MUST_CHECK;
