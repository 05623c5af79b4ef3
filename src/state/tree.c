/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is added when it is seen as a child of one that is there already.  Frozen, that is
 * repeated until nothing new is seen: a stopped process makes no children, and a child that lost
 * its parent in between is one of the root's (or a subreaper's) by then.
 */
#include "state/tree.h"

#include "base/log.h"
#include "base/parallel.h"
#include "state/mem/track.h"
#include "state/task/levels.h"
#include "state/task/traced.h"

#include <errno.h>

#define STOP_TIMEOUT_MS 5000
#define TASKS_MAX	65536
#define FREEZES_MAX	100
#define FREEZE_PAUSE_US 5000

static void thread_clear(struct dthread *h)
{
	procstatus_clear(&h->status);
	if (h->core && h->core != h->task->core)
		core_entry__free_unpacked(h->core, NULL);
}

static void task_free(void *p)
{
	struct dtask *t = p;

	for (unsigned i = 0; i < t->nthreads; i++)
		thread_clear(&t->threads[i]);
	g_free(t->threads);
	g_clear_pointer(&t->seen, g_array_unref);
	if (t->core)
		core_entry__free_unpacked(t->core, NULL);
	if (t->mm)
		mm_entry__free_unpacked(t->mm, NULL);
	json_decref(t->extra);
	if (t->table)
		g_array_unref(t->table);
	track_free(t->track);
	if (t->lazy)
		g_array_unref(t->lazy);
	maps_clear(&t->maps);
	procstatus_clear(&t->status);
	proc_close(&t->proc);
	g_free(t);
}

void tree_clear(struct dump *d)
{
	g_clear_pointer(&d->tasks, g_ptr_array_unref);
	g_clear_pointer(&d->by_pid, g_hash_table_unref);
}

static void tree_begin(struct dump *d)
{
	tree_clear(d);
	d->tasks = g_ptr_array_new_with_free_func(task_free);
	d->by_pid = g_hash_table_new(NULL, NULL);
}

static void remember(struct dump *d, const struct dtask *t)
{
	g_hash_table_insert(d->by_pid, GINT_TO_POINTER(t->pid), GUINT_TO_POINTER(t->index + 1));
}

int dtask_wrap(const struct dtask *t, int r)
{
	return r < 0 ? err_wrap(r, "task %d (%s)", t->nspid, t->stat.comm) : r;
}

int dump_refuse(struct dump *d, int r)
{
	if ((r != -EOPNOTSUPP && r != -EAGAIN) || !d->refused)
		return r;
	d->lasting |= r == -EOPNOTSUPP;
	if (d->refused->len)
		g_string_append_c(d->refused, '\n');
	g_string_append(d->refused, err_message());
	err_clear();
	return 0;
}

static int find(struct dump *d, pid_t pid)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(d->by_pid, GINT_TO_POINTER(pid))) - 1;
}

/* A process whose parent ignores SIGCHLD leaves nothing behind when it ends. */
static bool has_gone(int r)
{
	if (r != -ESRCH && r != -ENOENT) /* of /proc/PID; of a file in there */
		return false;
	err_clear();
	return true;
}

static void forget(struct dump *d, unsigned i)
{
	g_hash_table_remove(d->by_pid, GINT_TO_POINTER(dump_task(d, i)->pid));
	g_ptr_array_remove_index(d->tasks, i);
	for (; i < d->tasks->len; i++) {
		dump_task(d, i)->index = i;
		remember(d, dump_task(d, i));
	}
}

/* 1: it has ended meanwhile. */
static int add(struct dump *d, pid_t pid, struct dtask **ret)
{
	struct dtask *t = g_new0(struct dtask, 1);
	int r;

	t->dump = d;
	t->pid = pid;
	t->proc = PROC_NONE;
	t->seized = SEIZED_NONE;
	t->index = d->tasks->len;
	t->parent = -1;
	r = proc_open(pid, &t->proc);
	if (r == 0)
		r = task_read(t);
	if (r < 0) {
		task_free(t);
		return d->tasks->len && has_gone(r) ? 1 : r;
	}
	if (d->tasks->len >= TASKS_MAX) {
		task_free(t);
		return err_set(E2BIG, "more than %d processes", TASKS_MAX);
	}
	g_ptr_array_add(d->tasks, t);
	remember(d, t);
	*ret = t;
	return 0;
}

/* The parents as they are now: an orphan's is not the one it was found by. */
static int find_parents(struct dump *d)
{
	for (unsigned i = 1; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		t->parent = t->guest ? -1 : find(d, t->stat.ppid);
		if (t->parent < 0 && !t->guest)
			return err_set(EAGAIN, "task %d (%s) has lost its parent", t->nspid,
				       t->stat.comm);
		if (t->parent >= 0 && t->stat.flags & PROC_PF_FORKNOEXEC)
			dump_task(d, (unsigned)t->parent)->lends = true;
	}
	return 0;
}

