/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding tasks by ptrace(2).
 *
 *	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
 *
 *	r = seize_begin(pid, 0, &s);		// every thread is told to stop
 *	... other processes of the tree, thawing of the cgroup ...
 *	r = seize_settle(&s, 5000);		// every thread has stopped; registers are known
 *
 * All of it must be done by one and the same thread of ours: a tracer is a thread.  When that
 * thread ends, however it ends, the kernel releases everything (or kills it: SEIZE_EXITKILL).
 *
 * Tids are those of our own pid namespace.
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/err.h"

#include <linux/filter.h>
#include <signal.h>
#include <sys/types.h>

/*
 * Whose system calls are dispatched to the program itself (prctl(2), PR_SET_SYSCALL_USER_DISPATCH):
 * those from outside of a range of code, or (mode 2, Linux 6.16) from within, unless a byte of its
 * memory says SYSCALL_DISPATCH_FILTER_ALLOW.
 */
struct dispatch {
	uint64_t mode, selector, offset, len; /* mode 0: none */
};
#define DISPATCH_ALLOW 0 /* the selector's byte */

struct seized_thread {
	pid_t tid;
	bool waiting;	  /* told to stop, not yet seen stopped; false in a settled group */
	bool job_stopped; /* by SIGSTOP and the like; is stopped again after its release */
	int stop_signal;  /* the one that stopped it */
	struct regs regs; /* at the stop, not fixed up (regs_fix()) */
	struct xstate xstate;
	uint64_t sigmask; /* inside sigsuspend(2) and ppoll(2): the saved one, as it should be */
	struct dispatch dispatch;
};

/*
 * A thread that another tracer has let go somewhere in its code, only so that we can hold it, and
 * what it had before: set when it has stopped.
 */
struct seized_home {
	struct regs regs;
	uint64_t sigmask;
	uint64_t rseq_at, rseq_cs; /* what was there: the kernel has cleared it; at 0: nowhere */
};

struct seized {
	pid_t pid;
	int pidfd;	   /* ours to close; of a thread if the leader has ended */
	GArray *threads;   /* struct seized_thread; [0] is the leader if it is alive */
	GHashTable *known; /* tids ever seen */
	uint64_t options;
	bool leader_dead;  /* the leader has ended, other threads go on */
	unsigned kernels;  /* threads of io_uring, which are not held */
	GHashTable *homes; /* tid -> struct seized_home, not ours; NULL: none */
};
#define SEIZED_NONE ((struct seized){.pid = -1, .pidfd = -1})

#define SEIZE_EXITKILL 1u /* the process dies with us: for what we made ourselves */
#define SEIZE_NEWBORN  2u /* children and threads that it makes are held from birth on */
#define SEIZE_EXIT     4u /* it stops within its end: PTRACE_EVENT_EXIT */

/*
 * Seizes every thread of PID and tells it to stop, without waiting.  A thread that vanishes
 * meanwhile is none.  Seccomp filters are suspended where we are allowed to; if not (-EPERM), only
 * a process without filters can be held.  1: PID is a zombie, nothing is held.  -ESRCH: it does
 * not exist; -EBUSY: somebody else traces it.
 */
int seize_begin(pid_t pid, unsigned flags, struct seized *ret) MUST_CHECK;

/*
 * Waits until every thread has stopped, looking for new ones until there are none, and reads the
 * registers.  Takes at most TIMEOUT_MS: -ETIMEDOUT names the thread and its state; a parent in
 * vfork(2) cannot be stopped before its child has called execve(2).  1: the process has ended.
 */
int seize_settle(struct seized *s, unsigned timeout_ms) MUST_CHECK;

/* Detaches everything, the leader last, and frees.  Threads that have not stopped stay attached. */
void seized_release(struct seized *s);

static inline struct seized_thread *seized_at(const struct seized *s, unsigned i)
{
	return &g_array_index(s->threads, struct seized_thread, i);
}

/* Whose memory, maps, descriptors are the process's: a dead leader has none. */
static inline pid_t seized_alive(const struct seized *s)
{
	return seized_at(s, 0)->tid;
}

/*
 * Single tasks.  All of these need the task in a stop, except ptrace_interrupt().  -ESRCH: it has
 * ended or is not in a stop.
 */
int ptrace_interrupt(pid_t tid) MUST_CHECK;
int ptrace_cont(pid_t tid, int sig) MUST_CHECK;
int ptrace_detach(pid_t tid) MUST_CHECK;
/* Seizes one task without stopping it. */
int ptrace_seize_running(pid_t tid, unsigned flags) MUST_CHECK; /* SEIZE_* */
int ptrace_set_options(pid_t tid, unsigned flags) MUST_CHECK;	/* SEIZE_*, as at seize_begin() */

