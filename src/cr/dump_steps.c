/* SPDX-License-Identifier: Apache-2.0 */
/* What is done while the tree is frozen, in its order, and what is small of it. */
#include "cr/dump_steps.h"

#include "cr/look.h"
#include "cr/records.h"

#include "base/log.h"
#include "base/parallel.h"
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

#include <sched.h>

static int read_other_maps(void *arg)
{
	struct dump *d = arg;
	int r = 0;

	for (unsigned i = 1; r == 0 && i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie)
			r = dtask_wrap(dump_task(d, i), task_read_maps(dump_task(d, i)));
	return r;
}

/*
 * Looks at each page that is there (fs/proc/task_mmu.c: smaps_pte_entry()): others go on.  Those of
 * the first task are being read since it stands still (tree_freeze()).
 */
static int begin_maps(struct dump *d)
{
	if (d->tasks->len > 1)
		beside_begin(d->reading[1], read_other_maps, d);
	return 0;
}

static int end_maps(struct dump *d)
{
	int r = dtask_wrap(dump_task(d, 0), beside_end(&d->reading[0]));

	return r < 0 ? r : beside_end(&d->reading[1]);
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

void dump_unlock_network(struct dump *d)
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

static const struct dump_step steps[] = {
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
	{"where pages are", .all = mem_find_pages},
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
	const struct question *v[ARRAY_SIZE(steps)];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].question)
			v[n++] = steps[i].question;
	return questions_ask(d, v, n);
}

const struct dump_step *dump_steps(unsigned *ret_n)
{
	*ret_n = ARRAY_SIZE(steps);
	return steps;
}
