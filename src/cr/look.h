/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a tree that runs: what cannot be saved is collected in d->refused. */
#pragma once

#include "state/dump.h"

/* Everything that is to be looked at; the tree is read anew. */
int look_all(struct dump *d) MUST_CHECK;

/* Could sessions and groups be made again?  Asked once more when the tree is frozen. */
int look_plan(struct dump *d) MUST_CHECK;

/* CHECK of one task; what it finds is forgotten if the task is ending by then. */
int look_at(struct dump *d, struct dtask *t, int (*check)(struct dump *d, struct dtask *t))
	MUST_CHECK;

/* What somebody else traces is refused, of all tasks, be it one thread only. */
int look_tracers(struct dump *d) MUST_CHECK;

/* LOOK until nothing is refused; several times if it does not pass. */
int look_patiently(struct dump *d, int (*look)(struct dump *d)) MUST_CHECK;
