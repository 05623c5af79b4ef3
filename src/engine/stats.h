/* SPDX-License-Identifier: Apache-2.0 */
/* What a container uses, as its control groups and its network namespace count it. */
#pragma once

#include "engine/container.h"

struct container_stats {
	int64_t at_ns;		       /* CLOCK_REALTIME */
	uint64_t cpu_ns;	       /* since it began */
	uint64_t memory, memory_limit; /* bytes; the limit at most what the host has */
	uint64_t pids;
	uint64_t net_in, net_out; /* bytes that came in and went out; not of the host's network */
	uint64_t block_in, block_out; /* bytes read from and written to devices */
};

/* All 0 for a container that does not run. */
int container_stats(struct engine *e, const struct container *c, struct container_stats *ret)
	MUST_CHECK;
