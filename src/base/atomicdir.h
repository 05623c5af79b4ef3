/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that exists whole or not at all.
 *
 *	CLEANUP(atomicdir_drop) struct atomicdir d = ATOMICDIR_NONE;
 *
 *	r = atomicdir_begin(&d, parent, "checkpoint");	// makes checkpoint.new-XXXX
 *	... files are created below d.fd ...
 *	r = atomicdir_commit(&d);	// syncs all of it, then puts it in the place of the old one
 *
 * The directory is flat: files in subdirectories are not synced.  Left without a commit, everything
 *is removed.  What a crashed process left behind is removed by the next atomicdir_begin() of the
 *same name; the caller holds whatever lock makes it the only writer.
 */
#pragma once

#include "base/err.h"

struct atomicdir {
	int parent, fd; /* fd: the directory under construction */
	char name[256], aside[300];
	int also[4];
	unsigned nalso;
};
#define ATOMICDIR_NONE ((struct atomicdir){.parent = -1, .fd = -1})

int atomicdir_begin(struct atomicdir *d, int parent, const char *name) MUST_CHECK;

/* A file elsewhere that the commit syncs as well, so that its wait is shared; none is fine. */
int atomicdir_also(struct atomicdir *d, int dir, const char *name) MUST_CHECK;

int atomicdir_commit(struct atomicdir *d) MUST_CHECK;
void atomicdir_drop(struct atomicdir *d);