/* Parents first: a process that was adopted by a younger one (a subreaper) may be in the wrong
 * place. */
static void sort_parents(struct dump *d)
{
	GPtrArray *sorted = g_ptr_array_new_with_free_func(task_free);
	g_autofree bool *done = g_new0(bool, d->tasks->len);
	g_autofree int *place = g_new0(int, d->tasks->len);

	while (sorted->len < d->tasks->len) {
		for (unsigned i = 0; i < d->tasks->len; i++) {
			struct dtask *t = dump_task(d, i);

			if (done[i] || (t->parent >= 0 && !done[t->parent]))
				continue;
			done[i] = true;
			place[i] = (int)sorted->len;
			t->index = sorted->len;
			t->parent = t->parent >= 0 ? place[t->parent] : -1;
			remember(d, t);
			g_ptr_array_add(sorted, t);
		}
	}
	g_ptr_array_set_free_func(d->tasks, NULL);
	g_ptr_array_unref(d->tasks);
	d->tasks = sorted;
}

static int finish(struct dump *d)
{
	int r = find_parents(d);

	if (r == 0)
		sort_parents(d);
	return r;
}

static int begin(struct dtask *t)
{
	int r;

	if (t->zombie)
		return 0;
	r = seize_begin(t->pid, 0, &t->seized);
	if (r == -EBUSY) {
		r = traced_take(t->dump, t);
		if (r == 0)
			r = seize_begin(t->pid, 0, &t->seized);
		if (r == 0)
			traced_taken(t->dump, t);
	}
	if (r == 1)
		t->zombie = true;
	return r < 0 ? r : 0;
}

static int settle(struct dtask *t)
{
	int r;

	if (t->zombie)
		return 0;
	r = seize_settle(&t->seized, STOP_TIMEOUT_MS);
	if (r == 1) { /* it has ended under our hands */
		seized_release(&t->seized);
		t->seized = SEIZED_NONE;
		t->zombie = true;
	}
	if (r == 0)
		r = task_look_through(t, seized_alive(&t->seized));
	t->settled = r >= 0;
	return r < 0 ? r : 0;
}

/* One that has ended is nobody's but its parent's, who is outside. */
static void forget_zombies(struct dump *d)
{
	for (unsigned i = 1; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		t->index = i;
		remember(d, t);
		if (!t->zombie)
			continue;
		g_hash_table_remove(d->by_pid, GINT_TO_POINTER(t->pid));
		g_ptr_array_remove_index(d->tasks, i--);
	}
}

/* After the root, before all others; frozen, they are stopped at the same time. */
static int add_guests(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < d->o.nguests; i++) {
		struct dtask *t;

		r = add(d, d->o.guests[i].pid, &t);
		if (r != 0)
			continue;
		t->guest = d->o.guests[i].name;
		if (d->frozen)
			r = dtask_wrap(t, begin(t));
	}
	for (unsigned i = 1; r >= 0 && d->frozen && i < d->tasks->len; i++)
		r = dtask_wrap(dump_task(d, i), settle(dump_task(d, i)));
	if (r >= 0)
		forget_zombies(d);
	return r < 0 ? r : 0;
}

int tree_look(struct dump *d)
{
	struct dtask *t;
	int r;

	tree_begin(d);
	r = add(d, d->o.pid, &t);
	if (r < 0)
		return r;
	if (t->zombie)
		return err_set(ESRCH, "process %d has ended", d->o.pid);
	r = add_guests(d);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < d->tasks->len; i++) {
		CLEANUP(pid_list_clear) struct pid_list children = {0};

		r = proc_children(dump_task(d, i)->proc.dir, &children);
		if (has_gone(r)) {
			r = 0;
			continue;
		}
		for (size_t k = 0; r == 0 && k < children.n; k++)
			if (find(d, children.v[k]) < 0) {
				r = add(d, children.v[k], &t);
				if (r == 0)
					t->parent = (int)i;
				r = r == 1 ? 0 : r;
			}
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; r >= 0 && i < d->tasks->len; i++)
		r = tree_see_threads(dump_task(d, i));
	return MIN(r, 0);
}

static int fill_thread(struct dtask *t, unsigned i)
{
	struct dthread *h = &t->threads[i];
	int r;

	h->task = t;
	h->tid = seized_at(&t->seized, i)->tid;
	r = procstatus_read_task(t->proc.dir, h->tid, &h->status);
	if (r == 0)
		h->nstid = level_of_root(t->dump, &h->status.nspid);
	return r;
}

/* Side by side; what fails is tried again by the caller, who says why. */
static void prefill_thread(void *task, unsigned i)
{
	if (fill_thread(task, i) < 0)
		err_clear();
}

