/* SPDX-License-Identifier: Apache-2.0 */
/* Back to the tracers, when a dump has come to its end, or to nothing. */
#include "state/task/traced.h"

#define HOLD_TIMEOUT_MS 5000

/* The freeze was not to be: what was let go already is still where it cannot get anywhere. */
static int hold_alone(const struct tracee *x)
{
	const struct seized_home *h = &x->home;
	int r = ptrace_seize_running(x->tid, 0);

	if (r == 0)
		r = ptrace_interrupt(x->tid);
	if (r == 0)
		r = ptrace_wait_interrupted(x->tid, HOLD_TIMEOUT_MS);
	if (r == 0)
		r = ptrace_set_regs(x->tid, &h->regs);
	if (r == 0 && h->rseq_at)
		r = task_write_memory(x->pid, h->rseq_at, &h->rseq_cs, sizeof(h->rseq_cs));
	return r;
}

static int hold(struct dump *d, const struct tracee *x)
{
	unsigned i = GPOINTER_TO_UINT(g_hash_table_lookup(d->by_pid, GINT_TO_POINTER(x->pid)));
	struct dtask *t = i ? dump_task(d, i - 1) : NULL;

	if (!t || !t->seized.threads)
		return hold_alone(x);
	return t->settled ? 0 : seize_settle(&t->seized, HOLD_TIMEOUT_MS);
}

static int give_one(struct dump *d, const struct tracee *x)
{
	CLEANUP(agent_free) struct agent *a = NULL;
	unsigned thread = 0;
	struct dtask *by = traced_by(d, x->tracer, &thread);
	struct tracer t;
	int r = hold(d, x);

	if (r == 0 && !by)
		return err_set(ESRCH, "the tracer of thread %d has gone", x->own_tid);
	if (r == 0)
		r = traced_enter(d, by, thread, &a, &t);
	if (r == 0)
		r = traced_give(&t, x);
	return r < 0 ? r : agent_cure(a);
}

int traced_give_back(struct dump *d)
{
	int res = 0;

	for (unsigned i = 0; d->traced && i < d->traced->len; i++) {
		int r = give_one(d, g_ptr_array_index(d->traced, i));

		if (r < 0)
			res = r;
	}
	for (unsigned i = 0; d->stops_traced && i < d->tasks->len; i++)
		if (dump_task(d, i)->traced && proc_signal(&dump_task(d, i)->proc, SIGSTOP) < 0)
			err_clear();
	traced_clear(d);
	return res;
}

void traced_clear(struct dump *d)
{
	g_clear_pointer(&d->homes, g_hash_table_unref);
	g_clear_pointer(&d->traced, g_ptr_array_unref);
}
