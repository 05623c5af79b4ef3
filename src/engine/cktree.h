/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's processes as libcryo is to see them: who belongs to it, what of it leads outside.
 * For whoever dumps them: a checkpoint, a move to another host.
 *
 *	CLEANUP(cktree_clear) struct cktree t = CKTREE_NONE;
 *
 *	r = cktree_read(e, c, dir, &t);
 *	cktree_await(c, &t);
 *	cktree_options(c, &t, &options);	// with pointers into T
 *	...
 *	r = cktree_end(e, c, &t);		// they are dead
 */
#pragma once

#include "engine/box.h"
#include "engine/sessions.h"

struct cktree {
	struct box box;
	struct sessions sessions;
	struct cryo_external *externals; /* of both */
	unsigned nexternals;
	char *cgroup; /* with a freezer; NULL: there is none */
	const char *cgroups[1];
	bool own_shm;
};
#define CKTREE_NONE ((struct cktree){0})

/* DIR is the container's static directory.  Lock held. */
int cktree_read(struct engine *e, struct container *c, int dir, struct cktree *t) MUST_CHECK;

/* Until each of its first processes executes its own program; bounded. */
void cktree_await(const struct container *c, const struct cktree *t);

/* What says which processes they are, and what stays outside; the rest of O is left alone. */
void cktree_options(const struct container *c, struct cktree *t, struct cryo_dump_options *o);

/*
 * The images are for other engines, too: O says so, and the pipes of its standard streams are pipes
 * there, by the numbers of descriptors.json, for which runtimes know what takes their place.
 */
void cktree_foreign(struct container *c, struct cktree *t, struct cryo_dump_options *o);

/* All its processes have been killed, after a checkpoint: the record, conmon, sessions, mounts. */
int cktree_end(struct engine *e, struct container *c, const struct cktree *t) MUST_CHECK;
void cktree_clear(struct cktree *t);
