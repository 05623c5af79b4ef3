/* SPDX-License-Identifier: Apache-2.0 */
/* Back to the tracer: what we hold becomes what it was. */
#include "state/task/traced.h"

#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define GET_SIGMASK	0x420a
#define SET_SIGMASK	0x420b
#define SIGSET_BYTES	8
#define ALL_SIGNALS	(~UINT64_C(0))
#define STOP_TIMEOUT_MS 5000

static int set_regs(const struct tracer *t, pid_t tid, const struct regs *r)
{
	return tracer_ptrace_in(t, PTRACE_SETREGS, tid, 0, &r->gp, sizeof(r->gp));
}

static int set_mask(const struct tracer *t, pid_t tid, uint64_t mask)
{
	return tracer_ptrace_in(t, SET_SIGMASK, tid, SIGSET_BYTES, &mask, sizeof(mask));
}

static int attach(const struct tracer *t, const struct tracee *x)
{
	pid_t tid = x->own_tid;
	int r;

	if (x->seized) {
		r = tracer_ptrace(t, PTRACE_SEIZE, tid, 0, x->options);
		if (r == 0)
			r = tracer_ptrace(t, PTRACE_INTERRUPT, tid, 0, 0);
		return r < 0 ? r : tracer_await(t, tid, true);
	}
	r = tracer_ptrace(t, PTRACE_ATTACH, tid, 0, 0);
	if (r == 0)
		r = tracer_await(t, tid, true);
	return r < 0 ? r : tracer_ptrace(t, PTRACE_SETOPTIONS, tid, 0, x->options);
}

static int resume(const struct tracer *t, pid_t tid, bool calls)
{
	return tracer_ptrace(t, calls ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, 0);
}

/* Each of these begins in a stop, with all signals blocked and NOW in its registers. */

static int runs(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int r = set_mask(t, x->own_tid, x->home.sigmask);

	return r < 0 ? r : resume(t, x->own_tid, x->calls);
}

/* To the entry of the call that it is just before, or in. */
static int enter(const struct tracer *t, const struct tracee *x, struct regs *now, bool take)
{
	int r = set_regs(t, x->own_tid, now);

	if (r == 0)
		r = tracer_ptrace(t, PTRACE_SYSCALL, x->own_tid, 0, 0);
	return r < 0 ? r : tracer_await(t, x->own_tid, take);
}

static int in_call(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int r = enter(t, x, now, true);

	return r < 0 ? r : runs(t, x, now);
}

static int end_in(const struct tracer *t, const struct tracee *x)
{
	int r = set_regs(t, x->own_tid, &x->home.regs);

	return r < 0 ? r : set_mask(t, x->own_tid, x->home.sigmask);
}

static int at_entry(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int r;

	*now = x->home.regs;
	regs_make_call(now);
	r = enter(t, x, now, x->told);
	return r < 0 ? r : end_in(t, x);
}

static int at_exit(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int r;

	*now = x->home.regs;
	regs_make_call(now);
	r = enter(t, x, now, true);
	if (r == 0)
		r = tracer_ptrace_out(t, PTRACE_GETREGS, x->own_tid, 0, &now->gp, sizeof(now->gp));
	if (r < 0)
		return r;
	now->gp.orig_rax = (unsigned long long)-1;
	r = enter(t, x, now, x->told);
	return r < 0 ? r : end_in(t, x);
}

/* The tracer may say what it is told of a signal, but not that there is one. */
static int at_signal(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int sig = x->si.si_signo;
	int r = set_mask(t, x->own_tid, ~(UINT64_C(1) << (sig - 1)));

	if (r == 0 && syscall(SYS_tgkill, x->pid, x->tid, sig) < 0)
		return err_errno("signal %d", sig);
	if (r == 0)
		r = tracer_ptrace(t, PTRACE_CONT, x->own_tid, 0, 0);
	if (r == 0)
		r = tracer_await(t, x->own_tid, x->told);
	if (r == 0)
		r = tracer_ptrace_in(t, PTRACE_SETSIGINFO, x->own_tid, 0, &x->si, sizeof(x->si));
	return r < 0 ? r : end_in(t, x);
}

