/* SPDX-License-Identifier: Apache-2.0 */
/* From the tracer: what a thread is about, and then it is ours. */
#include "state/task/traced.h"

#include "kernel/peek.h"
#include "kernel/traced.h"
#include "state/task/levels.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define GET_SIGMASK	   0x420a
#define SET_SIGMASK	   0x420b
#define GET_RSEQ_CONFIG	   0x420f
#define SIGSET_BYTES	   8
#define ALL_SIGNALS	   (~UINT64_C(0))
#define EVENT(code)	   ((code) >> 8)
#define PTRACE_EVENT_STOP_ 128
#define AT_ENTRY	   1 /* PTRACE_EVENTMSG_SYSCALL_ENTRY, Linux 5.3 */
#define AT_EXIT		   2
#define BIT(sig)	   (UINT64_C(1) << ((sig)-1))
#define STOP_SIGNALS	   (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))

struct taking {
	struct dump *d;
	struct dtask *by;
	struct tracer tracer;
	struct tracee *x;
	struct traced was;	  /* before it was touched */
	uint64_t pending, shared; /* signals */
	bool nudged;		  /* by a SIGSTOP of ours, which is still in its queue */
};

static bool is_event(const struct traced *s)
{
	return s->signo == SIGTRAP && EVENT(s->code) > 0 && EVENT(s->code) < PTRACE_EVENT_STOP_;
}

/* Where nothing leads back to; *S is of the kernel's memory. */
static int check_state(const struct traced *s)
{
	if (is_event(s))
		return err_set(EAGAIN, "in a stop that cannot be entered again: PTRACE_EVENT %d",
			       EVENT(s->code));
	if (s->group || s->listens)
		return err_set(EOPNOTSUPP, "its process is stopped by a signal, too");
	if (s->steps && !s->signo) /* afterwards it stands, and nothing is left of it */
		return err_set(EAGAIN, "in the middle of a single step");
	if (s->emulated)
		return err_set(EOPNOTSUPP, "its system calls are the tracer's (PTRACE_SYSEMU)");
	if (s->dispatches)
		return err_set(EOPNOTSUPP, "its system calls are dispatched to itself");
	return 0;
}

struct dtask *traced_by(struct dump *d, pid_t tid, unsigned *ret_thread)
{
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		for (unsigned k = 0; t->settled && t->seized.threads && k < t->seized.threads->len;
		     k++)
			if (seized_at(&t->seized, k)->tid == tid) {
				*ret_thread = k;
				return t;
			}
	}
	return NULL;
}

int traced_enter(struct dump *d, struct dtask *by, unsigned thread, struct agent **agent,
		 struct tracer *ret)
{
	const struct insns *known = g_hash_table_lookup(d->scouted, GINT_TO_POINTER(by->proc.pid));
	int r = agent_inject(&by->seized, known, NULL, agent);

	if (r == 0)
		*ret = (struct tracer){*agent, agent_thread_slot(*agent, thread)};
	return r;
}

static const struct tracee *find(const struct dump *d, pid_t tid)
{
	for (unsigned i = 0; d->traced && i < d->traced->len; i++) {
		const struct tracee *x = g_ptr_array_index(d->traced, i);

		if (x->tid == tid)
			return x;
	}
	return NULL;
}

bool traced_stands(const struct dump *d, pid_t tid)
{
	const struct tracee *x = find(d, tid);

	return x && x->how != TRACED_RUNS && x->how != TRACED_IN_CALL;
}

/* Numbers that everybody concerned knows it by. */
static int own_number(const struct dump *d, const struct procstatus *s, pid_t *ret)
{
	*ret = pid_chain_inner(&s->nspid);
	return *ret == level_of_root(d, &s->nspid)
		       ? 0
		       : err_set(EOPNOTSUPP, "in a pid namespace inside");
}

static int is_possible(struct dump *d, struct peek **ret)
{
	return dump_peek(d, ret)
		       ? 0
		       : err_set(EOPNOTSUPP, "the kernel's memory, which alone tells what "
					     "the tracer has asked for, cannot be read");
}

