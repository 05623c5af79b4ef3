/* SPDX-License-Identifier: Apache-2.0 */
/* The tree itself: planned, forked, sorted into sessions and groups. */
#pragma once

#include "state/restore.h"

/* Slots and steps, with helpers appended to r->tasks; before the agent is adopted. */
int born_plan(struct restore *r) MUST_CHECK;

/* Forks all processes, then lets helpers go.  Zombies-to-be live on. */
int born_make(struct restore *r) MUST_CHECK;

/* Zombies end with the status they had. */
int born_end_zombies(struct restore *r) MUST_CHECK;

/* Threads other than leaders. */
int born_threads(struct restore *r, struct rtask *t) MUST_CHECK;
