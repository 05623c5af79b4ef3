/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short answers from tracees and agents.
 *
 * We and they take turns, so one CPU is idle most of the time, and each turn begins with waking it:
 * 30 to 50 us where idle CPUs halt (any virtual machine), against 2 to 3 us for one that polls.
 * Between pace_begin() and pace_end() they poll: /dev/cpu_dma_latency with a limit of 0
 * (Documentation/power/pm_qos_interface.rst).  The kernel takes the wish back by itself when we
 * end.  For milliseconds, not for minutes: it costs power.
 *
 * Meanwhile stops of tracees send no SIGCHLD (SA_NOCLDSTOP), which would interrupt our own other
 * threads each time.
 */
#pragma once

#include "base/base.h"

#include <signal.h>
#include <stdint.h>

/* Who moves more memory than this ends it before. */
#define PACE_MAX_BYTES (UINT64_C(64) << 20)

struct pace {
	int fd;
	bool quiet; /* SIGCHLD's flags were changed */
};
#define PACE_NONE ((struct pace){.fd = -1})

/* Never fails: where it is not allowed everything only takes longer. */
void pace_begin(struct pace *p);
void pace_end(struct pace *p);
