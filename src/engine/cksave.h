/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint with a name while it is being written, or gone back to; engine/checkpoint.c and
 * engine/restore.c call these at the right moments.
 */
#pragma once

#include "base/treesync.h"
#include "engine/container.h"

struct checkpoint_report;

struct named_options {
	const char *name;
	const char *dir; /* --checkpoint-dir, or NULL */
};

struct cksave {
	struct engine *e;
	const struct container *c;
	const struct named_options *o;
	int base, dir;	/* where named checkpoints are; the one under construction */
	int from, into; /* the root file system's changes and their copy */
	char *aside;	/* its name until it is whole */
	struct treesync *sync;
};
#define CKSAVE_NONE ((struct cksave){.base = -1, .dir = -1, .from = -1, .into = -1})

/*
 * Makes the directory S->dir and copies the root file system's changes while the container runs.
 * -EEXIST: there is one of that name.
 */
int cksave_begin(struct engine *e, const struct container *c, const struct named_options *o,
		 struct cksave *s) MUST_CHECK;

/* All processes are frozen: what has changed since is copied. */
int cksave_frozen(struct cksave *s) MUST_CHECK;

/* Everything is written: synced, and from now on it has its name. */
int cksave_commit(struct cksave *s, const struct checkpoint_report *report, bool leave_running)
	MUST_CHECK;
void cksave_drop(struct cksave *s);
