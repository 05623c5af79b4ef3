/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole thread groups under ptrace.
 *
 * Every thread is told to stop before any is waited for: with busy threads and few CPUs the time is
 * that of the scheduler, once and not once per thread.
 */
#include "kernel/proc.h"
#include "kernel/procstatus.h"
#include "kernel/ptrace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SUSPEND_SECCOMP	      (1u << 21) /* PTRACE_O_SUSPEND_SECCOMP, linux/ptrace.h */
#define WAIT_STATUS_EVENT(st) ((st) >> 16)
#define SLICE_MS	      20
#define COUNT_PAUSE_US	      500
#define PIDFD_THREAD_	      O_EXCL /* Linux 6.9 */

static uint64_t options_of(unsigned flags)
{
	uint64_t o = PTRACE_O_TRACESYSGOOD | SUSPEND_SECCOMP;

	if (flags & SEIZE_EXITKILL)
		o |= PTRACE_O_EXITKILL;
	if (flags & SEIZE_EXIT)
		o |= PTRACE_O_TRACEEXIT;
	if (flags & SEIZE_NEWBORN)
		o |= PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
	return o;
}

int ptrace_set_options(pid_t tid, unsigned flags)
{
	/* Who has filters himself may not suspend others' (kernel/ptrace.c:
	 * check_ptrace_options()); then seize_begin() has made sure that there are none. */
	if (ptrace(PTRACE_SETOPTIONS, tid, NULL, options_of(flags)) == 0)
		return 0;
	if (ptrace(PTRACE_SETOPTIONS, tid, NULL, options_of(flags) & ~(uint64_t)SUSPEND_SECCOMP) <
	    0)
		return err_errno("setting ptrace options of task %d", tid);
	return 0;
}

int ptrace_seize_running(pid_t tid, unsigned flags)
{
	uint64_t o = options_of(flags);

	if (ptrace(PTRACE_SEIZE, tid, NULL, o) == 0)
		return 0;
	if (errno == EPERM && ptrace(PTRACE_SEIZE, tid, NULL, o & ~(uint64_t)SUSPEND_SECCOMP) == 0)
		return 0;
	return err_errno("holding task %d", tid);
}

/* 0 and the status, or an error if the thread is no more. */
static int read_status(const struct seized *s, pid_t tid, struct procstatus *ret)
{
	return procstatus_read_thread(s->pid, tid, ret);
}

static void free_thread(void *p)
{
	struct seized_thread *t = p;

	xstate_clear(&t->xstate);
}

/* 0: held from now on; 1: it is dead or dying, nothing to hold. */
static int seize_thread(struct seized *s, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	int saved;

	if (ptrace(PTRACE_SEIZE, tid, NULL, s->options) == 0)
		return 0;
	saved = errno;
	if (saved == ESRCH || read_status(s, tid, &st) < 0)
		return 1;
	if (st.state == 'Z' || st.state == 'X') {
		s->leader_dead |= tid == s->pid;
		return 1;
	}
	if (st.tracer == (pid_t)syscall(SYS_gettid))
		return 0; /* SEIZE_NEWBORN: held from birth on */
	if (st.tracer)
		return err_set(EBUSY, "process %d traces thread %d; end that one, or let it detach",
			       st.tracer, tid);
	if (saved == EPERM && (s->options & SUSPEND_SECCOMP) && st.seccomp == 0) {
		s->options &= ~(uint64_t)SUSPEND_SECCOMP;
		return seize_thread(s, tid);
	}
	errno = saved;
	return err_errno("holding task %d", tid);
}

/* Seizes and interrupts what is not known yet.  Returns how many new ones. */
static int scan_threads(struct seized *s)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	autoclose int dir = -1;
	char path[32];
	int r, fresh = 0;

	snprintf(path, sizeof(path), "/proc/%d", s->pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? err_set(ESRCH, "process %d does not exist", s->pid)
				       : err_errno("open %s", path);
	r = proc_tasks(dir, &tids);
	if (r < 0)
		return r;
	for (size_t i = 0; i < tids.n; i++) {
		struct seized_thread t = {.tid = tids.v[i], .waiting = true};

		if (g_hash_table_contains(s->known, GINT_TO_POINTER(t.tid)))
			continue;
		r = seize_thread(s, t.tid);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		g_hash_table_add(s->known, GINT_TO_POINTER(t.tid));
		g_array_append_val(s->threads, t);
		fresh++;
		if (ptrace(PTRACE_INTERRUPT, t.tid, NULL, NULL) < 0 && errno != ESRCH)
			return err_errno("interrupting task %d", t.tid);
	}
	return fresh;
}

int seize_begin(pid_t pid, unsigned flags, struct seized *ret)
{
	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
	int r;

	s.pid = pid;
	s.options = options_of(flags);
	s.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (s.pidfd < 0)
		return err_errno("process %d", pid);
	s.threads = g_array_new(FALSE, TRUE, sizeof(struct seized_thread));
	g_array_set_clear_func(s.threads, free_thread);
	s.known = g_hash_table_new(NULL, NULL);
	r = scan_threads(&s);
	if (r < 0)
		return r;
	if (s.threads->len == 0)
		return s.leader_dead ? 1 : err_set(ESRCH, "process %d has ended", pid);
	/* Held now: if the number still means what pidfd means, it was never reused. */
	if (syscall(SYS_pidfd_send_signal, s.pidfd, 0, NULL, 0) < 0)
		return err_errno("process %d", pid);
	*ret = s;
	s = SEIZED_NONE;
	return 0;
}

