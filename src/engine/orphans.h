/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conmon whose command was killed before it could note what conmon has made.
 *
 * conmon detaches itself early and then goes on alone: it would finish `runtime create` behind the
 * back of whoever holds the container's lock next.  So the run directory says "creating" from
 * before conmon's start until the record is saved, and who finds that with the lock held puts an
 * end to it.
 */
#pragma once

#include "engine/container.h"

int orphans_mark(struct engine *e, const struct container *c) MUST_CHECK;
void orphans_unmark(struct engine *e, const struct container *c);
bool orphans_marked(struct engine *e, const struct container *c);

/* Ends them and takes the mark away.  Lock held, container not running. */
int orphans_end(struct engine *e, const struct container *c) MUST_CHECK;
