/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of a dump.  Its second half, dump_steps(), runs while the tree is frozen: each step in
 * its order for all that it is about.  Whatever fails, the tree is cured and goes on.
 */
#include "cr/dump_steps.h"
#include "cr/lazy.h"
#include "cr/look.h"
#include "cr/records.h"

#include "base/fd.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/parallel.h"
#include "kernel/peek.h"
#include "state/fd/files.h"
#include "state/mem/mem.h"
#include "state/mem/track.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"
#include "state/task/task.h"
#include "state/task/traced.h"
#include "state/tree.h"
#include "state/tty/tty.h"

#include <errno.h>

/* Of the heap, between the freeze and the end: as counted; a guess that misses costs time. */
#define HEAP_EACH_DUMP	 (256u << 10)
#define HEAP_EACH_TASK	 (256u << 10)
#define HEAP_EACH_THREAD (10u << 10)

struct cryo_dump {
	struct dump d;
	enum { LOOKED, FROZEN, FINISHED, FAILED } state;
};

static int look_new(const struct cryo_dump_options *options, struct cryo_dump **ret)
{
	uint64_t at = step_now_us();
	struct dump *d;
	int r;

	*ret = g_new0(struct cryo_dump, 1);
	d = &(*ret)->d;
	d->o = *options;
	d->root = d->dir = d->mqueues = -1;
	d->next_pages_id = 1;
	d->refused = g_string_new(NULL);
	d->uids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	d->gids = g_array_new(FALSE, FALSE, sizeof(struct id_extent));
	d->scouted = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	fd_raise_limit(); /* some for each process */
	r = d->o.track_mem ? cryo_can_track() : 0;
	if (r < 0)
		return r;
	r = look_patiently(d, look_all);
	log_debug("dump: look: %" PRIu64 " us", step_now_us() - at);
	return r;
}

int cryo_dump_look(const struct cryo_dump_options *options, char ***ret_refusals)
{
	CLEANUP(cryo_dump_drop) struct cryo_dump *c = NULL;
	int r = look_new(options, &c);

	if (r < 0)
		return r;
	*ret_refusals = g_strsplit(c->d.refused->str, "\n", -1);
	return 0;
}

int cryo_dump_new(const struct cryo_dump_options *options, struct cryo_dump **ret)
{
	CLEANUP(cryo_dump_drop) struct cryo_dump *c = NULL;
	int r = look_new(options, &c);
	struct dump *d = &c->d;

	if (r < 0)
		return r;
	if (d->refused->len) {
		g_auto(GStrv) lines = g_strsplit(d->refused->str, "\n", -1);
		g_autofree char *all = g_strjoinv("; ", lines);

		return err_set(EOPNOTSUPP, "%s", all);
	}
	g_string_free(g_steal_pointer(&d->refused), TRUE);
	*ret = g_steal_pointer(&c);
	return 0;
}

static int write_snapshots(struct dump *d)
{
	uint64_t at = step_now_us();
	int r = mem_dump_snapshots(d);

	at = step_now_us() - at;
	log_debug("dump: memory from snapshots: %" PRIu64 " us", at);
	d->stats.memwrite_time = (uint32_t)at;
	return r;
}

/* CPUs that poll are for turns; writing much memory takes few of them. */
static bool has_little_memory(const struct dump *d)
{
	return mem_resident_pages(d) * IMAGE_PAGE_SIZE <= PACE_MAX_BYTES;
}

/* What records and tables will take; memory that was not touched yet is slow, and all would wait.
 */
static void prepare_heap(const struct dump *d)
{
	size_t bytes = HEAP_EACH_DUMP;

	for (unsigned i = 0; i < d->tasks->len; i++)
		bytes += HEAP_EACH_TASK + dtask_nthreads(dump_task(d, i)) * HEAP_EACH_THREAD;
	heap_prepare(bytes);
}

/* Of a dump that has failed: agents are sent home when they have done what they were told. */
static void end_all_asked(struct dump *d)
{
	ERR_KEEP;
	struct beside **all[] = {&d->reading[0], &d->reading[1], &d->finding};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (beside_end(all[i]) < 0)
			err_clear();
	questions_end(d);
}

