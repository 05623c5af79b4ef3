/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shares what, beyond what fork(2) and pthread_create(3) do: processes made by clone(2) with
 * CLONE_VM, CLONE_SIGHAND, CLONE_FILES or CLONE_FS.  Whoever makes a process again has to share
 * with it whatever it shares with anybody.  That may be its parent, or a sibling (CLONE_PARENT);
 * threads may have descriptors and directories of their own.
 */
#include "state/extra.h"
#include "state/task/task.h"
#include "state/tree.h"

#include "base/file.h"
#include "base/parallel.h"
#include "kernel/kcmp.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

static const struct {
	int type;
	const char *what;
	bool of_threads;       /* a thread may have its own */
	size_t dumped, loaded; /* struct dtask, struct rtask: index of the first task that has it */
} shared[] = {
#define FIRST(d, r) offsetof(struct dtask, d), offsetof(struct rtask, r)
	{KCMP_VM, "memory", false, FIRST(vm, vm)},
	{KCMP_FILES, "descriptors", true, FIRST(files, files)},
	{KCMP_FS, "directories", true, FIRST(fs, dirs)},
	{KCMP_SIGHAND, "signal actions", false, FIRST(sighand, sighand)},
#undef FIRST
};

static unsigned *dumped(const struct dtask *t, unsigned k)
{
	return (unsigned *)(void *)((char *)t + shared[k].dumped);
}

static unsigned *loaded(const struct rtask *t, unsigned k)
{
	return (unsigned *)(void *)((char *)t + shared[k].loaded);
}

/* Each is made by the process itself, with what is the process's, of which it takes a copy. */
static int check_alone(struct kcmp_set *owns, pid_t tid, unsigned k)
{
	uint32_t id;
	pid_t first;
	int any, r = kcmp_set_add(owns, tid, 0, 0, &id);

	if (r != 0)
		return MIN(r, 0);
	kcmp_set_first(owns, id, &first, &any);
	return err_set(EOPNOTSUPP,
		       "threads %d and %d share %s that are not those of their process; let each "
		       "have its own (unshare(2)), or end one",
		       first, tid, shared[k].what);
}

static void note_own(struct dtask *t, unsigned i, unsigned k)
{
	struct thread_seen *seen =
		t->nthreads ? NULL : &g_array_index(t->seen, struct thread_seen, i);
	struct dthread *h = t->nthreads ? &t->threads[i] : NULL;

	t->own_tables = true;
	if (shared[k].type == KCMP_FILES)
		*(h ? &h->own_files : &seen->own_files) = true;
	else
		*(h ? &h->own_fs : &seen->own_fs) = true;
}

static int check_thread(struct dtask *t, unsigned i, unsigned k, struct kcmp_set *owns)
{
	pid_t tid = dtask_tid(t, i);
	bool nothing = tid == t->proc.pid || (t->leader_dead && tid == t->pid);
	int same = nothing ? 0 : kcmp_compare(t->proc.pid, tid, shared[k].type, 0, 0);

	if (same > 0) {
		note_own(t, i, k);
		same = check_alone(owns, tid, k);
	}
	if (same != -ESRCH && same != -ENOENT)
		return same;
	err_clear(); /* has ended while we looked */
	return 0;
}

struct comparison {
	const struct dtask *t;
	int type;
	bool *same; /* false: not so, or not known */
};

static void compare_one(void *arg, unsigned i)
{
	struct comparison *c = arg;
	int r = kcmp_compare(c->t->proc.pid, dtask_tid(c->t, i), c->type, 0, 0);

	if (r < 0)
		err_clear(); /* then it is looked at below */
	c->same[i] = r == 0;
}

static int check_threads(struct dtask *t, unsigned k)
{
	CLEANUP(kcmp_set_drop) struct kcmp_set *owns = kcmp_set_new(shared[k].type);
	unsigned n = dtask_nthreads(t);
	g_autofree bool *same = g_new0(bool, n);
	struct comparison c = {t, shared[k].type, same};
	int r = 0;

	if (n > 1)
		parallel_run(n, compare_one, &c);
	for (unsigned i = 0; r == 0 && i < n; i++)
		if (!same[i])
			r = check_thread(t, i, k, owns);
	return r;
}

