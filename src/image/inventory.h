/* SPDX-License-Identifier: Apache-2.0 */
/* inventory.img, the first file anybody reads, and stats-dump, stats-restore. */
#pragma once

#include "image/image.h"
#include "image/inventory.pb-c.h"
#include "image/stats.pb-c.h"

#define IMAGE_VERSION 2 /* CRTOOLS_IMAGES_V1_1: two magics */

/*
 * INVENTORY_ENTRY__INIT with what every dump of today says: version, fdinfo_per_id, ns_per_id, no
 * LSM, uptime from CLOCK_MONOTONIC in microseconds.  The caller adds root_ids and root_cg_set.
 */
void inventory_init(InventoryEntry *e);

/* Refuses other versions: "inventory.img: version 7 is not known". */
int inventory_load(int dir, InventoryEntry **ret) MUST_CHECK;

/* One record with either half set.  Written at once, not through an image_writer. */
int stats_write_dump(int dir, DumpStatsEntry *e) MUST_CHECK;
int stats_write_restore(int dir, RestoreStatsEntry *e) MUST_CHECK;
int stats_load(int dir, enum image_kind kind, StatsEntry **ret) MUST_CHECK;
