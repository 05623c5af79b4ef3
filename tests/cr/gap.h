/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the program has been away: between a dump and a restore without a time namespace its
 * clocks go on, and what waits for so long has all the rest of its time left.
 */
#pragma once

#include "cr.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic uint64_t longest_gap;

static void *gap_watch(void *arg)
{
	uint64_t last = clock_ns(CLOCK_MONOTONIC);

	for (;;) {
		uint64_t now;

		usleep(5000);
		now = clock_ns(CLOCK_MONOTONIC);
		if (now - last > longest_gap)
			longest_gap = now - last;
		last = now;
	}
	return arg;
}

/* From here on; by a thread that nobody waits for. */
static void gap_begin(void)
{
	pthread_t t;

	check(pthread_create(&t, NULL, gap_watch, NULL) == 0 && pthread_detach(t) == 0);
}

static double gap_s(void)
{
	return (double)longest_gap / 1e9;
}
