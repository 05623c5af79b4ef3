/* SPDX-License-Identifier: Apache-2.0 */
/* --print-stats of checkpoint and restore: Podman's JSON, statistics that are 0 left out. */
#pragma once

#include "base/base.h"

#include <jansson.h>

struct checkpoint_stat {
	const char *name; /* NULL ends a list */
	uint64_t value;
};

json_t *checkpoint_stats_entry(const char *id, const char *duration_name, uint64_t duration_us,
			       const struct checkpoint_stat *rows);

/* VERB: "checkpoint" or "restore".  START_US: g_get_monotonic_time() when the command began. */
void checkpoint_stats_print(const char *verb, int64_t start_us, json_t *entries);