/* In IMAGE_EXTRA of the task, "own_fs": {"TID": true}; descriptors: state/fd/threads.c. */
int sharing_dump(struct dump *d, struct dthread *h)
{
	if (h->own_fs)
		extra_set(h->task->extra, "own_fs", (uint32_t)h->nstid, json_true());
	return 0;
}

/* What T shares with an earlier task, BY shares with that one, too. */
static bool can_make(const struct dtask *by, const struct dtask *t)
{
	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++)
		if (*dumped(t, k) != t->index && *dumped(t, k) != *dumped(by, k))
			return false;
	return true;
}

/* A sibling's child of CLONE_PARENT has its exit signal, too (kernel/fork.c: copy_process()). */
static bool is_alike(const struct dtask *s, const struct dtask *t)
{
	return s->parent == t->parent && !s->zombie && !s->guest && !t->guest &&
	       s->stat.exit_signal == t->stat.exit_signal;
}

static int find_maker(const struct dump *d, struct dtask *t)
{
	const struct dtask *parent = t->parent >= 0 ? dump_task(d, (unsigned)t->parent) : NULL;

	t->maker = 0;
	if (parent && can_make(parent, t))
		return 0;
	for (unsigned i = 1; parent && i < t->index; i++)
		if (is_alike(dump_task(d, i), t) && can_make(dump_task(d, i), t)) {
			t->maker = i;
			return 0;
		}
	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++) {
		const struct dtask *other = dump_task(d, *dumped(t, k));

		if (other != t)
			return err_set(EOPNOTSUPP,
				       "it shares its %s with process %d (%s), and neither its "
				       "parent nor a sibling has all that it shares",
				       shared[k].what, other->nspid, other->stat.comm);
	}
	return 0;
}

#define CALL_MAX 256 /* /proc/PID/syscall */

/* D is also who waits for a disk, or is in version 1's freezer (TASK_FROZEN). */
static bool is_in_clone(const struct dtask *t)
{
	g_autofree char *call = NULL;
	long nr;

	if (file_read_at(t->proc.dir, "syscall", CALL_MAX, &call, NULL) < 0) {
		err_clear();
		return true;
	}
	nr = atol(call); /* "running": no call that waits */
	return nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3;
}

/*
 * Between vfork(2) and execve(2) that is usual, and soon over: the freeze waits for it.  What
 * counts is who is seen there twice; a tree that spawns all the time has always somebody there.
 */
static int check_vfork(const struct dump *d, const struct dtask *t, GHashTable *now)
{
	const struct dtask *parent = t->parent >= 0 ? dump_task(d, (unsigned)t->parent) : NULL;

	if (d->frozen || !parent || t->vm != parent->vm || parent->stat.state != 'D' ||
	    !is_in_clone(parent))
		return 0;
	g_hash_table_add(now, GINT_TO_POINTER(t->pid));
	if (d->vforks && !g_hash_table_contains(d->vforks, GINT_TO_POINTER(t->pid)))
		return 0;
	return err_set(EAGAIN, "process %d waits for it in vfork(2), until it executes a program",
		       parent->nspid);
}

static int add_to_set(struct dump *d, struct kcmp_set *set, struct dtask *t, unsigned k)
{
	uint32_t id;
	pid_t first;
	int any, r = kcmp_set_add(set, t->proc.pid, 0, 0, &id);

	if (r < 0)
		return r;
	if (r == 0)
		kcmp_set_first(set, id, &first, &any);
	for (unsigned i = 0; r == 0 && i < t->index; i++)
		if (dump_task(d, i)->proc.pid == first)
			*dumped(t, k) = i;
	return shared[k].of_threads ? check_threads(t, k) : 0;
}

