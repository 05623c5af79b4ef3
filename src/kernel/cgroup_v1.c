/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The freezer controller of version 1 (kernel/cgroup/legacy_freezer.c).  There is nothing to wait
 * on: reading freezer.state looks whether all tasks have arrived.
 */
#include "base/file.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Reading says FREEZING for ever when a task was forked or moved in at the wrong moment. */
#define AGAIN_EVERY 64

static int set(const struct freezer *f, bool frozen)
{
	return file_poke_at(f->dir, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

static int is_state(const struct freezer *f, const char *state)
{
	g_autofree char *text = NULL;
	int r = file_read_at(f->dir, "freezer.state", 4096, &text, NULL);

	return r < 0 ? r : g_str_has_prefix(text, state);
}

static int get(const struct freezer *f)
{
	int r = is_state(f, "THAWED");

	return r < 0 ? r : !r;
}

static int await(const struct freezer *f, bool frozen, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
	long pause_us = 10;

	for (unsigned i = 1;; i++) {
		struct timespec ts = {.tv_nsec = pause_us * 1000};
		int r = is_state(f, frozen ? "FROZEN" : "THAWED");

		if (r != 0)
			return r;
		if (g_get_monotonic_time() >= end)
			return 0;
		if (frozen && f->ours && i % AGAIN_EVERY == 0) {
			r = set(f, false);
			if (r == 0)
				r = set(f, true);
			if (r < 0)
				return r;
		}
		nanosleep(&ts, NULL);
		pause_us = MIN(pause_us * 2, 2000);
	}
}

const struct freezer_ops freezer_v1 = {.name = "v1", .set = set, .wait = await, .get = get};
