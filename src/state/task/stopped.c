/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that a signal has stopped, and what their parents know of it.  wait(2) tells of a stop,
 * and of its end, once: who has been told is in signal_struct.group_exit_code and
 * SIGNAL_CLD_CONTINUED, which waitid(2) with WNOWAIT shows to the parent.  In IMAGE_EXTRA of the
 * task: "stop": "told" or "continued"; a stop that the parent has still to be told of is what the
 * images of CRIU mean, too.
 *
 * At restore the stop is made while the agents run, as the parent's has to take note of it: a
 * traced task goes on from a group stop when its tracer lets it, and is stopped again when it is
 * released (kernel/ptrace.c: __ptrace_unlink()).
 */
#include "kernel/standstill.h"
#include "state/task/levels.h"
#include "state/task/task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define STOP_TIMEOUT_MS	      5000
#define OTHER_TIMEOUT_MS      100
#define WAIT_STATUS_EVENT(st) ((st) >> 16)
#define PTRACE_EVENT_STOP_    128

static void note(struct dtask *t, int told)
{
	bool stopped = t->core->tc->has_stop_signo;

	if (stopped && told != CLD_STOPPED)
		json_object_set_new(t->extra, "stop", json_string("told"));
	else if (!stopped && told == CLD_CONTINUED)
		json_object_set_new(t->extra, "stop", json_string("continued"));
}

/* All children of one parent that are neighbours in the list. */
static int ask_parent(struct dump *d, unsigned from, unsigned to)
{
	struct dtask *parent = dump_task(d, (unsigned)dump_task(d, from)->parent);
	g_autofree siginfo_t *si = g_new0(siginfo_t, to - from);
	CLEANUP(batch_end) struct batch b = {0};
	int r;

	dtask_batch(parent, &b);
	for (unsigned i = from; i < to; i++)
		if (!dump_task(d, i)->zombie)
			batch_add(&b, SYS_waitid, IMM(P_PID),
				  IMM(levels_seen_by_parent(d, dump_task(d, i))),
				  batch_out(&b, &si[i - from], sizeof(*si)),
				  IMM(WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL), IMM(0));
	r = batch_run(&b);
	for (unsigned i = from; r == 0 && i < to; i++)
		if (!dump_task(d, i)->zombie)
			note(dump_task(d, i), si[i - from].si_pid ? si[i - from].si_code : 0);
	return dtask_wrap(parent, r);
}

int stops_dump(struct dump *d)
{
	int r = 0;

	for (unsigned i = 1, n; r == 0 && i < d->tasks->len; i += n) {
		int parent = dump_task(d, i)->parent;

		for (n = 1; i + n < d->tasks->len && dump_task(d, i + n)->parent == parent; n++)
			;
		r = parent < 0 ? 0 : ask_parent(d, i, i + n); /* a guest's is outside */
	}
	return r;
}

/* What the thread was told to do has stopped it: 0, 1: not in time. */
static int await_stop(pid_t tid, bool group, unsigned ms)
{
	int status, r;

	for (;;) {
		r = ptrace_wait(tid, ms, &status);
		if (r != 0)
			return r;
		if (!WIFSTOPPED(status))
			return err_set(ESRCH, "thread %d has ended", tid);
		if (group == (WAIT_STATUS_EVENT(status) == PTRACE_EVENT_STOP_))
			return 0;
		r = ptrace_cont(tid, 0);
		if (r < 0)
			return r;
	}
}

/* SIGSTOP, which the tracer sees first and may exchange for another signal. */
static int stop_by(pid_t tid, int sig, unsigned ms)
{
	int r;

	if (syscall(SYS_tgkill, tid, tid, SIGSTOP) < 0)
		return err_errno("stop process %d", tid);
	r = await_stop(tid, false, STOP_TIMEOUT_MS);
	if (r == 0 && sig != SIGSTOP) /* a blocked one would be queued: ptrace_signal() */
		r = ptrace_set_sigmask(tid, ~(UINT64_C(1) << (sig - 1)));
	if (r == 0)
		r = ptrace_cont(tid, sig);
	return r == 0 ? await_stop(tid, true, ms) : r;
}

static int stop(struct restore *r, struct rtask *t, int sig)
{
	int ret = 1;

	/* ignored in orphaned groups, which were none then: kernel/signal.c, get_signal() */
	if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
		ret = stop_by(rtask_pid(t), sig, OTHER_TIMEOUT_MS);
	if (ret > 0)
		ret = stop_by(rtask_pid(t), SIGSTOP, STOP_TIMEOUT_MS);
	for (unsigned i = 1; ret == 0 && i < t->nthreads; i++)
		ret = await_stop(agent_tid(r->agent, t->threads[i].slot), true, STOP_TIMEOUT_MS);
	if (ret > 0)
		return err_set(ETIMEDOUT, "it does not stop");
	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++)
		ret = ptrace_cont(agent_tid(r->agent, t->threads[i].slot), 0);
	return ret;
}

static int tell_parent(struct restore *r, struct rtask *t)
{
	struct rtask *parent = restore_task(r, (unsigned)t->parent);
	CLEANUP(batch_end) struct batch b = {0};
	pid_t pid = levels_seen_by(parent, t);

	rtask_batch(parent, &b);
	batch_expect(&b,
		     batch_add(&b, SYS_wait4, IMM(pid), IMM(0), IMM(WUNTRACED | WNOHANG | __WALL),
			       IMM(0)),
		     pid);
	return batch_run(&b);
}

int stops_restore(struct restore *r, struct rtask *t)
{
	const char *how = json_string_value(json_object_get(t->extra, "stop")) ?: "";
	bool told = strcmp(how, "told") == 0, continued = strcmp(how, "continued") == 0;
	int sig = t->core->tc->has_stop_signo ? (int)t->core->tc->stop_signo : SIGSTOP, ret;

	/* the root's parent is not of the tree; the root stops last of all */
	if ((!rtask_is_stopped(t) && !continued) || t->parent < 0)
		return 0;
	ret = stop(r, t, told || continued ? SIGSTOP : sig);
	if (ret == 0 && told)
		ret = tell_parent(r, t);
	if (ret == 0 && continued && kill(rtask_pid(t), SIGCONT) < 0)
		return err_errno("continue process %d", rtask_pid(t));
	return ret;
}

int stopped_let_go(struct restore *r)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int ret;

	for (unsigned i = 0; i < r->tasks->len; i++) { /* which only the agents know */
		pid_t pid = rtask_pid(restore_task(r, i));

		g_array_append_val(pids, pid);
	}
	ret = agent_let_go(r->agent);
	if (ret == 0)
		standstill_await(pids, STANDSTILL_MS);
	return ret;
}
