/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a restore's story: restore.c. */
#pragma once

#include "cr/step.h"

#define STUB_TIMEOUT_MS 10000

struct restore_part {
	const struct restore_step *steps;
	unsigned n;
};

extern const struct restore_part restore_plan; /* nothing is made yet */
extern const struct restore_part restore_fork; /* until all processes are there */
extern const struct restore_part restore_rest;

/* Agents end: once, and for tracers once more, when what they trace is theirs again. */
extern const struct restore_part restore_end;
extern const struct restore_part restore_traced;
