/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pid namespaces below the root's.  Images and all of our own tables name a task by the number that
 * the root's namespace sees; further in it has others, one per level (pid_namespaces(7)): "levels"
 * in IMAGE_EXTRA, from the outermost to its own.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

/* The number that the root's namespace sees. */
pid_t level_of_root(const struct dump *d, const struct pid_chain *c);

int levels_check(const struct dtask *t) MUST_CHECK; /* not more than we can make */
bool levels_is_init(const struct dtask *t);	    /* of a pid namespace below the root's */
unsigned levels_below(const struct dtask *t);	    /* the root's */
int levels_dump(struct dump *d, struct dtask *t) MUST_CHECK;

/* How its parent's namespace sees a task that is dumped. */
pid_t levels_seen_by_parent(const struct dump *d, const struct dtask *t);

int levels_load(struct restore *r) MUST_CHECK; /* when it is known who helps */
unsigned levels_saved(const struct rtask *t);  /* also before that */
pid_t levels_own(const struct rtask *t);
pid_t levels_own_tid(const struct rthread *h);
/* T as WHO's own namespace sees it. */
pid_t levels_seen_by(const struct rtask *who, const struct rtask *t);
/* A group of T's as its own namespace sees it; 0: it does not. */
pid_t levels_group(const struct rtask *t, pid_t pgid);
/* Any group of the tree as T's own namespace sees it; 0: nobody in there is in it. */
pid_t levels_any_group(const struct rtask *t, pid_t pgid);
/* For clone3(2), innermost first; how many. */
unsigned levels_tids(const struct rtask *t, pid_t ret[static LEVELS_MAX + 1]);
unsigned levels_thread_tids(const struct rthread *h, pid_t ret[static LEVELS_MAX + 1]);