static int write_all(struct dump *d)
{
	CLEANUP(log_release) log_held held = log_hold();
	CLEANUP(pace_end) struct pace pace = PACE_NONE;
	uint64_t start = step_now_us(), begun;
	const struct dump_step *steps;
	unsigned n;
	int r;

	steps = dump_steps(&n);
	r = socks_hold_newcomers(d);
	if (r < 0)
		return r;
	log_debug("dump: who connects: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	waits_look(d);
	log_debug("dump: waits before: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	prepare_heap(d);
	d->reading[0] = beside_new();
	d->reading[1] = beside_new();
	d->finding = beside_new();
	log_debug("dump: heap before: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	pace_begin(&pace);
	waits_freeze(d);
	r = tree_freeze(d);
	begun = step_now_us();
	d->stats.freezing_time = (uint32_t)(begun - start);
	log_debug("dump: freeze: %" PRIu64 " us", begun - start);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		uint64_t at = step_now_us();

		if (steps[i].all == mem_dump_pages && !has_little_memory(d))
			pace_end(&pace);
		r = dump_step_run(d, &steps[i]);
		at = step_now_us() - at;
		log_debug("dump: %s: %" PRIu64 " us", steps[i].name, at);
		if (steps[i].all == mem_dump_pages || steps[i].all == mem_end_pages)
			d->stats.memdump_time = d->stats.memwrite_time += (uint32_t)at;
	}
	if (r < 0)
		end_all_asked(d);
	if (mem_has_snapshots(d)) /* snapshots hold its memory, or nothing is to be had any more */
		tree_resume(d);
	d->stats.frozen_time = (uint32_t)(step_now_us() - begun);
	if (r == 0 && mem_has_snapshots(d))
		r = write_snapshots(d);
	mem_end_snapshots(d);
	if (r == 0)
		r = image_writer_finish(&d->w);
	if (d->frozen)
		d->stats.frozen_time = (uint32_t)(step_now_us() - begun);
	log_debug("dump: all: %u us", d->stats.frozen_time);
	return r < 0 ? r : records_dump_stats(d);
}

static void records_clear(struct dump *d)
{
	questions_end(d);
	files_dump_end(d);
	socks_dump_end(d);
	g_clear_pointer(&d->shmem, g_hash_table_unref);
	g_clear_pointer(&d->seccomp, g_ptr_array_unref);
	json_decref(d->extra);
	d->extra = NULL;
}

/* It goes on after all; the one thing that is not as it was. */
static void tell_loss(struct dump *d)
{
	if (d->taken)
		log_warn("unix connections that nobody had accepted yet, with descriptors on their "
			 "way, are lost: reading them takes them, and the checkpoint failed after "
			 "that");
	d->taken = false;
}

int cryo_dump_write(struct cryo_dump *c, int dir)
{
	struct dump *d = &c->d;
	int r;

	if (c->state != LOOKED)
		return err_set(EINVAL, "a dump is written once");
	d->dir = dir;
	image_writer_init(&d->w, dir);
	r = records_expect(d);
	if (r == 0)
		r = write_all(d);
	if (r < 0) {
		tell_loss(d);
		dump_unlock_network(d);
		linked_end(d, false);
		tree_release(d);
	}
	image_writer_drop(&d->w);
	records_clear(d);
	c->state = r < 0 ? FAILED : FROZEN;
	return r;
}

int cryo_dump_finish(struct cryo_dump *c, enum cryo_finish how)
{
	int r;

	if (c->state != FROZEN)
		return err_set(EINVAL, "nothing is frozen");
	c->state = FINISHED;
	/* The last hold on the tree's root would make us wait for the end of its mounts. */
	cleanup_close(&c->d.root);
	c->d.root = -1;
	spaces_end(&c->d);
	linked_end(&c->d, how == CRYO_KILL);
	if (how == CRYO_KILL) {
		uint64_t at = step_now_us();

		r = socks_silence(&c->d);
		c->d.taken = false;
		if (r == 0)
			r = tree_kill(&c->d);
		log_debug("dump: end of the processes: %" PRIu64 " us", step_now_us() - at);
		socks_unlock(&c->d);
		c->d.told_lock = false; /* who is gone needs no way out */
		return r;
	}
	socks_unlock(&c->d);
	dump_unlock_network(&c->d);
	if (how == CRYO_STOP)
		tree_stop(&c->d);
	r = how == CRYO_FREEZE ? thaw_undo_later(&c->d) : 0;
	tree_release(&c->d);
	if (how == CRYO_STOP)
		tree_await_stop(&c->d);
	return r;
}

int cryo_dump_serve_lazy(struct cryo_dump *c, int sock)
{
	if (c->state != FROZEN)
		return err_set(EINVAL, "nothing is frozen");
	return lazy_dump_serve(&c->d, sock);
}

uint64_t cryo_dump_bytes(const struct cryo_dump *c)
{
	return mem_resident_pages(&c->d) * IMAGE_PAGE_SIZE;
}

unsigned cryo_dump_threads(const struct cryo_dump *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->d.tasks->len; i++)
		n += dtask_nthreads(dump_task(&c->d, i));
	return n;
}

const struct cryo_dump_stats *cryo_dump_stats(const struct cryo_dump *c)
{
	return &c->d.stats;
}

void cryo_dump_drop(struct cryo_dump **c)
{
	struct dump *d;

	if (!*c)
		return;
	d = &(*c)->d;
	tell_loss(d);
	linked_end(d, false);
	tree_release(d);
	tree_clear(d);
	peek_close(&d->peek);
	socks_dump_end(d);
	socks_unlock(d);
	dump_unlock_network(d);
	cleanup_close(&d->root);
	spaces_end(d);
	cleanup_close(&d->mqueues);
	mountinfo_clear(&d->mounts);
	ptys_seen_free(d);
	g_clear_pointer(&d->uids, g_array_unref);
	g_clear_pointer(&d->gids, g_array_unref);
	g_clear_pointer(&d->waits, g_hash_table_unref);
	g_clear_pointer(&d->vforks, g_hash_table_unref);
	g_clear_pointer(&d->scouted, g_hash_table_unref);
	g_clear_pointer(&d->found, g_hash_table_unref);
	traced_clear(d);
	track_clear(d);
	json_decref(d->parent_extra);
	if (d->refused)
		g_string_free(d->refused, TRUE);
	g_free(g_steal_pointer(c));
}
