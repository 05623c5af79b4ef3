/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that are on their way here from another host: ROOT/arrivals/ID is there, and locked,
 * from before there is anything of one until it runs here.  Found without the lock, whoever was
 * taking it in has been killed: what there is of it is nobody's, and goes.
 */
#pragma once

#include "engine/engine.h"

#include <glib.h>

/* Before the container exists, or volumes of these names (char *).  *RET_FD holds the lock. */
int arrival_begin(struct engine *e, const char *id, const GPtrArray *volumes, int *ret_fd)
	MUST_CHECK;
/* It runs, or nothing is left of it. */
void arrival_end(struct engine *e, const char *id, int *fd);

/* Takes away what killed ones have left.  Best effort; costs one open(2) when there are none. */
void arrivals_sweep(struct engine *e);
