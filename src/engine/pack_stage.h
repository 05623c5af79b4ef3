/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a pipe line that is a file: what comes is written in large pieces, past the page
 * cache where that is wanted and possible, and looked at (checksums) by threads: while one piece is
 * on its way, the next one is made.
 *
 *	s = pack_stage_new(fd, read_next, tap, arg);	// NULL: not a file that is new and empty
 *	r = pack_stage_put(s, buf, len);
 *	r = pack_stage_end(s);			// all is written, and TAP has seen it
 *
 * TAP sees everything once, in order, but never two pieces at the same time.  Failures are told by
 * a later call; the file is synced by whoever owns it.
 */
#pragma once

#include "base/err.h"

struct pack_stage;

typedef void (*pack_tap)(void *arg, const void *data, size_t len);

/* FD is borrowed; TAP may be NULL.  READ_NEXT: somebody is going to read it at once. */
struct pack_stage *pack_stage_new(int fd, bool read_next, pack_tap tap, void *arg);
int pack_stage_put(struct pack_stage *s, const char *buf, size_t len) MUST_CHECK;
int pack_stage_end(struct pack_stage *s) MUST_CHECK;
void pack_stage_drop(struct pack_stage **s);