static int interrupted(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	int r = 0;

	if (!x->told) { /* it was told of the one before */
		r = tracer_ptrace(t, PTRACE_INTERRUPT, x->own_tid, 0, 0);
		if (r == 0)
			r = tracer_ptrace(t, PTRACE_CONT, x->own_tid, 0, 0);
		if (r == 0)
			r = tracer_await(t, x->own_tid, false);
	}
	return r < 0 ? r : end_in(t, x);
}

static int (*const lead[])(const struct tracer *, const struct tracee *, struct regs *) = {
	[TRACED_RUNS] = runs,	 [TRACED_IN_CALL] = in_call,  [TRACED_ENTRY] = at_entry,
	[TRACED_EXIT] = at_exit, [TRACED_SIGNAL] = at_signal, [TRACED_INTERRUPTED] = interrupted,
};

/* Neither ours nor its tracer's, it would wait for ever. */
static void rescue(const struct tracee *x, const struct regs *r, uint64_t mask)
{
	ERR_KEEP;

	if (ptrace_seize_running(x->tid, 0) < 0 || ptrace_interrupt(x->tid) < 0 ||
	    ptrace_wait_interrupted(x->tid, STOP_TIMEOUT_MS) < 0 ||
	    ptrace_set_regs(x->tid, r) < 0 || ptrace_set_sigmask(x->tid, mask) < 0 ||
	    ptrace_detach(x->tid) < 0)
		log_warn("thread %d: %s", x->tid, err_message());
}

/* Addresses first: what DR7 turns on is checked with them. */
static int set_debug(const struct tracer *t, const struct tracee *x)
{
	static const unsigned order[] = {0, 1, 2, 3, 6, TRACED_DR7};
	int r = 0;

	for (unsigned i = 0; r == 0 && x->debug[TRACED_DR7] && i < ARRAY_SIZE(order); i++)
		r = tracer_ptrace(t, PTRACE_POKEUSER, x->own_tid,
				  offsetof(struct user, u_debugreg) + order[i] * sizeof(uint64_t),
				  x->debug[order[i]]);
	return r;
}

static int give(const struct tracer *t, const struct tracee *x, struct regs *now)
{
	struct regs aside = *now;
	uint64_t spin;
	int r = tracer_find_spin(x->pid, &spin);

	if (r < 0)
		return r;
	regs_set_pc(&aside, spin);
	aside.gp.orig_rax = (unsigned long long)-1;
	r = ptrace_set_regs(x->tid, &aside);
	if (r == 0)
		r = ptrace_set_sigmask(x->tid, ALL_SIGNALS);
	if (r == 0)
		r = ptrace_detach(x->tid);
	if (r < 0)
		return r;
	r = attach(t, x);
	if (r == 0)
		r = set_debug(t, x);
	if (r == 0 && x->how != TRACED_SIGNAL)
		r = set_regs(t, x->own_tid, now);
	if (r == 0)
		r = lead[x->how](t, x, now);
	return r;
}

/* It is told of each stop on the way. */
static int has_sigchld(const struct tracer *t, bool *ret)
{
	pid_t tid = agent_tid(t->agent, t->slot);
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	int r = procstatus_read_thread(tid, tid, &s);

	*ret = (s.sigpnd | s.shdpnd) & UINT64_C(1) << (SIGCHLD - 1);
	return r;
}

int traced_give(const struct tracer *t, const struct tracee *x)
{
	struct regs now = x->home.regs;
	bool has = false;
	int r = has_sigchld(t, &has);

	if (r == 0)
		r = ptrace_get_regs(x->tid, &now);
	if (r == 0)
		r = give(t, x, &now);
	if (r < 0)
		rescue(x, &now, x->home.sigmask);
	if (r == 0 && !has)
		r = tracer_drop_sigchld(t);
	return r < 0 ? err_wrap(r, "thread %d, back to its tracer %d", x->own_tid, x->own_tracer)
		     : 0;
}
