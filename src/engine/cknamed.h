/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints with names, many of one container:
 *
 *	DIR/NAME/checkpoint.json	what `checkpoint ls` shows
 *	DIR/NAME/checkpoint/		images
 *	DIR/NAME/rootfs/		the root file system's changes at that instant
 *	DIR/NAME/network.status
 *
 * DIR is userdata/checkpoints, or --checkpoint-dir.  One appears whole, by rename, or not at all;
 * what a killed command left is swept by the next one.  Restoring does not consume it.
 */
#pragma once

#include "engine/container.h"

#define CKNAMED_META   "checkpoint.json"
#define CKNAMED_ROOTFS "rootfs"
#define CKNAMED_NEW    ".new-" /* and its name, until it is whole */

/* Letters, digits, "_.-", beginning with a letter or digit. */
int cknamed_check_name(const char *name) MUST_CHECK;

/* DIR, made if MAKE; CUSTOM or NULL.  -ENOENT when it is not there. */
int cknamed_dir(struct engine *e, const struct container *c, const char *custom, bool make,
		int *ret) MUST_CHECK;
/* The path of DIR, or of NAME in it; the caller's. */
char *cknamed_path(struct engine *e, const struct container *c, const char *custom,
		   const char *name);

/* NAME's own directory.  -ENOENT: "checkpoint NAME does not exist for container CONTAINER". */
int cknamed_open(struct engine *e, const struct container *c, const char *custom, const char *name,
		 int *ret) MUST_CHECK;

/* checkpoint.json of all, oldest first: an array.  No directory: an empty one. */
int cknamed_list(struct engine *e, const struct container *c, const char *custom, json_t **ret)
	MUST_CHECK;

/* Removes what killed commands left in DIR; the container is locked.  CUSTOM: nothing, it may be
 * others'. */
int cknamed_sweep(int dir, const char *custom) MUST_CHECK;

int cknamed_remove(struct engine *e, const struct container *c, const char *custom,
		   const char *name) MUST_CHECK;