/* A zombie leader reports nothing until the last thread has ended (delay_group_leader()). */
static bool leader_died(struct seized *s, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};

	if (tid != s->pid || read_status(s, tid, &st) < 0 || st.state != 'Z')
		return false;
	s->leader_dead = true;
	return true;
}

static int does_not_stop(struct seized *s, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};

	if (read_status(s, tid, &st) < 0)
		return err_set(ETIMEDOUT, "task %d does not stop", tid);
	return err_set(ETIMEDOUT, "task %d does not stop (state %c%s)", tid, st.state,
		       st.state == 'D' ? ": perhaps in vfork, or waiting for a file system" : "");
}

/*
 * 1: it is one that the kernel has made for io_uring: it never runs in user mode, and works on
 * while the others stand still.
 */
static int let_kernels_go(struct seized *s, const struct seized_thread *t)
{
	if (!regs_are_kernels(&t->regs))
		return 0;
	s->kernels++;
	return ptrace(PTRACE_DETACH, t->tid, NULL, NULL) < 0
		       ? err_errno("letting task %d go", t->tid)
		       : 1;
}

static int bring_home(const struct seized *s, pid_t tid)
{
	struct seized_home *h =
		s->homes ? g_hash_table_lookup(s->homes, GINT_TO_POINTER(tid)) : NULL;
	int r = h ? ptrace_set_regs(tid, &h->regs) : 0;

	if (h && r == 0)
		r = ptrace_set_sigmask(tid, h->sigmask);
	if (h && r == 0 && h->rseq_at)
		r = task_write_memory(tid, h->rseq_at, &h->rseq_cs, sizeof(h->rseq_cs));
	return r;
}

/* 0: stopped; 1: it ended, or is the kernel's. */
static int wait_thread(struct seized *s, struct seized_thread *t, uint64_t until)
{
	for (;;) {
		int status, sig, r;

		r = ptrace_wait(t->tid, SLICE_MS, &status);
		if (r == -ESRCH)
			return 1;
		if (r < 0)
			return r;
		if (r > 0) {
			if (leader_died(s, t->tid))
				return 1;
			if ((uint64_t)g_get_monotonic_time() >= until)
				return does_not_stop(s, t->tid);
			continue;
		}
		if (!WIFSTOPPED(status))
			return 1;
		sig = WSTOPSIG(status);
		if (WAIT_STATUS_EVENT(status) == PTRACE_EVENT_STOP) {
			t->job_stopped = sig != SIGTRAP;
			t->stop_signal = sig;
			t->waiting = false;
			r = bring_home(s, t->tid);
			if (r == 0)
				r = ptrace_get_regs(t->tid, &t->regs);
			return r < 0 ? r : let_kernels_go(s, t);
		}
		/* A signal was taken from the queue before our stop: it goes on its way, and the
		 * thread stops before the handler's first instruction. */
		r = ptrace_cont(t->tid, WAIT_STATUS_EVENT(status) ? 0 : sig);
		if (r == -ESRCH)
			return 1;
		if (r < 0)
			return r;
	}
}

/*
 * A thread within a restartable sequence has been preempted by our stop, so it belongs at the
 * abort handler.  The kernel would see to it (kernel/rseq.c: rseq_ip_fixup()), but not when the
 * registers have been exchanged meanwhile.
 */
static int abort_restartable_sequence(struct seized *s, struct seized_thread *t)
{
	struct {
		uint32_t version, flags;
		uint64_t start, post_commit_offset, abort;
	} cs;
	struct rseq_config area;
	uint64_t at;

	if (regs_in_syscall(&t->regs) || ptrace_get_rseq(t->tid, &area) < 0 || !area.addr)
		return 0;
	/* struct rseq: cpu_id_start, cpu_id, rseq_cs.  Unreadable areas are the task's own affair.
	 */
	if (task_read_memory(seized_alive(s), area.addr + 8, &at, sizeof(at)) < 0 || !at ||
	    task_read_memory(seized_alive(s), at, &cs, sizeof(cs)) < 0)
		return 0;
	if (regs_pc(&t->regs) - cs.start < cs.post_commit_offset) {
		regs_set_pc(&t->regs, cs.abort);
		return ptrace_set_regs(t->tid, &t->regs);
	}
	return 0;
}

/* It was our stop, and no signal, that ended its system call: nobody is to be told of that. */
static int undo_interruption(struct seized *s, struct seized_thread *t)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	int r;

	if (!regs_interrupted(&t->regs))
		return 0;
	r = read_status(s, t->tid, &st);
	if (r < 0)
		return r;
	if ((st.sigpnd | st.shdpnd) & ~st.sigblk & st.sigcgt)
		return 0;
	regs_again(&t->regs);
	return ptrace_set_regs(t->tid, &t->regs);
}

