/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint that went straight into an archive: its memory was never written twice, so the
 * container's own directory has none.  `restore CONTAINER` reads it from that archive, as long as
 * that is where it was and as it was.
 *
 *	userdata/exported/archive.json	{"path", "size", "mtime_ns"}
 */
#pragma once

#include "engine/container.h"

#define CK_EXPORTED "exported"

/* The archive at PATH, complete, is the newest checkpoint of C.  Synced, with what it needs. */
int exported_note(struct engine *e, const struct container *c, int dir, const char *path)
	MUST_CHECK;

/* Is there such a checkpoint, wherever its archive is now? */
bool exported_is_noted(int dir);

/* There is one, and its archive is what it was. */
bool exported_is_there(struct engine *e, const struct container *c);

/* Its images into the container's directory DIR, as CK_IMAGES.  1: there is none. */
int exported_fetch(struct engine *e, const struct container *c, int dir) MUST_CHECK;
