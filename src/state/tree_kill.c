/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a tree that has been dumped, or its stop. */
#include "state/task/levels.h"
#include "state/task/task.h"
#include "state/tree.h"

#include "base/log.h"
#include "kernel/standstill.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define KILL_TIMEOUT_MS 5000
#define SLICE_MS	2 /* for one thread, before the next one's turn */

/* True when the thread is dead and its tracer has taken note; it is forgotten then. */
static bool is_over(struct dthread *h)
{
	int status, r;

	while (h->tid) {
		r = ptrace_wait(h->tid, SLICE_MS, &status);
		if (r == 1)
			return false;
		if (r < 0 || !WIFSTOPPED(status))
			h->tid = 0;
	}
	return true;
}

/*
 * A traced task that has died is kept for its tracer first.  Backwards: the last thread of a pid
 * namespace's init waits for all others to be gone (kernel/pid_namespace.c:
 * zap_pid_ns_processes()), and a leader for its threads.  Whoever takes longer is asked again.
 */
static void take_note(struct dump *d, unsigned from, unsigned to)
{
	gint64 end = g_get_monotonic_time() + KILL_TIMEOUT_MS * 1000;
	bool over;

	do {
		over = true;
		for (unsigned i = to; i-- > from;) {
			struct dtask *t = dump_task(d, i);

			for (unsigned k = t->nthreads; k-- > 0;)
				over = is_over(&t->threads[k]) && over;
			if (!over && g_get_monotonic_time() >= end)
				break;
		}
	} while (!over && g_get_monotonic_time() < end);
	err_clear();
}

/* Of each task, which one is its youngest child, and which one that one's next older sibling; -1.
 */
struct family {
	int *child, *sibling;
};

static void family_clear(struct family *f)
{
	g_free(f->child);
	g_free(f->sibling);
}

static struct family family_of(const struct dump *d)
{
	struct family f = {g_new(int, d->tasks->len), g_new(int, d->tasks->len)};

	for (unsigned i = 0; i < d->tasks->len; i++)
		f.child[i] = f.sibling[i] = -1;
	for (unsigned i = 0; i < d->tasks->len; i++) {
		int parent = dump_task(d, i)->parent;

		if (parent < 0)
			continue;
		f.sibling[i] = f.child[parent];
		f.child[parent] = (int)i;
	}
	return f;
}

/* Dead children, and those that were dead before, through the agent of their parent. */
static void reap_children(struct dump *d, struct dtask *parent, const struct family *f)
{
	CLEANUP(batch_end) struct batch b = {0};

	dtask_batch(parent, &b);
	for (int i = f->child[parent->index]; i >= 0; i = f->sibling[i]) {
		take_note(d, (unsigned)i, (unsigned)i + 1);
		batch_may_fail(&b,
			       batch_add(&b, SYS_wait4,
					 IMM(levels_seen_by_parent(d, dump_task(d, (unsigned)i))),
					 IMM(0), IMM(__WALL | WNOHANG), IMM(0)));
	}
	if (batch_run(&b) < 0)
		log_debug("children of process %d: %s", parent->nspid, err_message());
	err_clear();
}

/*
 * Children first, each reaped by its parent: as orphans they would wait for a reaper that we know
 * nothing of, and their numbers and groups would be taken until then.  In a pid namespace of its
 * own the end of the first process clears up.
 */
static void kill_upwards(struct dump *d)
{
	CLEANUP(family_clear) struct family f = family_of(d);

	for (unsigned i = d->tasks->len; i-- > 0;) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie)
			continue;
		if (t->agent && f.child[i] >= 0)
			reap_children(d, t, &f);
		if (proc_signal(&t->proc, SIGKILL) < 0)
			err_clear();
	}
}

int tree_kill(struct dump *d)
{
	void (*dying)(void *arg) = d->o.dying;
	int r = 0;

	if (dump_task(d, 0)->nspid != 1) {
		if (dying) /* parents reap */
			dying(d->o.dying_arg);
		dying = NULL;
		kill_upwards(d);
	}
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->agent)
			agent_forget(t->agent);
		if (!t->zombie && proc_signal(&t->proc, SIGKILL) < 0)
			err_clear();
	}
	if (dying)
		dying(d->o.dying_arg);
	take_note(d, 0, d->tasks->len);
	for (unsigned i = d->tasks->len; i-- > 0;) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie)
			continue;
		agent_free(&t->agent);
		seized_release(&t->seized);
		t->seized = SEIZED_NONE;
		if (proc_wait_end(&t->proc, KILL_TIMEOUT_MS) != 1)
			r = err_set(ETIMEDOUT, "task %d (%s) would not die", t->nspid,
				    t->stat.comm);
	}
	d->frozen = false;
	return r;
}

void tree_stop(struct dump *d)
{
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (!t->zombie && !t->traced && proc_signal(&t->proc, SIGSTOP) < 0)
			err_clear();
	}
	d->stops_traced = true;
}

void tree_await_stop(const struct dump *d)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));

	for (unsigned i = 0; i < d->tasks->len; i++)
		g_array_append_val(pids, dump_task((struct dump *)d, i)->proc.pid);
	standstill_await(pids, STANDSTILL_MS);
}
