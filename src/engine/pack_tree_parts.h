/* SPDX-License-Identifier: Apache-2.0 */
/* Between pack_tree.c, which looks at a tree, and pack_tree_write.c; nobody else includes this. */
#pragma once

#include "engine/pack_tree.h"

#include <glib.h>
#include <sys/stat.h>

#define TREE_CHUNK ((size_t)1 << 20)

struct tree_xattr {
	char *name;
	void *value;
	size_t len;
};

struct tree_segment {
	uint64_t at, len;
};

struct tree_node {
	char *path; /* relative to the root, as it is in the tar file */
	char *link; /* of a symbolic link, or the path of an earlier hard link */
	struct stat st;
	GArray *xattrs;	  /* struct tree_xattr, or NULL */
	GArray *segments; /* struct tree_segment: data between holes; NULL: there are none */
	bool is_hardlink, is_mark;
};

struct file_id {
	uint64_t dev, ino;
};

struct pack_tree {
	int root;
	dev_t dev;
	GArray *nodes;
	bool cross, dots;
	GHashTable *links; /* struct file_id -> path */
	uint64_t content;
	char *buf; /* TREE_CHUNK bytes */
};
