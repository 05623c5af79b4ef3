/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of files as a tar file inside an archive (rootfs-diff.tar, volumes/NAME.tar), without a
 * copy on disk: the tree is looked through once to know its size, and then streamed.
 *
 *	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
 *
 *	r = pack_tree_new(dir, &t);
 *	r = pack_tree_add(t, "etc/motd");	// or pack_tree_add_all(): everything, the root as
 *"./" r = pack_tree_write(t, p, "rootfs-diff.tar");
 *
 * or, as a file of its own, with
 *
 *	r = pack_tree_write_fd(t, fd, sum);
 *
 * Owners, modes, times in nanoseconds, extended attributes, hard links, holes, links and FIFOs
 * travel; sockets, which no tar file can hold, are left out (they are made again with what is bound
 * to them).  A file that somebody writes to meanwhile is padded or cut to the size that it had.
 */
#pragma once

#include "base/sha256.h"
#include "engine/pack.h"

struct pack_tree;

/* ROOT is borrowed. */
int pack_tree_new(int root, struct pack_tree **ret) MUST_CHECK;
/* One file, not what is below it.  Links are not followed.  One that is gone is skipped. */
int pack_tree_add(struct pack_tree *t, const char *path) MUST_CHECK;
/* The root as "./" and all below it on the same file system. */
int pack_tree_add_all(struct pack_tree *t) MUST_CHECK;
/* One file and, if it is a directory, all below it. */
int pack_tree_add_tree(struct pack_tree *t, const char *path) MUST_CHECK;
/* Other file systems below the root belong to it as well, but not the kernel's own (/proc ...). */
void pack_tree_cross(struct pack_tree *t);
/* All names begin with "./". */
void pack_tree_dots(struct pack_tree *t);
unsigned pack_tree_entries(const struct pack_tree *t);
/* Of the files' content that will be written. */
uint64_t pack_tree_content(const struct pack_tree *t);
/* An empty file of that name that stands for nothing: ".wh.NAME" of a layer. */
void pack_tree_add_mark(struct pack_tree *t, const char *path);
/* All of it to FD, a file, pipe or socket.  SUM (or NULL) takes what is written. */
int pack_tree_write_fd(struct pack_tree *t, int fd, struct sha256 *sum, uint64_t *ret_bytes)
	MUST_CHECK;
int pack_tree_write(struct pack_tree *t, struct pack *p, const char *member) MUST_CHECK;
void pack_tree_drop(struct pack_tree **t);