int traced_check(struct dump *d, const struct dtask *t, const struct thread_seen *h)
{
	const struct dtask *by = NULL;
	struct traced s;
	struct peek *k;
	int r = is_possible(d, &k);

	for (int i = t->parent; r == 0 && i >= 0 && !by; i = dump_task(d, (unsigned)i)->parent) {
		const struct dtask *a = dump_task(d, (unsigned)i);

		for (unsigned n = 0; n < dtask_nthreads(a); n++)
			if (dtask_tid(a, n) == h->tracer)
				by = a;
	}
	if (r < 0)
		return r;
	if (!by)
		return err_set(EOPNOTSUPP, "the tracer is not above it in the tree");
	for (unsigned n = 0; n < dtask_nthreads(by); n++)
		if (dtask_seen(by, n)->tracer)
			return err_set(EOPNOTSUPP, "the tracer is traced itself");
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (dump_task(d, i) != by && !dump_task(d, i)->zombie &&
		    dump_task(d, i)->vm == by->vm)
			return err_set(EOPNOTSUPP, "the tracer shares its memory");
	if (h->own_tid != h->nstid || by->status.nspid.n != t->status.nspid.n)
		return err_set(EOPNOTSUPP, "in a pid namespace inside");
	r = traced_look(k, h->tid, &s);
	return r < 0 ? r : check_state(&s);
}

static int read_now(struct taking *k)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	int r = procstatus_read_thread(k->x->pid, k->x->tid, &s);

	k->pending = s.sigpnd;
	k->shared = s.shdpnd;
	if (r == 0 && s.state == 'D') /* in vfork(2), perhaps: the end needs its tracer */
		return err_set(EAGAIN, "it cannot be stopped now");
	if (r == 0 && s.state == 't' && !k->was.signo)
		return err_set(EAGAIN, "it was stopped by a signal, or stops just now");
	if (r == 0)
		r = own_number(k->d, &s, &k->x->own_tid);
	return r;
}

/* Who was stopped already is left so; *RET: it was. */
static int stop(struct taking *k)
{
	const struct tracee *x = k->x;
	int r;

	if (k->was.signo)
		return 0;
	if (x->seized) {
		r = tracer_ptrace(&k->tracer, PTRACE_INTERRUPT, x->own_tid, 0, 0);
	} else {
		/* it takes SIGCONT from the queues: kernel/signal.c: prepare_signal() */
		if ((k->pending | k->shared) & (BIT(SIGCONT) | BIT(SIGSTOP)))
			return err_set(EAGAIN, "about to take SIGCONT or SIGSTOP");
		r = syscall(SYS_tgkill, x->pid, x->tid, SIGSTOP) < 0 ? err_errno("SIGSTOP") : 0;
		k->nudged = r == 0;
	}
	return r < 0 ? r : tracer_await(&k->tracer, x->own_tid, false);
}

/* Of whom it cannot be is no process: it comes from another pid namespace, or from us. */
static bool is_ours(const struct taking *k)
{
	const siginfo_t *si = &k->x->si;

	return k->nudged && si->si_signo == SIGSTOP && si->si_code == SI_TKILL &&
	       si->si_pid == (k->d->depth ? 0 : getpid());
}

static bool was_interrupted(const struct regs *r)
{
	return regs_will_be_again(r) || regs_need_restart_block(r) || regs_interrupted(r);
}

static int classify(struct taking *k, unsigned long message)
{
	struct tracee *x = k->x;
	const siginfo_t *si = &x->si;
	bool call = si->si_signo == SIGTRAP && (si->si_code & ~0x80) == SIGTRAP;
	bool ours = !k->was.signo;

	x->told = k->was.signo && !k->was.status;
	if (call && message == AT_ENTRY) {
		x->how = TRACED_ENTRY;
	} else if (call && message == AT_EXIT) {
		x->how = ours && was_interrupted(&x->home.regs) ? TRACED_IN_CALL : TRACED_EXIT;
	} else if (si->si_signo == SIGTRAP && EVENT(si->si_code) == PTRACE_EVENT_STOP_) {
		x->how = ours ? TRACED_RUNS : TRACED_INTERRUPTED;
	} else if (is_ours(k)) {
		k->nudged = false;
		x->how = TRACED_RUNS;
	} else {
		const struct traced s = {.signo = si->si_signo, .code = si->si_code};

		x->how = TRACED_SIGNAL;
		if (is_event(&s))
			return check_state(&s);
		if (k->pending & BIT(si->si_signo) ||
		    (si->si_signo == SIGCONT && k->pending & STOP_SIGNALS) ||
		    (si->si_signo == SIGSTOP && (k->pending | k->shared) & BIT(SIGCONT)))
			return err_set(EAGAIN, "it has signal %d twice", si->si_signo);
	}
	return 0;
}