/* What ends while we look is none: without memory it shares that with all who end. */
static int pardon(struct dump *d, struct dtask *t, int r)
{
	if (r < 0 && !d->frozen && (r == -ESRCH || task_is_ending(t))) {
		err_clear();
		r = 0;
	}
	return dump_refuse(d, dtask_wrap(t, r));
}

int sharing_check(struct dump *d)
{
	g_autoptr(GHashTable) vforks = g_hash_table_new(NULL, NULL);
	int r = 0;

	for (unsigned k = 0; r == 0 && k < ARRAY_SIZE(shared); k++) {
		CLEANUP(kcmp_set_drop) struct kcmp_set *set = kcmp_set_new(shared[k].type);

		for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
			struct dtask *t = dump_task(d, i);

			*dumped(t, k) = i;
			if (!t->zombie)
				r = pardon(d, t, add_to_set(d, set, t, k));
		}
	}
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie)
			continue;
		r = pardon(d, t, check_vfork(d, t, vforks));
		if (r == 0)
			r = pardon(d, t, find_maker(d, t));
	}
	g_clear_pointer(&d->vforks, g_hash_table_unref);
	d->vforks = g_steal_pointer(&vforks);
	return r;
}

/* Others number as they like: equal numbers mean equal objects. */
static uint32_t number_of(const struct rtask *t, unsigned k)
{
	const TaskKobjIdsEntry *e = t->core->ids;

	switch (shared[k].type) {
	case KCMP_VM:
		return e->vm_id;
	case KCMP_FILES:
		return e->files_id;
	case KCMP_FS:
		return e->fs_id;
	default:
		return e->sighand_id;
	}
}

static bool will_make(const struct rtask *by, const struct rtask *t, unsigned own)
{
	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++)
		if (*loaded(t, k) != own && *loaded(t, k) != *loaded(by, k))
			return false;
	return true;
}

static int load_maker(const struct restore *r, struct rtask *t, unsigned own)
{
	if (t->parent >= 0 && will_make(restore_task(r, (unsigned)t->parent), t, own))
		return 0;
	for (unsigned i = 1; t->parent >= 0 && i < own; i++) {
		const struct rtask *s = restore_task(r, i);

		if (s->parent == t->parent && !s->zombie && will_make(s, t, own)) {
			t->maker = i;
			return 0;
		}
	}
	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++)
		if (*loaded(t, k) != own)
			return err_set(EOPNOTSUPP,
				       "process %d shares its %s with process %d, and neither its "
				       "parent nor a sibling has all that it shares",
				       t->nspid, shared[k].what,
				       restore_task(r, *loaded(t, k))->nspid);
	return 0;
}

int sharing_load(struct restore *r)
{
	int ret = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++) {
		g_autoptr(GHashTable) first = g_hash_table_new(NULL, NULL);

		for (unsigned i = 0; i < r->nimages; i++) {
			struct rtask *t = restore_task(r, i);
			gpointer id, at;

			*loaded(t, k) = i;
			if (t->zombie)
				continue;
			id = GUINT_TO_POINTER(number_of(t, k));
			at = g_hash_table_lookup(first, id);
			if (at)
				*loaded(t, k) = GPOINTER_TO_UINT(at) - 1;
			else
				g_hash_table_insert(first, id, GUINT_TO_POINTER(i + 1));
		}
	}
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (!restore_task(r, i)->zombie)
			ret = load_maker(r, restore_task(r, i), i);
	return ret;
}

uint64_t sharing_flags(const struct rtask *by, const struct rtask *t)
{
	static const uint64_t flags[] = {CLONE_VM, CLONE_FILES, CLONE_FS, CLONE_SIGHAND};
	uint64_t all = t->maker ? CLONE_PARENT : 0;

	for (unsigned k = 0; k < ARRAY_SIZE(shared); k++)
		if (by->core && t->core && !t->zombie && *loaded(t, k) == *loaded(by, k))
			all |= flags[k];
	return all;
}
