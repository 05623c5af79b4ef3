/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same thing for many, by several threads of ours at a time.
 *
 *	static void ask(void *arg, unsigned i);	// its result goes into an array, at I
 *	...
 *	parallel_run(n, ask, &all);
 *
 * FN is called once with each I below N, in any order, by the caller and other threads, which are
 * gone when it returns; without them (a limit of processes) the caller does it alone.  Stories of
 *errors are a thread's own (base/err.h), and so is what it traces: FN neither leaves the one behind
 *nor uses ptrace(2).
 */
#pragma once

#include "base/base.h"

#define PARALLEL_HELPERS_MAX 7

/* For work of some microseconds each, by as many threads as there are processors; few by one. */
void parallel_run(unsigned n, void (*fn)(void *arg, unsigned i), void *arg);

/* By up to HELPERS other threads: for work that mostly waits. */
void parallel_run_with(unsigned n, unsigned helpers, void (*fn)(void *arg, unsigned i), void *arg);

/*
 * One thing while the caller does others; what is said of FN above is true of it, too.  Whoever
 * does it is made before, as that takes time, and is there until the end, which waits for it and
 * returns what it did, with its story.  Without a thread it is done there.
 */
struct beside;
struct beside *beside_new(void);
void beside_begin(struct beside *b, int (*fn)(void *arg), void *arg); /* once, or not at all */
int beside_end(struct beside **b) MUST_CHECK; /* NULL: there is nothing to end, 0 */
