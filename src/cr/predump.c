/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of a pre-dump: the tree stands still only as long as it takes to tell which pages have
 * changed; it runs on while they are copied.  What it writes meanwhile is for the next round.
 */
#include "cr/cryo.h"
#include "cr/look.h"
#include "cr/records.h"
#include "cr/step.h"

#include "base/log.h"
#include "kernel/probe.h"
#include "state/mem/mem.h"
#include "state/mem/readout.h"
#include "state/mem/track.h"
#include "state/task/task.h"
#include "state/tree.h"

#include <errno.h>

int cryo_can_track(void)
{
	int r = probe_has_name("uffd-wp-async");

	if (r == 1)
		r = probe_has_name("pagemap-scan");
	if (r == 0)
		return err_set(EOPNOTSUPP, "this kernel cannot tell which memory has changed: %s",
			       err_message());
	return MIN(r, 0);
}

static int check_task(struct dump *d, struct dtask *t)
{
	g_autofree struct insns *ins = NULL;
	int r;

	if (t->zombie)
		return 0;
	r = regs_check(d, t);
	if (r < 0)
		return r;
	if (uffd_marks(d, t))
		return dump_refuse(
			d, dtask_wrap(t, err_set(EOPNOTSUPP,
						 "it marks what it has written by a userfaultfd of "
						 "its own (UFFD_FEATURE_WP_ASYNC); dump without a "
						 "pre-dump")));
	ins = g_new0(struct insns, 1);
	if (agent_scout(t->proc.dir, t->proc.pid, ins) < 0)
		err_clear(); /* asked again when it stands still */
	else
		g_hash_table_insert(d->scouted, GINT_TO_POINTER(t->proc.pid),
				    g_steal_pointer(&ins));
	return 0;
}

static int look(struct dump *d)
{
	int r = tree_look(d);

	if (r == 0)
		r = sharing_check(d);
	if (r == 0)
		r = look_tracers(d);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		r = look_at(d, dump_task(d, i), check_task);
	return r < 0 ? r : records_look_before(d);
}

static int look_new(struct dump *d)
{
	int r = look_patiently(d, look);

	if (r == 0 && d->refused->len) {
		g_auto(GStrv) lines = g_strsplit(d->refused->str, "\n", -1);
		g_autofree char *all = g_strjoinv("; ", lines);

		return err_set(EOPNOTSUPP, "%s", all);
	}
	return r;
}

static int begin(struct dump *d)
{
	d->extra = json_pack("{s:i}", "version", 1);
	return 0;
}

static int read_maps(struct dump *d, struct dtask *t)
{
	t->extra = json_object();
	return maps_read(t->proc.dir, &t->maps);
}

/* Only to make a tracker; one that is there already is used from outside. */
static int inject(struct dump *d, struct dtask *t)
{
	if (t->track)
		return 0;
	return agent_inject(&t->seized,
			    g_hash_table_lookup(d->scouted, GINT_TO_POINTER(t->proc.pid)), NULL,
			    &t->agent);
}

static const struct dump_step steps[] = {
	{"sharing", .all = sharing_check},
	{"begin", .all = begin},
	{"maps", .task = read_maps},
	{"trackers", .space = track_find},
	{"agent", .space = inject},
	{"tracking", .space = track_begin},
	{"changed memory", .all = mem_readout_begin},
};

/* What has been begun is not followed by anybody. */
static void end_tracking(struct dump *d)
{
	ERR_KEEP;

	d->o.track_mem = false;
	for (unsigned i = 0; d->frozen && i < d->tasks->len; i++)
		if (dump_task(d, i)->agent && track_end(d, dump_task(d, i)) < 0)
			err_clear();
}

static int freeze_and_tell(struct dump *d)
{
	uint64_t start = step_now_us(), begun;
	int r;

	waits_look(d);
	waits_freeze(d);
	r = tree_freeze(d);

	begun = step_now_us();
	d->stats.freezing_time = (uint32_t)(begun - start);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(steps); i++) {
		uint64_t at = step_now_us();

		r = dump_step_run(d, &steps[i]);
		log_debug("pre-dump: %s: %" PRIu64 " us", steps[i].name, step_now_us() - at);
	}
	if (r < 0)
		end_tracking(d);
	tree_resume(d);
	d->stats.frozen_time = (uint32_t)(step_now_us() - begun);
	d->stats.memdump_time = d->stats.frozen_time;
	return r;
}

static int write_all(struct dump *d)
{
	uint64_t at = step_now_us();
	int r = mem_readout_write(d);

	if (r == 0)
		r = page_sinks_end(d);

	d->stats.memwrite_time = (uint32_t)(step_now_us() - at);
	for (unsigned i = 0; i < d->tasks->len; i++)
		core_keep_extra(d, dump_task(d, i));
	if (r == 0)
		r = records_dump_inventory(d);
	if (r == 0)
		r = image_writer_finish(&d->w);
	return r < 0 ? r : records_dump_stats(d);
}

static void clear(struct dump *d)
{
	ERR_KEEP;

	tree_release(d);
	image_writer_drop(&d->w);
	mem_readout_end(d);
	track_clear(d);
	tree_clear(d);
	g_clear_pointer(&d->waits, g_hash_table_unref);
	g_clear_pointer(&d->vforks, g_hash_table_unref);
	json_decref(d->extra);
	json_decref(d->parent_extra);
	g_hash_table_unref(d->scouted);
	g_string_free(d->refused, TRUE);
}

int cryo_predump(const struct cryo_dump_options *options, int dir, struct cryo_dump_stats *ret)
{
	CLEANUP(clear)
	struct dump d = {
		.o = *options,
		.dir = dir,
		.root = -1,
		.next_pages_id = 1,
		.refused = g_string_new(NULL),
		.scouted = g_hash_table_new_full(NULL, NULL, NULL, g_free),
	};
	int r;

	d.o.track_mem = true;
	image_writer_init(&d.w, dir);
	r = cryo_can_track();
	if (r == 0)
		r = look_new(&d);
	if (r == 0)
		r = mem_readout_tell_maps(&d);
	if (r == 0)
		r = freeze_and_tell(&d);
	if (r == 0)
		r = write_all(&d);
	*ret = d.stats;
	return r;
}
