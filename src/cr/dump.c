/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of a dump.  Its second half, dump_steps[], runs while the tree is frozen: each step in
 * its order for all that it is about.  Whatever fails, the tree is cured and goes on.
 */
#include "cr/cryo.h"
#include "cr/lazy.h"
#include "cr/look.h"
#include "cr/records.h"
#include "cr/step.h"

#include "base/fd.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/parallel.h"
#include "image/inventory.h"
#include "image/pages.h"
#include "kernel/pace.h"
#include "kernel/peek.h"
#include "kernel/procmisc.h"
#include "state/fd/files.h"
#include "state/mem/mem.h"
#include "state/mem/track.h"
#include "state/ns/cgroups.h"
#include "state/ns/net.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"
#include "state/task/levels.h"
#include "state/task/task.h"
#include "state/task/traced.h"
#include "state/tree.h"
#include "state/tty/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

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

/* Frozen. */

static int read_maps(struct dtask *t)
{
	maps_clear(&t->maps);
	return dtask_wrap(t, maps_read_vmflags(t->proc.dir, &t->maps));
}

static int read_all_maps(void *arg)
{
	struct dump *d = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie)
			r = read_maps(dump_task(d, i));
	return r;
}

/* Looks at each page that is there (fs/proc/task_mmu.c: smaps_pte_entry()): others go on. */
static int begin_maps(struct dump *d)
{
	beside_begin(d->beside, read_all_maps, d);
	return 0;
}

static int end_maps(struct dump *d)
{
	return beside_end(&d->beside);
}

static int begin_records(struct dump *d)
{
	d->extra = json_pack("{s:i}", "version", 1);
	return files_dump_begin(d);
}

/* Of the first that has one: valgrind takes its code away, so that programs do not use it. */
static int dump_vdso(struct dump *d)
{
	struct vdso_part parts[VDSO_PARTS] = {0};
	g_autofree char *hash = NULL;
	struct dtask *t = NULL;
	int r;

	for (unsigned i = 0; !parts[VDSO_CODE].bytes && i < d->tasks->len; i++) {
		t = dump_task(d, i);
		vdso_parts_of_maps(&t->maps, parts);
	}
	if (!parts[VDSO_CODE].bytes)
		return 0;
	r = vdso_hash(t->proc.pid, &parts[VDSO_CODE], &hash);
	if (r < 0)
		return r;
	json_object_set_new(d->extra, "vdso", json_string(hash));
	return 0;
}

/*
 * What is asked of a thread takes 18 operations and 224 bytes; more would be asked in pieces.  New
 * memory of thousands of threads is felt.
 */
#define THREAD_OPS   24
#define THREAD_ARENA 1024

static int inject(struct dump *d, struct dtask *t)
{
	const struct insns *known = g_hash_table_lookup(d->scouted, GINT_TO_POINTER(t->proc.pid));
	/* in memory that is shared another one's agent is by now */
	const struct agent_sizes sizes = {.spare = d->o.snapshot ? 1 : 0,
					  .small_ops = THREAD_OPS,
					  .small_arena = THREAD_ARENA,
					  .maps = t->vm == t->index ? &t->maps : NULL};
	int r = agent_inject(&t->seized, known, &sizes, &t->agent);

	for (unsigned i = 0; r == 0 && i < t->nthreads; i++)
		t->threads[i].slot = agent_thread_slot(t->agent, i);
	return r;
}

static int end_files(struct dump *d)
{
	int r = files_dump_late(d);

	if (r == 0)
		r = socks_check_peers(d);
	return r < 0 ? r : image_touch(&d->w, IMG_FILES, 0);
}

/* Whoever asked for the dump has something to do while nothing moves. */
static int tell_frozen(struct dump *d)
{
	return d->o.frozen ? d->o.frozen(d->o.frozen_arg) : 0;
}

/* What cannot be given back is taken when nothing else is left that could fail. */
static int take_files(struct dump *d)
{
	int r = unix_waiting_dump(d);

	if (r == 0)
		r = files_dump_late(d);
	files_dump_end(d);
	return r;
}

/* Whoever is killed needs no putting in order. */
static int end_tracking(struct dump *d, struct dtask *t)
{
	return d->o.leave_running ? track_end(d, t) : 0;
}

/* A namespace of the tree's own, whose way out is in other hands. */
static int tell_network(struct dump *d, const char *stage)
{
	if (!d->o.stage || !(d->own & CLONE_NEWNET))
		return 0;
	return d->o.stage(d->o.stage_arg, stage, d->o.pid, -1);
}

static int lock_network(struct dump *d)
{
	int r = tell_network(d, "network-lock");

	d->told_lock = r == 0;
	return r < 0 ? r : socks_lock(d);
}

static void unlock_network(struct dump *d)
{
	ERR_KEEP;

	if (d->told_lock && tell_network(d, "network-unlock") < 0)
		log_warn("%s", err_message());
	d->told_lock = false;
}

/* Nothing is added to these any more, and of those of threads there are many. */
static int flush_records(struct dump *d)
{
	static const enum image_kind kinds[] = {IMG_CORE, IMG_IDS, IMG_MM, IMG_FS, IMG_FDINFO};

	return image_flush(&d->w, kinds, ARRAY_SIZE(kinds));
}

static int ask(struct dump *d);