static int fill_threads(struct dtask *t)
{
	int r = task_read(t);

	if (r < 0 || t->zombie)
		return r;
	t->nthreads = t->seized.threads->len;
	t->threads = g_new0(struct dthread, t->nthreads);
	parallel_run(t->nthreads, prefill_thread, t);
	for (unsigned i = 0; r == 0 && i < t->nthreads; i++)
		if (!t->threads[i].nstid)
			r = fill_thread(t, i);
	return r;
}

/* 1: it has ended meanwhile. */
static int add_held(struct dump *d, pid_t pid, struct dtask **ret)
{
	int r = add(d, pid, ret);

	if (r != 0)
		return r;
	r = begin(*ret);
	if (r < 0 && has_gone(r)) {
		forget(d, (*ret)->index);
		return 1;
	}
	return dtask_wrap(*ret, r);
}

/*
 * Children of all that stand still, or (not ALL) of those that do for the first time; *RET_NEW says
 * whether there was an unknown one.  A child is not held before its parent stands still: after
 * vfork(2) that one waits for it, and cannot be stopped.
 */
static int look_again(struct dump *d, bool all, bool *ret_new)
{
	*ret_new = false;
	for (unsigned i = 0; i < d->tasks->len; i++) {
		CLEANUP(pid_list_clear) struct pid_list children = {0};
		struct dtask *parent = dump_task(d, i);
		int r;

		if (parent->zombie || !parent->settled || (parent->looked && !all))
			continue;
		/* a thread's orphans go to the first thread that lives: kernel/exit.c:
		 * find_alive_thread() */
		r = parent->looked && parent->proc.pid == parent->pid
			    ? proc_children_of(parent->proc.dir, parent->proc.pid, &children)
			    : proc_children(parent->proc.dir, &children);
		parent->looked = true;
		for (size_t k = 0; r == 0 && k < children.n; k++) {
			struct dtask *t = NULL;

			if (find(d, children.v[k]) >= 0)
				continue;
			r = add_held(d, children.v[k], &t);
			*ret_new = *ret_new || r == 0;
			r = r == 1 ? 0 : r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int settle_all(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		if (!dump_task(d, i)->settled && !dump_task(d, i)->zombie)
			r = dtask_wrap(dump_task(d, i), settle(dump_task(d, i)));
	return r;
}

/* All of a frozen tree are seized before it is thawed. */
static int begin_frozen(struct dump *d)
{
	int r = thaw_needed(d);

	if (r <= 0)
		return r;
	r = 0;
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		CLEANUP(pid_list_clear) struct pid_list children = {0};
		struct dtask *t = NULL;

		r = proc_children(dump_task(d, i)->proc.dir, &children);
		for (size_t k = 0; r == 0 && k < children.n; k++) {
			if (thaw_first(d, children.v[k]))
				continue;
			r = add_held(d, children.v[k], &t);
			r = r == 1 ? 0 : r;
		}
	}
	return r < 0 ? r : thaw(d);
}

static int freeze_all(struct dump *d)
{
	struct dtask *t;
	bool more = true, later = thaw_first(d, d->o.pid);
	int r;

	tree_begin(d);
	r = add(d, d->o.pid, &t);
	if (r == 0 && !later)
		r = begin(t);
	if (r == 0)
		r = begin_frozen(d);
	if (r == 0 && later)
		r = begin(t);
	if (r == 0)
		r = settle(t);
	if (r == 0)
		r = add_guests(d);
	while (r == 0 && more) {
		r = look_again(d, false, &more);
		if (r == 0 && !more) /* orphans may have come to those that we have looked at */
			r = look_again(d, true, &more);
		if (r == 0)
			r = settle_all(d);
	}
	/* of others it is not known yet whether they stay */
	if (r == 0 && !t->zombie && d->reading[0])
		beside_begin(d->reading[0], task_read_maps, t);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		r = fill_threads(dump_task(d, i));
		if (r < 0 && i > 0 && dump_task(d, i)->zombie && has_gone(r)) {
			forget(d, i--);
			r = 0;
		}
		r = r < 0 ? dtask_wrap(dump_task(d, i), r) : 0;
	}
	return r < 0 ? r : finish(d);
}

/* Somebody traced may be where nothing leads back to, just then. */
static int freeze_patiently(struct dump *d)
{
	int r;

	for (unsigned i = 0;; i++) {
		d->frozen = true;
		d->traced_passing = false;
		r = freeze_all(d);
		if (!d->traced_passing || d->was_frozen || i == FREEZES_MAX)
			return r;
		log_debug("dump: freeze %u: %s", i, err_message());
		err_clear();
		r = beside_end(&d->reading[0]);
		tree_resume(d);
		if (r < 0)
			return r;
		d->reading[0] = beside_new();
		g_usleep(FREEZE_PAUSE_US);
	}
}

int tree_freeze(struct dump *d)
{
	int r = freeze_patiently(d);

	if (r == 0)
		r = tree_check_strangers(d);
	if (r == 0 && dump_task(d, 0)->zombie)
		return err_set(ESRCH, "process %d has ended", d->o.pid);
	return r;
}
