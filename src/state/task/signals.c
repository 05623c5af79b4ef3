/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/levels.h"
#include "state/task/task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define NSIG_ALL      64
#define SIGINFO_BYTES 128 /* sizeof(siginfo_t) of the kernel */

/* struct kernel_sigaction of rt_sigaction(2) */
struct ksigaction {
	uint64_t handler, flags, restorer, mask;
};

static bool has_action(unsigned sig)
{
	return sig != SIGKILL && sig != SIGSTOP;
}

static int sigactions_ask(struct dthread *h, struct batch *b, void *data)
{
	struct ksigaction *a = data;

	for (unsigned sig = 1; sig <= NSIG_ALL; sig++)
		if (has_action(sig))
			batch_add(b, SYS_rt_sigaction, IMM(sig), IMM(0),
				  batch_out(b, &a[sig], sizeof(a[sig])), IMM(8));
	return 0;
}

static int sigactions_take(struct dump *d, struct dthread *h, const struct answers *answers)
{
	const struct ksigaction *a = answers->data;
	TaskCoreEntry *tc = h->task->core->tc;

	tc->sigactions = g_new0(SaEntry *, NSIG_ALL);
	for (unsigned sig = 1; sig <= NSIG_ALL; sig++) {
		SaEntry *e;

		if (!has_action(sig))
			continue;
		e = g_new0(SaEntry, 1);
		sa_entry__init(e);
		e->sigaction = a[sig].handler;
		e->flags = a[sig].flags;
		e->restorer = a[sig].restorer;
		e->mask = a[sig].mask;
		tc->sigactions[tc->n_sigactions++] = e;
	}
	return 0;
}

const struct question sigactions_question = {
	.bytes = (NSIG_ALL + 1) * sizeof(struct ksigaction),
	.leader = true,
	.ask = sigactions_ask,
	.take = sigactions_take,
};

int sigactions_restore(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	const TaskCoreEntry *tc = t->core->tc;
	unsigned sig = 0;

	if (tc->n_sigactions > NSIG_ALL - 2)
		return err_set(EBADMSG, "%zu signal actions", tc->n_sigactions);
	rtask_batch(t, &b);
	for (size_t i = 0; i < tc->n_sigactions; i++) {
		const SaEntry *e = tc->sigactions[i];
		struct ksigaction a = {e->sigaction, e->flags, e->restorer, e->mask};

		while (!has_action(++sig))
			;
		if (a.handler || a.flags)
			batch_add(&b, SYS_rt_sigaction, IMM(sig), batch_in(&b, &a, sizeof(a)),
				  IMM(0), IMM(8));
	}
	return batch_run(&b);
}

/* In the order of their queue; *RET is NULL when there are none. */
static int queue_dump(pid_t tid, bool shared, SignalQueueEntry **ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, TRUE, sizeof(siginfo_t));
	SignalQueueEntry *q;
	int r = ptrace_peek_signals(tid, shared, all);

	if (r < 0)
		return r;
	*ret = q = g_new0(SignalQueueEntry, 1);
	signal_queue_entry__init(q);
	q->signals = g_new0(SiginfoEntry *, all->len);
	for (unsigned i = 0; i < all->len; i++) {
		SiginfoEntry *e = g_new0(SiginfoEntry, 1);

		siginfo_entry__init(e);
		e->siginfo.len = SIGINFO_BYTES;
		e->siginfo.data = g_memdup2(&g_array_index(all, siginfo_t, i), SIGINFO_BYTES);
		q->signals[q->n_signals++] = e;
	}
	return 0;
}

int sigpending_dump(struct dump *d, struct dtask *t)
{
	int r = queue_dump(t->proc.pid, true, &t->core->tc->signals_s);

	for (unsigned i = 0; r == 0 && i < t->nthreads; i++) {
		struct dthread *h = &t->threads[i];
		uint64_t mask = seized_at(&t->seized, i)->sigmask;

		h->core->thread_core->has_blk_sigset = true;
		h->core->thread_core->blk_sigset = mask;
		if (i == 0)
			t->core->tc->blk_sigset = mask;
		r = queue_dump(h->tid, false, &h->core->thread_core->signals_p);
	}
	return r;
}

/*
 * A process may queue any siginfo to itself (kernel/signal.c: do_rt_sigqueueinfo()).  Kinds that
 * the kernel alone may send are accepted that way too.
 */
static int queue_restore(struct batch *b, const SignalQueueEntry *q, pid_t tgid, pid_t tid)
{
	for (size_t i = 0; q && i < q->n_signals; i++) {
		const ProtobufCBinaryData *s = &q->signals[i]->siginfo;
		struct arg info;
		int sig;

		if (s->len != SIGINFO_BYTES)
			return err_set(EBADMSG, "a pending signal of %zu bytes", s->len);
		memcpy(&sig, s->data, sizeof(sig));
		batch_room(b, 1, SIGINFO_BYTES);
		info = batch_in(b, s->data, s->len);
		if (tid)
			batch_add(b, SYS_rt_tgsigqueueinfo, IMM(tgid), IMM(tid), IMM(sig), info);
		else
			batch_add(b, SYS_rt_sigqueueinfo, IMM(tgid), IMM(sig), info);
	}
	return batch_run(b);
}

/* What came meanwhile, from helpers and zombies that ended, was not there before. */
static void flush(struct batch *b)
{
	static const struct timespec zero;
	uint64_t all = ~UINT64_C(0);

	for (unsigned i = 0; i < 3; i++)
		batch_may_fail(b, batch_add(b, SYS_rt_sigtimedwait, batch_in(b, &all, sizeof(all)),
					    IMM(0), batch_in(b, &zero, sizeof(zero)), IMM(8)));
}

int sigpending_restore(struct restore *r, struct rtask *t)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];
		CLEANUP(batch_end) struct batch b = {0};

		rthread_batch(h, &b);
		if (i == 0) {
			flush(&b);
			ret = queue_restore(&b, t->core->tc->signals_s, levels_own(t), 0);
		}
		if (ret == 0)
			ret = queue_restore(&b, h->core->thread_core->signals_p, levels_own(t),
					    levels_own_tid(h));
	}
	return ret;
}