/* The kernel clears it when it goes on in other code: kernel/rseq.c: rseq_ip_fixup(). */
static int read_rseq(struct taking *k)
{
	struct {
		uint64_t addr;
		uint32_t size, signature, flags, pad;
	} c = {0};
	struct seized_home *h = &k->x->home;
	int r = tracer_ptrace_out(&k->tracer, GET_RSEQ_CONFIG, k->x->own_tid, sizeof(c), &c,
				  sizeof(c));

	if (r < 0 || !c.addr)
		return r;
	h->rseq_at = c.addr + 8; /* struct rseq: rseq_cs */
	if (task_read_memory(k->x->pid, h->rseq_at, &h->rseq_cs, sizeof(h->rseq_cs)) < 0 ||
	    !h->rseq_cs) {
		err_clear();
		h->rseq_at = 0;
	}
	return 0;
}

static int read_debug(struct taking *k)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= TRACED_DR7; i++)
		if (i < 4 || i > 5)
			r = tracer_ptrace_out(&k->tracer, PTRACE_PEEKUSER, k->x->own_tid,
					      offsetof(struct user, u_debugreg) +
						      i * sizeof(uint64_t),
					      &k->x->debug[i], sizeof(uint64_t));
	return r;
}

static int read_stop(struct taking *k)
{
	const struct tracer *t = &k->tracer;
	struct tracee *x = k->x;
	unsigned long message = 0;
	int r = tracer_ptrace_out(t, PTRACE_GETREGS, x->own_tid, 0, &x->home.regs.gp,
				  sizeof(x->home.regs.gp));

	if (r == 0)
		r = tracer_ptrace_out(t, GET_SIGMASK, x->own_tid, SIGSET_BYTES, &x->home.sigmask,
				      sizeof(x->home.sigmask));
	if (r == 0)
		r = tracer_ptrace_out(t, PTRACE_GETSIGINFO, x->own_tid, 0, &x->si, sizeof(x->si));
	if (r == 0)
		r = tracer_ptrace_out(t, PTRACE_GETEVENTMSG, x->own_tid, 0, &message,
				      sizeof(message));
	if (r == 0)
		r = read_rseq(k);
	if (r == 0)
		r = read_debug(k);
	return r < 0 ? r : classify(k, message);
}

/* The SIGSTOP that something else has come before of, so that nobody meets it. */
static int take_nudge(struct taking *k)
{
	pid_t tid = k->x->own_tid;
	int r = k->nudged ? tracer_ptrace(&k->tracer, PTRACE_CONT, tid, 0, 0) : 0;

	if (r == 0 && k->nudged) {
		/* the stop before was its last */
		r = tracer_await(&k->tracer, tid, true);
		k->nudged = false;
	}
	return r;
}

static int let_go(struct taking *k)
{
	const uint64_t all = ALL_SIGNALS;
	struct regs aside = k->x->home.regs;
	pid_t tid = k->x->own_tid;
	uint64_t spin;
	int r = tracer_find_spin(k->x->pid, &spin);

	if (r < 0)
		return r;
	regs_set_pc(&aside, spin);
	aside.gp.orig_rax = (unsigned long long)-1;
	r = tracer_ptrace_in(&k->tracer, PTRACE_SETREGS, tid, 0, &aside.gp, sizeof(aside.gp));
	if (r == 0)
		r = tracer_ptrace_in(&k->tracer, SET_SIGMASK, tid, SIGSET_BYTES, &all, sizeof(all));
	if (r == 0)
		r = take_nudge(k);
	return r < 0 ? r : tracer_ptrace(&k->tracer, PTRACE_DETACH, tid, 0, 0);
}

