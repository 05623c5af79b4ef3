/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoint and restore print; --print-stats: Podman's JSON, statistics that are 0 left out.
 */
#pragma once

#include "cli/cmd/pick.h"

#include <jansson.h>

struct checkpoint_stat {
	const char *name; /* NULL ends a list */
	uint64_t value;
};

json_t *checkpoint_stats_entry(const char *id, const char *duration_name, uint64_t duration_us,
			       const struct checkpoint_stat *rows);

/* What --print-stats prints: ENTRIES is an array of those. */
void checkpoint_stats_print(const char *verb, int64_t start_us, json_t *entries);

/* Freezes or thaws one container; *RET is its checkpoint_stats_entry(). */
typedef int (*checkpoint_one)(struct cli *cli, struct container *c, json_t **ret);

/*
 * ONE for each of PICKS, with its name or, at the end, the statistics of all printed.  VERB:
 * "checkpoint" or "restore"; START_US: g_get_monotonic_time() when the command began.  Returns the
 * exit status: one that fails does not stop the others.
 */
int checkpoint_each(struct cli *cli, const GArray *picks, const char *verb, bool print_stats,
		    int64_t start_us, checkpoint_one one) MUST_CHECK;
