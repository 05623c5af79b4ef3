/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel, with our privileges, can do.  Each feature is tried, never guessed from a
 * version.
 */
#pragma once

#include "base/err.h"

struct probe {
	const char *name; /* "pagemap-scan" */
	const char *needed_for;
	const char *without; /* what happens when it is missing */
	bool required;	     /* nothing works without it */
	int (*check)(void); /* 1: there; 0: missing (err_message() says why); < 0: could not tell */
};
extern const struct probe probes[];
extern const size_t probe_count;

const struct probe *probe_find(const char *name);

/* The answer of check(), asked once per process. */
int probe_has(const struct probe *p) MUST_CHECK;
int probe_has_name(const char *name) MUST_CHECK;