int ptrace_get_regs(pid_t tid, struct regs *ret) MUST_CHECK;
int ptrace_set_regs(pid_t tid, const struct regs *r) MUST_CHECK;
/*
 * What is in use of it (xstate_used()), to be freed by xstate_clear(); AMX's 8 KiB, which few use,
 * are not even asked for.  ptrace_set_xstate() wants all that the CPU has: ptrace_xstate_size().
 */
int ptrace_get_xstate(pid_t tid, struct xstate *ret) MUST_CHECK;
int ptrace_xstate_size(pid_t tid, size_t *ret) MUST_CHECK;
int ptrace_set_xstate(pid_t tid, const struct xstate *x) MUST_CHECK;
int ptrace_get_sigmask(pid_t tid, uint64_t *ret) MUST_CHECK;
int ptrace_set_sigmask(pid_t tid, uint64_t mask) MUST_CHECK;

/* PTRACE_GET_RSEQ_CONFIGURATION (since 5.13).  ADDR 0: none is registered. */
struct rseq_config {
	uint64_t addr;
	uint32_t size, signature, flags;
};
int ptrace_get_rseq(pid_t tid, struct rseq_config *ret) MUST_CHECK;

/* Mode 0, too, where the kernel cannot tell (before 6.4). */
int ptrace_get_dispatch(pid_t tid, struct dispatch *ret) MUST_CHECK;
int ptrace_set_dispatch(pid_t tid, const struct dispatch *d) MUST_CHECK;

/* Appends copies of the queued signals, of the thread or (SHARED) of the process (siginfo_t). */
int ptrace_peek_signals(pid_t tid, bool shared, GArray *ret) MUST_CHECK;

/*
 * Seccomp filter number INDEX of the task, as struct sock_filter instructions, and its
 * SECCOMP_FILTER_FLAG_* bits; 0 is the oldest (kernel/seccomp.c: get_nth_filter() counts from the
 * end; ptrace(2) has it the other way round).  1: there is no such filter.  Needs CAP_SYS_ADMIN in
 * the initial user namespace and no filter on ourselves (kernel/seccomp.c: seccomp_get_filter()).
 */
int ptrace_get_seccomp(pid_t tid, unsigned index, struct sock_filter **ret, unsigned *ret_len,
		       uint64_t *ret_flags) MUST_CHECK;

/* get_robust_list(2); needs no stop. */
int task_get_robust_list(pid_t tid, uint64_t *ret_head, uint64_t *ret_len) MUST_CHECK;

/*
 * Waits for what a held task reports next: *RET_STATUS as from waitpid(2).  TIMEOUT_MS 0 only
 * looks.  1: nothing in that time.  -ESRCH: no such task of ours; an ended one is reported once.
 */
int ptrace_wait(pid_t tid, unsigned timeout_ms, int *ret_status) MUST_CHECK;

/*
 * Lets a stopped task run until it has stopped for our ptrace_interrupt(), passing on stop signals
 * and skipping other reports.  -ETIMEDOUT, -ESRCH (it died).
 */
int ptrace_wait_interrupted(pid_t tid, unsigned timeout_ms) MUST_CHECK;

/*
 * Begins the system call that R is just before, and stops the task as soon as that waits: a
 * restart_block is left in it.  *RET is the result: -ERESTART_RESTARTBLOCK, or what it has come to.
 */
int ptrace_interrupted_syscall(pid_t tid, const struct regs *r, int64_t *ret) MUST_CHECK;

/*
 * Executes one system call in a stopped task, which keeps stopped: with its registers BASE, the
 * instruction "syscall" at INSN and the stack at SP.  Registers are left changed.  Signals must be
 * blocked (ptrace_set_sigmask()).  PTRACE_SINGLESTEP is never used here: its trap is a forced
 * SIGTRAP, which with blocked signals destroys the handler.  Returns 0, the call's own result is
 * in *RET; -ETIMEDOUT after ten seconds.
 */
int ptrace_syscall(pid_t tid, const struct regs *base, uint64_t insn, uint64_t sp, long nr,
		   const uint64_t args[6], int64_t *ret) MUST_CHECK;

/* Copies between us and a process (process_vm_readv(2)): all or an error. */
int task_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len) MUST_CHECK;
int task_write_memory(pid_t pid, uint64_t addr, const void *buf, size_t len) MUST_CHECK;
