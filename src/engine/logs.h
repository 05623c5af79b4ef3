/* SPDX-License-Identifier: Apache-2.0 */
/* What containers wrote: conmon's k8s-file logs, "<RFC3339Nano> stdout|stderr F|P <text>". */
#pragma once

#include "engine/container.h"

#include <stdio.h>

struct logs_options {
	bool follow; /* until the containers end */
	bool timestamps, names;
	int64_t tail;		    /* last lines only; -1: all */
	int64_t since_ns, until_ns; /* CLOCK_REALTIME; 0: no bound */
};

/*
 * Lines of stdout to OUT, of stderr to ERR; several containers are merged by time, and each line
 * says whose it is: the short ID, or the name with NAMES.
 */
int logs_show(struct engine *e, struct container *const *c, unsigned n,
	      const struct logs_options *o, FILE *out, FILE *err) MUST_CHECK;

/*
 * "2026-11-21T07:00:00Z" and parts of it (local time without a zone), "1732172400.5", or a
 * duration, "1h10m", which is before now for --since and after it for --until.  -EINVAL.
 */
int logs_parse_time(const char *text, int64_t *ret_ns) MUST_CHECK;
int logs_parse_until(const char *text, int64_t *ret_ns) MUST_CHECK;
