/* SPDX-License-Identifier: Apache-2.0 */
/* Relative waits: what both halves of it know.  For others: state/task/task.h. */
#pragma once

#include "base/nanoseconds.h"
#include "state/task/task.h"

#define WAITS_NS NANOSECONDS

/* How a call has its time. */
struct timed {
	uint64_t nr;
	unsigned time, rest; /* arguments; REST 0: nothing is written */
	bool in_ms;	     /* the argument itself, an int */
	bool again;	     /* has no restart_block */
};

int64_t waits_now(void); /* CLOCK_MONOTONIC */

/* The call that the thread is in, interrupted by us; NULL: it has no time to wait. */
const struct timed *waits_interrupted(const struct regs *r);

/* What is left at NOW.  1: not known, or without an end. */
int waits_rest(const struct dump *d, const struct dthread *h, const struct regs *r,
	       const struct timed *k, int64_t now, int64_t *ret_ns) MUST_CHECK;

/* When the wait of R will end, if that was noted when the thread was released last, at BEGUN. */
bool waits_note_read(pid_t pid, const struct regs *r, int64_t begun_ns, int64_t *ret_ns);
