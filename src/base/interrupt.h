/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C in the middle of something long that can be taken back.
 *
 *	CLEANUP(interrupt_end) struct interrupt i = interrupt_begin();
 *
 *	... r = interrupt_check();	// now and then: -EINTR, and everything is taken back
 *	interrupt_commit();		// done: from here on it is too late, and not even looked at
 *
 * SIGINT, SIGTERM and SIGHUP are noted until interrupt_end(); outside they mean what they always
 *do. A second one ends the program.  Nested uses are one.  System calls are restarted, so that
 *nothing fails half-way.
 */
#pragma once

#include "base/err.h"

#include <signal.h>

struct interrupt {
	bool begun, outer;
	struct sigaction old[3];
};

struct interrupt interrupt_begin(void);
void interrupt_end(struct interrupt *i);
int interrupt_check(void) MUST_CHECK;
void interrupt_commit(void);
