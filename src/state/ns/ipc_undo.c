/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What semop(2) with SEM_UNDO will give back when a process ends.  Linux does not show it, but does
 * it when the process gives its list up (unshare(2) of CLONE_SYSVSEM, ipc/sem.c: exit_sem()): the
 * values before and after tell what was in it, and a second semop(2) with SEM_UNDO makes both the
 * values and the list what they were.  Everybody who could see that stands still: the namespace is
 * the tree's own.
 *
 * Whether there is a list at all is seen from outside: kcmp(2) of KCMP_SYSVSEM says that those
 * without one have the same.  In IMAGE_EXTRA of the task: "undo": {"SEM ID": [adjustment, ...]}.
 */
#include "state/ns/ipc.h"
#include "state/ns/spaces.h"

#include "kernel/kcmp.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

struct sets {
	GArray *ids;	/* int */
	GArray *counts; /* unsigned */
};

static int list_sets(void *arg)
{
	struct sets *s = arg;
	int r = ipc_ids("sem", s->ids);

	for (unsigned i = 0; r == 0 && i < s->ids->len; i++) {
		struct semid_ds ds;
		unsigned n;

		if (semctl(g_array_index(s->ids, int, i), 0, IPC_STAT, &ds) < 0)
			return err_errno("semaphores %d", g_array_index(s->ids, int, i));
		n = (unsigned)ds.sem_nsems;
		g_array_append_val(s->counts, n);
	}
	return r;
}

/* Somebody who has no list, for comparison: we may have threads, and so one of our own. */
static void bare_end(pid_t *bare)
{
	if (*bare <= 0)
		return;
	kill(*bare, SIGKILL);
	waitpid(*bare, NULL, 0);
}

static int bare_start(pid_t *bare)
{
	if (*bare > 0)
		return 0;
	*bare = fork();
	if (*bare < 0)
		return err_errno("fork");
	if (*bare == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return 0;
}

/* 0: it has no list; 1: it has one. */
static int has_list(pid_t *bare, const struct dtask *t)
{
	int r = bare_start(bare);

	if (r == 0)
		r = kcmp_compare(*bare, t->proc.pid, KCMP_SYSVSEM, 0, 0);
	return r < 0 ? r : r > 0;
}

struct values {
	const struct sets *sets;
	unsigned short *v;
};

/* All sets' values, one after another. */
static int read_inside(void *arg)
{
	const struct values *a = arg;
	unsigned short *v = a->v;

	for (unsigned i = 0; i < a->sets->ids->len; i++) {
		int id = g_array_index(a->sets->ids, int, i);

		if (semctl(id, 0, GETALL, v) < 0)
			return err_errno("values of semaphores %d", id);
		v += g_array_index(a->sets->counts, unsigned, i);
	}
	return 0;
}

/* By us: not every task may read the semaphores of all others. */
static int read_values(const struct dtask *t, const struct sets *s, unsigned short *v)
{
	struct values a = {s, v};

	return ipc_in_namespace(t->proc.dir, read_inside, &a);
}

/*
 * ADJ is what will be given back at the end.  The value moves there and back: exit_sem() keeps what
 * it gives back between 0 and SEMVMX, so no semop(2) would wait, or be out of range.
 */
static void adjust(struct batch *b, int id, unsigned sem, int adj, bool keep_value)
{
	struct sembuf both[2] = {
		{.sem_num = (unsigned short)sem, .sem_op = (short)adj},
		{.sem_num = (unsigned short)sem, .sem_op = (short)-adj, .sem_flg = SEM_UNDO},
	};

	/* one call for each: within one, the kernel looks at the sum */
	for (unsigned i = 0; i < 2; i++)
		if (keep_value || both[i].sem_flg & SEM_UNDO) {
			batch_room(b, 1, sizeof(*both) + 16);
			batch_add(b, SYS_semop, IMM(id), batch_in(b, &both[i], sizeof(both[i])),
				  IMM(1));
		}
}

static void note(struct dtask *t, int id, unsigned sem, int adj)
{
	json_t *all = json_object_get(t->extra, "undo"), *one;
	char key[16];

	if (!all)
		json_object_set_new(t->extra, "undo", all = json_object());
	snprintf(key, sizeof(key), "%d", id);
	one = json_object_get(all, key);
	if (!one)
		json_object_set_new(all, key, one = json_object());
	snprintf(key, sizeof(key), "%u", sem);
	json_object_set_new(one, key, json_integer(adj));
}

static int give_up(struct dtask *t)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < t->nthreads; i++) {
		CLEANUP(batch_end) struct batch b = {0};

		dthread_batch(&t->threads[i], &b);
		batch_add(&b, SYS_unshare, IMM(CLONE_SYSVSEM));
		r = batch_run(&b);
	}
	return r;
}