/* Stopped before, and sent on through restart_syscall(2). */
static void find_first_call(const struct seized *s, struct seized_thread *t)
{
	uint8_t code[REGS_CALL_BYTES] = {0};

	if (!regs_restarted(&t->regs))
		return;
	if (task_read_memory(seized_alive(s), regs_pc(&t->regs) - sizeof(code), code,
			     sizeof(code)) < 0)
		err_clear();
	regs_first_call(&t->regs, code);
}

/* What it has besides its registers, and these as they ought to be. */
static int read_thread(struct seized *s, struct seized_thread *t)
{
	int r = abort_restartable_sequence(s, t);

	if (r == 0)
		r = undo_interruption(s, t);
	if (r == 0)
		find_first_call(s, t);
	if (r == 0)
		r = ptrace_get_xstate(t->tid, &t->xstate);
	if (r == 0)
		r = ptrace_get_sigmask(t->tid, &t->sigmask);
	if (r == 0)
		r = ptrace_get_dispatch(t->tid, &t->dispatch);
	return r;
}

static int by_tid(const void *a, const void *b)
{
	const struct seized_thread *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static void leader_to_front(struct seized *s)
{
	for (unsigned i = 1; i < s->threads->len; i++) {
		struct seized_thread leader = *seized_at(s, i);

		if (leader.tid != s->pid)
			continue;
		*seized_at(s, i) = *seized_at(s, 0);
		*seized_at(s, 0) = leader;
	}
}

/* 0: all that wait have stopped, or are no more. */
static int wait_all(struct seized *s, uint64_t until)
{
	for (unsigned i = 0; i < s->threads->len;) {
		struct seized_thread *t = seized_at(s, i);
		int r = t->waiting ? wait_thread(s, t, until) : 0;

		if (r < 0)
			return r;
		if (r == 0)
			i++;
		else
			g_array_remove_index(s->threads, i);
	}
	return 0;
}

/*
 * Whether the kernel counts as many threads as are held.  A listing of task/ ends early when the
 * thread that it has come to ends just then (fs/proc/base.c: next_tid()), so that finding nothing
 * new proves nothing as long as threads are ending.
 */
static int count_agrees(struct seized *s, uint64_t until, bool *ret)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	int r = read_status(s, s->pid, &st);

	if (r == -ENOENT || r == -ESRCH)
		return err_set(ESRCH, "process %d has ended", s->pid);
	if (r < 0)
		return r;
	*ret = st.threads == (int)(s->threads->len + s->kernels) + s->leader_dead;
	if (*ret)
		return 0;
	if ((uint64_t)g_get_monotonic_time() >= until)
		return err_set(ETIMEDOUT, "process %d has %d threads, only %u of them stop", s->pid,
			       st.threads, s->threads->len);
	/* what ends needs a CPU for it */
	g_usleep(COUNT_PAUSE_US);
	return 0;
}

/* Stops threads until there are no others. */
static int stop_all(struct seized *s, uint64_t until)
{
	bool whole = false;

	while (!whole) {
		int r = wait_all(s, until);

		if (r == 0)
			r = scan_threads(s);
		if (s->threads->len == 0)
			return r < 0 ? r : 0;
		if (r == 0)
			r = count_agrees(s, until, &whole);
		if (r < 0)
			return r;
	}
	return 0;
}

/* pidfd_getfd(2) of a dead leader finds no descriptors (kernel/pid.c: __pidfd_fget()). */
static int change_pidfd(struct seized *s)
{
	int fd = (int)syscall(SYS_pidfd_open, seized_alive(s), PIDFD_THREAD_);

	if (fd < 0)
		return errno == EINVAL
			       ? err_set(EOPNOTSUPP,
					 "its first thread has ended before the others, which only "
					 "Linux 6.9 lets us look at (PIDFD_THREAD)")
			       : err_errno("thread %d", seized_alive(s));
	cleanup_close(&s->pidfd);
	s->pidfd = fd;
	return 0;
}

int seize_settle(struct seized *s, unsigned timeout_ms)
{
	uint64_t until = (uint64_t)g_get_monotonic_time() + timeout_ms * UINT64_C(1000);
	int r = stop_all(s, until);

	if (s->threads->len == 0 && (r == 0 || r == -ESRCH))
		return 1;
	if (r < 0)
		return r;
	g_array_sort(s->threads, by_tid);
	leader_to_front(s);
	r = s->leader_dead ? change_pidfd(s) : 0;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < s->threads->len; i++) {
		r = read_thread(s, seized_at(s, i));
		if (r < 0)
			return r;
	}
	return 0;
}

void seized_release(struct seized *s)
{
	for (unsigned i = s->threads ? s->threads->len : 0; i-- > 0;)
		ptrace(PTRACE_DETACH, seized_at(s, i)->tid, NULL, NULL);
	g_clear_pointer(&s->threads, g_array_unref);
	g_clear_pointer(&s->known, g_hash_table_unref);
	cleanup_close(&s->pidfd);
	*s = SEIZED_NONE;
}
