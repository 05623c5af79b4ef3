/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far something long is: one line on stderr that is written again and again and taken away at
 * the end, if stderr is a terminal; nothing otherwise.
 *
 *	CLEANUP(progress_end) struct progress *p = progress_begin("checkpoint web");
 *
 *	progress_total(p, bytes);	// 0: not known
 *	progress_at(p, bytes);		// as often as one likes: two stores
 *
 *	checkpoint web: 412.3 MB of 1.1 GB, 830.2 MB/s, 1 s left
 *
 * What takes less than half a second shows nothing.  P may be NULL everywhere.
 */
#pragma once

#include "base/base.h"

struct progress;

/* NULL: nobody looks. */
struct progress *progress_begin(const char *what);
void progress_total(struct progress *p, uint64_t bytes);
void progress_at(struct progress *p, uint64_t bytes);
/* Who does not count is asked, by another thread: how far now?  Until the next call with NULL. */
void progress_ask(struct progress *p, uint64_t (*ask)(void *arg), void *arg);
void progress_end(struct progress **p);

/* "1.1 GB"; for the caller to free. */
char *progress_bytes(uint64_t bytes);
