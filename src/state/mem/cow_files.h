/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private mappings of files in which a parent and its children have pages in common: cow.c.  They
 * are made before the tree's other files are there, so only plain ones are: a file of the first
 * process' mounts that its name leads to.  All others are mapped later, by each for itself.
 */
#pragma once

#include "state/restore.h"

#define COW_FILES 64
#define COW_MAPS  256

struct cow_files {
	int fds[COW_FILES], tfds[COW_FILES];
	const VmaEntry *maps[COW_MAPS];
	unsigned use[COW_MAPS]; /* which of the files */
	unsigned n, nmaps;
};

/* Can this mapping be made that early? */
bool cow_file_may(const struct restore *r, const VmaEntry *v);

/* Is it a piece of one of its parent's, of the same file? */
bool cow_file_same(const struct restore *r, const struct rtask *t, const VmaEntry *v);

/* Opens its file; what cannot be opened now, or does not fit, is left out. */
void cow_files_add(struct cow_files *c, struct restore *r, const VmaEntry *v);

/* To the task: tfds[]. */
int cow_files_give(struct cow_files *c, struct batch *b) MUST_CHECK;
void cow_files_end(struct cow_files *c, struct batch *b);
void cow_files_clear(struct cow_files *c);