static int take_list(struct dtask *t, const struct sets *s)
{
	unsigned total = 0, at = 0;
	g_autofree unsigned short *before = NULL, *after = NULL;
	CLEANUP(batch_end) struct batch b = {0};
	int r;

	for (unsigned i = 0; i < s->counts->len; i++)
		total += g_array_index(s->counts, unsigned, i);
	before = g_new0(unsigned short, total + 1);
	after = g_new0(unsigned short, total + 1);
	r = read_values(t, s, before);
	if (r < 0)
		return r;
	r = give_up(t);
	if (r == 0)
		r = read_values(t, s, after);
	dtask_batch(t, &b);
	for (unsigned i = 0; r == 0 && i < s->ids->len; i++)
		for (unsigned k = 0; k < g_array_index(s->counts, unsigned, i); k++, at++) {
			int adj = after[at] - before[at];

			if (adj) {
				note(t, g_array_index(s->ids, int, i), k, adj);
				adjust(&b, g_array_index(s->ids, int, i), k, adj, false);
			}
		}
	return r < 0 ? r : batch_run(&b);
}

static void sets_clear(struct sets *s)
{
	g_array_unref(s->ids);
	g_array_unref(s->counts);
}

/*
 * Threads share one list (CLONE_SYSVSEM), from the first pthread_create(3) on; afterwards only the
 * first of them has it, which is of no matter to whoever is to be killed.
 */
static bool is_asked(const struct dump *d, const struct dtask *t)
{
	if (t->zombie || (t->nthreads > 1 && d->o.leave_running))
		return false;
	return true;
}

/* The IPC namespace that T is in although the first task is not; NULL: it is in the same. */
static const struct space *space_of(const struct dtask *t)
{
	return spaces_find(t->dump, NS_IPC, spaces_of(t->dump, t->proc.pid)[NS_IPC]);
}

/* There they are not read: who may have some is refused where there are semaphores. */
static int check_spaces(struct dump *d, pid_t *bare)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		const struct space *x = t->zombie ? NULL : space_of(t);
		CLEANUP(sets_clear)
		struct sets s = {.ids = g_array_new(FALSE, FALSE, sizeof(int)),
				 .counts = g_array_new(FALSE, FALSE, sizeof(unsigned))};

		if (!x || has_list(bare, t) <= 0)
			continue;
		r = ipc_in_space(t->proc.dir, x->fd, list_sets, &s);
		if (r == 0 && s.ids->len)
			r = err_set(EOPNOTSUPP,
				    "it may have to give semaphores back (SEM_UNDO) in an "
				    "IPC namespace that the first task is not in");
		r = dtask_wrap(t, r);
	}
	return r;
}

int ipc_undo_dump(struct dump *d)
{
	CLEANUP(sets_clear)
	struct sets s = {.ids = g_array_new(FALSE, FALSE, sizeof(int)),
			 .counts = g_array_new(FALSE, FALSE, sizeof(unsigned))};
	CLEANUP(kcmp_set_drop) struct kcmp_set *seen = kcmp_set_new(KCMP_SYSVSEM);
	CLEANUP(bare_end) pid_t bare = 0;
	uint32_t id;
	int r = check_spaces(d, &bare);

	if (r == 0)
		r = ipc_in_namespace(dump_task(d, 0)->proc.dir, list_sets, &s);
	if (r < 0)
		return r;
	r = 0; /* 1: it is our own, and others use it, too */
	for (unsigned i = 0; r == 0 && s.ids->len && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		int has = is_asked(d, t) && !space_of(t) ? has_list(&bare, t) : 0;

		if (has > 0)
			has = kcmp_set_add(seen, t->proc.pid, 0, 0, &id);
		else if (has == 0)
			continue;
		if (has == 0)
			r = err_set(EOPNOTSUPP,
				    "it shares what SEM_UNDO will give back with another process");
		else
			r = has < 0 ? has : take_list(t, &s);
		r = dtask_wrap(t, r);
	}
	return r;
}

int ipc_undo_restore(struct restore *r, struct rtask *t)
{
	json_t *all = json_object_get(t->extra, "undo"), *set, *adj;
	CLEANUP(batch_end) struct batch b = {0};
	const char *id, *sem;

	if (!all)
		return 0;
	rtask_batch(t, &b);
	json_object_foreach(all, id, set) json_object_foreach(set, sem, adj)
		adjust(&b, atoi(id), (unsigned)atoi(sem), (int)json_integer_value(adj), true);
	return batch_run(&b);
}
