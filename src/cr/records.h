/* SPDX-License-Identifier: Apache-2.0 */
/* Records about the whole: inventory, tree, statistics, and what CRIU has no place for. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

int records_dump_tree(struct dump *d) MUST_CHECK;

/* Makes, before the freeze, the files that a dump of what was looked at will write. */
int records_expect(struct dump *d) MUST_CHECK;

/* inventory.img, IMAGE_EXTRA and the link to the images before: alone, that of a pre-dump. */
int records_dump_inventory(struct dump *d) MUST_CHECK;

/* d->o.parent: what those images tell of the tree that is being looked at. */
int records_look_before(struct dump *d) MUST_CHECK;
int records_dump_stats(struct dump *d) MUST_CHECK;
/* A tree is there without them, too. */
void records_restore_stats(const struct restore *r);

/* IMAGE_EXTRA; NULL when there is none.  The caller's. */
int records_load_extra(int images, json_t **ret) MUST_CHECK;

/* r->tasks with all that the images say of each; nothing is made yet. */
int records_load(struct restore *r) MUST_CHECK;