static const struct dump_step dump_steps[] = {
	{"namespaces", .all = spaces_look_frozen},
	{"sharing", .all = sharing_check},
	{"users inside", .all = spaces_check_sharers},
	{"maps", .all = begin_maps},
	{"begin", .all = begin_records},
	{"cores", .any_task = core_dump_begin},
	{"threads' own", .thread = sharing_dump},
	{"namespaces of threads", .task = spaces_dump_threads},
	{"numbers further in", .any_task = levels_dump},
	{"clocks", .all = time_dump},
	{"box", .all = box_dump},
	{"control groups", .all = cgroups_dump},
	{"users", .all = users_dump},
	{"network", .all = net_dump}, /* before there is a lock of ours in it */
	{"registers", .thread = regs_dump},
	{"rseq", .thread = thread_stop_dump},
	{"seccomp", .thread = seccomp_dump},
	{"pending signals", .task = sigpending_dump},
	{"limits", .task = rlimits_dump},
	{"end of maps", .all = end_maps},
	{"vdso", .all = dump_vdso},
	{"layout", .task = mem_dump_layout},
	{"network lock", .all = lock_network},
	{"files", .task = files_dump},
	{"files of threads", .all = files_dump_threads},
	{"directories", .task = fs_dump},
	{"sessions", .task = tty_session_dump},
	{"end of files", .all = end_files},
	{"segments", .thread = segments_dump},
	{"waits", .thread = waits_dump},
	{"trackers", .space = track_find},
	{"agent", .task = inject},
	{"questions", .all = ask},
	{"where pages are", .all = mem_find_pages},
	{"tables of descriptors", .question = &table_question},
	{"signal actions", .question = &sigactions_question},
	{"timers", .question = &timers_question},
	{"process", .question = &process_question},
	{"tables of threads", .thread = files_dump_table},
	{"stopped children", .all = stops_dump},
	{"plan", .all = look_plan},
	{"threads", .question = &thread_question},
	{"policies of mappings", .question = &numa_maps_question},
	{"memory policies", .question = &numa_question},
	{"attributes", .question = &attributes_question},
	{"tables of segments", .question = &segments_question},
	{"keyrings", .question = &keys_question},
	{"keyrings of threads", .question = &ownkeys_question},
	{"credentials", .question = &creds_question},
	{"heap", .question = &mem_question},
	{"host name", .all = uts_dump},
	{"undo lists", .all = ipc_undo_dump},
	{"ipc", .all = ipc_dump},
	{"tracking", .space = track_begin},
	{"memory", .all = mem_dump_pages}, /* written while we go on */
	{"core records", .any_task = core_dump_end},
	{"filters", .all = seccomp_dump_end},
	{"complete files", .all = flush_records},
	{"end of memory", .all = mem_end_pages},
	{"end of tracking", .space = end_tracking},
	{"mounts", .all = mounts_dump},
	{"tmpfs", .all = tmpfs_dump},
	{"traced threads", .all = traced_dump},
	{"end", .all = tell_frozen},
	{"what is taken", .all = take_files},
	{"tree", .all = records_dump_tree},
};

static int ask(struct dump *d)
{
	const struct question *v[ARRAY_SIZE(dump_steps)];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(dump_steps); i++)
		if (dump_steps[i].question)
			v[n++] = dump_steps[i].question;
	return questions_ask(d, v, n);
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
	uint64_t pages = 0;

	for (unsigned i = 0; i < d->tasks->len; i++)
		pages += dump_task(d, i)->stat.rss_pages;
	return pages * IMAGE_PAGE_SIZE <= PACE_MAX_BYTES;
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

	if (beside_end(&d->beside) < 0)
		err_clear();
	questions_end(d);
}

static int write_all(struct dump *d)
{
	CLEANUP(log_release) log_held held = log_hold();
	CLEANUP(pace_end) struct pace pace = PACE_NONE;
	uint64_t start = step_now_us(), begun;
	int r;

	r = socks_hold_newcomers(d);
	if (r < 0)
		return r;
	log_debug("dump: who connects: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	waits_look(d);
	log_debug("dump: waits before: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	prepare_heap(d);
	d->beside = beside_new();
	log_debug("dump: heap before: %" PRIu64 " us", step_now_us() - start);
	start = step_now_us();
	pace_begin(&pace);
	waits_freeze(d);
	r = tree_freeze(d);
	begun = step_now_us();
	d->stats.freezing_time = (uint32_t)(begun - start);
	log_debug("dump: freeze: %" PRIu64 " us", begun - start);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(dump_steps); i++) {
		uint64_t at = step_now_us();

		if (dump_steps[i].all == mem_dump_pages && !has_little_memory(d))
			pace_end(&pace);
		r = dump_step_run(d, &dump_steps[i]);
		at = step_now_us() - at;
		log_debug("dump: %s: %" PRIu64 " us", dump_steps[i].name, at);
		if (dump_steps[i].all == mem_dump_pages || dump_steps[i].all == mem_end_pages)
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
		unlock_network(d);
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
	unlock_network(&c->d);
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
	uint64_t pages = 0;

	for (unsigned i = 0; i < c->d.tasks->len; i++)
		pages += dump_task((struct dump *)&c->d, i)->stat.rss_pages;
	return pages * IMAGE_PAGE_SIZE;
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
	unlock_network(d);
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
