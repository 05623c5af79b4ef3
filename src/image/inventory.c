/* SPDX-License-Identifier: Apache-2.0 */
#include "image/inventory.h"

#include <errno.h>
#include <time.h>

#define PRE_DUMP_SPLICE 1 /* criu_pre_dump_mode of rpc.proto */

void inventory_init(InventoryEntry *e)
{
	struct timespec now;

	*e = (InventoryEntry)INVENTORY_ENTRY__INIT;
	clock_gettime(CLOCK_MONOTONIC, &now);
	e->img_version = IMAGE_VERSION;
	e->has_fdinfo_per_id = e->has_ns_per_id = true;
	e->fdinfo_per_id = e->ns_per_id = true;
	e->has_lsmtype = true;
	e->lsmtype = LSMTYPE__NO_LSM;
	e->has_dump_uptime = true;
	e->dump_uptime = (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	e->has_pre_dump_mode = true;
	e->pre_dump_mode = PRE_DUMP_SPLICE;
}

int inventory_load(int dir, InventoryEntry **ret)
{
	CLEANUP(image_record_free) InventoryEntry *e = NULL;
	int r = image_load_needed(dir, IMG_INVENTORY, 0, &e);

	if (r < 0)
		return r;
	/* 1 is the scheme of a single magic (CRIU before 1.4) */
	if (e->img_version != IMAGE_VERSION)
		return err_set(EPROTONOSUPPORT, "inventory.img: image version %u is not known",
			       e->img_version);
	*ret = g_steal_pointer(&e);
	return 0;
}

static int write_one(int dir, enum image_kind kind, const StatsEntry *e)
{
	CLEANUP(image_writer_drop) struct image_writer w;
	int r;

	image_writer_init(&w, dir);
	r = image_write(&w, kind, 0, &e->base);
	return r < 0 ? r : image_writer_finish(&w);
}

int stats_write_dump(int dir, DumpStatsEntry *dump)
{
	StatsEntry e = STATS_ENTRY__INIT;

	e.dump = dump;
	return write_one(dir, IMG_STATS_DUMP, &e);
}

int stats_write_restore(int dir, RestoreStatsEntry *restore)
{
	StatsEntry e = STATS_ENTRY__INIT;

	e.restore = restore;
	return write_one(dir, IMG_STATS_RESTORE, &e);
}

int stats_load(int dir, enum image_kind kind, StatsEntry **ret)
{
	CLEANUP(image_record_free) StatsEntry *e = NULL;
	int r = image_load_needed(dir, kind, 0, &e);

	if (r < 0)
		return r;
	if (kind == IMG_STATS_DUMP ? !e->dump : !e->restore)
		return err_set(EBADMSG, "image %s has no statistics of that kind",
			       image_file(kind)->name);
	*ret = g_steal_pointer(&e);
	return 0;
}
