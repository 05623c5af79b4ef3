/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a layer is unpacked to.  Every name from a tar file goes through here, and nothing that
 * this hands out is outside of the layer: directories are opened by openat2(2) with
 * RESOLVE_BENEATH, and the last part of a name is never followed.
 *
 * The layers below are only looked at: a directory that a layer merely passes through gets the
 * owner, mode and times that it has there.
 */
#pragma once

#include "base/err.h"

#include <sys/stat.h>

struct layer_tree {
	int root;	    /* diff of the layer, borrowed */
	const int *parents; /* diffs below, topmost first, borrowed */
	unsigned nparents;
	unsigned depth_max;
	char *dir; /* the directory that DIR_FD is open on (O_PATH), or NULL */
	int dir_fd;
};
#define LAYER_TREE(...) ((struct layer_tree){.dir_fd = -1, __VA_ARGS__})

void layer_tree_clear(struct layer_tree *t);
/* Something was removed: what is remembered may be gone. */
void layer_tree_forget(struct layer_tree *t);

/*
 * "./a//b/" -> "a/b", "/a" -> "a", "." -> "".  -EXDEV: has "..", leaves the layer; -ENAMETOOLONG:
 * deeper than DEPTH_MAX.
 */
int layer_tree_clean(const struct layer_tree *t, const char *name, char **ret) MUST_CHECK;

/*
 * The directory that the clean PATH is in, made with its parents when MAKE.  *RET_DIR stays ours
 * and valid until the next call; *RET_BASE points into PATH.
 */
int layer_tree_parent(struct layer_tree *t, const char *path, bool make, int *ret_dir,
		      const char **ret_base) MUST_CHECK;

#define OVERLAY_OPAQUE "trusted.overlay.opaque"
bool overlay_is_whiteout(const struct stat *st);
bool overlay_is_opaque(int dir);

/*
 * What PATH is in the layers (topmost first) put together as overlayfs would: 1 and *RET_ST, and
 * *RET_FD (O_PATH, the caller's) unless that is NULL; 0 when there is nothing.  Symbolic links are
 * not followed anywhere.
 */
int overlay_lookup(const int *layers, unsigned n, const char *path, struct stat *ret_st,
		   int *ret_fd) MUST_CHECK;

/* Gives DIR/NAME owner, mode, times and extended attributes of FROM. */
int overlay_copy_attributes(int from, const struct stat *st, int dir, const char *name) MUST_CHECK;
/* May an extended attribute of this name be taken over from an image? */
bool overlay_xattr_wanted(const char *name);