static int take(struct taking *k)
{
	struct tracee *x = k->x;
	struct peek *p;
	int r = is_possible(k->d, &p);

	if (r == 0)
		r = traced_look(p, x->tid, &k->was);
	if (r == 0)
		r = check_state(&k->was);
	if (r == 0)
		r = read_now(k);
	if (r == 0)
		r = tracer_may(&k->tracer, x->own_tid);
	if (r < 0)
		return r;
	x->seized = k->was.seized;
	x->options = k->was.options;
	x->calls = k->was.calls;
	r = stop(k);
	if (r == 0)
		r = read_stop(k);
	return r < 0 ? r : let_go(k);
}

/* Whether there may be something that the tracer has a SIGCHLD of. */
static bool awaits_child(const struct dtask *by)
{
	CLEANUP(pid_list_clear) struct pid_list children = {0};

	if (proc_children(by->proc.dir, &children) < 0) {
		err_clear();
		return true;
	}
	for (size_t i = 0; i < children.n; i++) {
		CLEANUP(procstatus_clear) struct procstatus s = {0};

		if (procstatus_read_thread(children.v[i], children.v[i], &s) < 0)
			err_clear();
		else if (s.state == 'Z' || s.state == 'T')
			return true;
	}
	return false;
}

static int sigchld_pending(const struct dtask *by, pid_t tid, bool *ret)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	int r = procstatus_read_thread(by->pid, tid, &s);

	*ret = (s.sigpnd | s.shdpnd) & BIT(SIGCHLD);
	return r;
}

static int take_thread(struct dump *d, struct dtask *by, unsigned thread, struct tracee *x)
{
	CLEANUP(agent_free) struct agent *a = NULL;
	struct taking k = {.d = d, .by = by, .x = x};
	bool pending = false;
	int r = sigchld_pending(by, x->tracer, &pending);

	if (r == 0)
		r = traced_enter(d, by, thread, &a, &k.tracer);
	if (r < 0)
		return r;
	r = take(&k);
	if (r == 0 && !pending && (x->told || x->how == TRACED_RUNS || x->how == TRACED_IN_CALL) &&
	    !awaits_child(by))
		r = tracer_drop_sigchld(&k.tracer);
	return r < 0 ? r : agent_cure(a);
}

static int take_one(struct dump *d, const struct dtask *t, const struct procstatus *s)
{
	g_autofree struct tracee *x = g_new0(struct tracee, 1);
	CLEANUP(procstatus_clear) struct procstatus tracer = {0};
	unsigned thread = 0;
	struct dtask *by = traced_by(d, s->tracer, &thread);
	int r;

	if (!by || find(d, s->tracer))
		return 0; /* seize_begin() says who it is */
	x->pid = t->pid;
	x->tid = s->pid;
	x->tracer = s->tracer;
	r = procstatus_read_thread(by->pid, s->tracer, &tracer);
	if (r == 0)
		r = own_number(d, &tracer, &x->own_tracer);
	if (r == 0)
		r = take_thread(d, by, thread, x);
	if (r < 0)
		return err_wrap(r, "thread %d", pid_chain_inner(&s->nspid));
	if (!d->traced)
		d->traced = g_ptr_array_new_with_free_func(g_free);
	if (!d->homes)
		d->homes = g_hash_table_new(NULL, NULL);
	g_hash_table_insert(d->homes, GINT_TO_POINTER(x->tid), &x->home);
	g_ptr_array_add(d->traced, g_steal_pointer(&x));
	d->o.snapshot = false; /* whose children would be stopped once more, when they are traced */
	return 0;
}

int traced_take(struct dump *d, struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	int r = proc_tasks(t->proc.dir, &tids);

	for (size_t i = 0; r == 0 && i < tids.n; i++) {
		CLEANUP(procstatus_clear) struct procstatus s = {0};

		if (procstatus_read_task(t->proc.dir, tids.v[i], &s) < 0)
			err_clear(); /* it has ended */
		else if (s.tracer && s.state != 'Z' && s.state != 'X')
			r = take_one(d, t, &s);
	}
	d->traced_passing |= r == -EAGAIN;
	return r;
}

void traced_taken(struct dump *d, struct dtask *t)
{
	t->seized.homes = d->homes;
	t->traced = true;
}
