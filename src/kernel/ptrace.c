/* SPDX-License-Identifier: Apache-2.0 */
/* Single held tasks.  Groups of them: seize.c. */
#include "kernel/ptrace.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

/* include/uapi/linux/ptrace.h; <sys/ptrace.h> has only some of them, and both cannot be included */
#define GET_SIGMASK	      0x420a
#define SET_SIGMASK	      0x420b
#define SECCOMP_GET_FILTER    0x420c
#define SECCOMP_GET_METADATA  0x420d
#define GET_RSEQ_CONFIG	      0x420f
#define SET_DISPATCH	      0x4210 /* Linux 6.4 */
#define GET_DISPATCH	      0x4211
#define DISPATCH_INCLUSIVE    2
#define SYSCALL_TIMEOUT_MS    10000
#define KERNEL_SIGSET_BYTES   8
#define SIGNALS_AT_ONCE	      32
#define YIELDS_BEFORE_SLEEP   50
#define SLEEP_FIRST_NS	      20000
#define SLEEP_LONGEST_NS      1000000
#define WAIT_STATUS_EVENT(st) ((st) >> 16)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ptrace_wait(pid_t tid, unsigned timeout_ms, int *ret_status)
{
	uint64_t until = now_ns() + timeout_ms * UINT64_C(1000000);
	struct timespec pause = {.tv_nsec = SLEEP_FIRST_NS};

	for (unsigned round = 0;; round++) {
		pid_t got = waitpid(tid, ret_status, __WALL | WNOHANG);

		if (got == tid)
			return 0;
		if (got < 0 && errno == ECHILD)
			return err_set(ESRCH, "task %d has ended", tid);
		if (got < 0 && errno != EINTR)
			return err_errno("wait for task %d", tid);
		if (now_ns() >= until)
			return 1;
		if (round < YIELDS_BEFORE_SLEEP) {
			sched_yield();
			continue;
		}
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(pause.tv_nsec * 2, SLEEP_LONGEST_NS);
	}
}

static int request(int req, pid_t tid, void *addr, void *data, const char *what)
{
	if (ptrace((enum __ptrace_request)req, tid, addr, data) < 0)
		return err_errno("%s of task %d", what, tid);
	return 0;
}

int ptrace_interrupt(pid_t tid)
{
	return request(PTRACE_INTERRUPT, tid, NULL, NULL, "interrupting");
}

int ptrace_cont(pid_t tid, int sig)
{
	return request(PTRACE_CONT, tid, NULL, (void *)(long)sig, "continuing");
}

int ptrace_detach(pid_t tid)
{
	return request(PTRACE_DETACH, tid, NULL, NULL, "releasing");
}

int ptrace_get_regs(pid_t tid, struct regs *ret)
{
	struct regs r;
	struct iovec v = {&r.gp, sizeof(r.gp)};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &v) < 0)
		return err_errno("reading registers of task %d", tid);
	if (v.iov_len != sizeof(r.gp))
		return err_set(EOPNOTSUPP, "task %d runs 32-bit code", tid);
	*ret = r;
	return 0;
}

int ptrace_set_regs(pid_t tid, const struct regs *r)
{
	struct iovec v = {(void *)&r->gp, sizeof(r->gp)};

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &v) < 0)
		return err_errno("setting registers of task %d", tid);
	return 0;
}

int ptrace_get_xstate(pid_t tid, struct xstate *ret)
{
	static _Thread_local uint8_t buf[XSTATE_MAX];
	static const size_t rooms[] = {XSTATE_USUAL, sizeof(buf)};
	struct xstate x = {.data = buf};

	for (unsigned i = 0; i < ARRAY_SIZE(rooms) && x.len == (i ? rooms[i - 1] : 0); i++) {
		struct iovec v = {buf, rooms[i]};

		if (ptrace(PTRACE_GETREGSET, tid, XSTATE_NOTE, &v) < 0)
			return err_errno("reading extended registers of task %d", tid);
		x.len = v.iov_len;
		if (xstate_used(&x) < x.len)
			break;
	}
	x.len = xstate_used(&x);
	*ret = (struct xstate){.data = g_memdup2(buf, x.len), .len = x.len};
	return 0;
}

int ptrace_xstate_size(pid_t tid, size_t *ret)
{
	static _Thread_local uint8_t buf[XSTATE_MAX];
	struct iovec v = {buf, sizeof(buf)};

	if (ptrace(PTRACE_GETREGSET, tid, XSTATE_NOTE, &v) < 0)
		return err_errno("reading extended registers of task %d", tid);
	*ret = v.iov_len;
	return 0;
}

int ptrace_set_xstate(pid_t tid, const struct xstate *x)
{
	struct iovec v = {x->data, x->len};

	if (ptrace(PTRACE_SETREGSET, tid, XSTATE_NOTE, &v) < 0)
		return err_errno("setting extended registers of task %d", tid);
	return 0;
}

int ptrace_get_sigmask(pid_t tid, uint64_t *ret)
{
	return request(GET_SIGMASK, tid, (void *)KERNEL_SIGSET_BYTES, ret, "reading signal mask");
}

int ptrace_set_sigmask(pid_t tid, uint64_t mask)
{
	return request(SET_SIGMASK, tid, (void *)KERNEL_SIGSET_BYTES, &mask, "setting signal mask");
}

int ptrace_get_rseq(pid_t tid, struct rseq_config *ret)
{
	struct {
		uint64_t addr;
		uint32_t size, signature, flags, pad;
	} c = {0};

	if (ptrace((enum __ptrace_request)GET_RSEQ_CONFIG, tid, sizeof(c), &c) < 0)
		return err_errno("reading restartable sequences of task %d", tid);
	*ret = (struct rseq_config){c.addr, c.size, c.signature, c.flags};
	return 0;
}

/*
 * The kernel turns the range of mode 2 inside out and then shows it as mode 1's, which it would not
 * take (kernel/entry/syscall_user_dispatch.c: task_set_syscall_user_dispatch()).
 */
int ptrace_get_dispatch(pid_t tid, struct dispatch *ret)
{
	struct dispatch d = {0};

	if (ptrace((enum __ptrace_request)GET_DISPATCH, tid, sizeof(d), &d) < 0) {
		if (errno != EIO && errno != EINVAL)
			return err_errno("reading the dispatch of system calls of task %d", tid);
		d.mode = 0;
	}
	if (!d.mode) /* a child's copy has the rest of it */
		d = (struct dispatch){0};
	if (d.offset && d.offset + d.len <= d.offset) {
		d.mode = DISPATCH_INCLUSIVE;
		d.offset += d.len;
		d.len = -d.len;
	}
	*ret = d;
	return 0;
}

int ptrace_set_dispatch(pid_t tid, const struct dispatch *d)
{
	return request(SET_DISPATCH, tid, (void *)sizeof(*d), (void *)d,
		       "setting the dispatch of system calls");
}

int ptrace_peek_signals(pid_t tid, bool shared, GArray *ret)
{
	siginfo_t batch[SIGNALS_AT_ONCE];
	struct __ptrace_peeksiginfo_args args = {
		.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
		.nr = SIGNALS_AT_ONCE,
	};

	for (;;) {
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, batch);

		if (n < 0)
			return err_errno("reading queued signals of task %d", tid);
		if (n == 0)
			return 0;
		g_array_append_vals(ret, batch, (unsigned)n);
		args.off += (uint64_t)n;
	}
}

int ptrace_get_seccomp(pid_t tid, unsigned index, struct sock_filter **ret, unsigned *ret_len,
		       uint64_t *ret_flags)
{
	g_autofree struct sock_filter *insns = NULL;
	struct {
		uint64_t index, flags;
	} meta = {.index = index};
	long n = ptrace((enum __ptrace_request)SECCOMP_GET_FILTER, tid, (void *)(long)index, NULL);

	if (n < 0 && (errno == ENOENT || errno == EINVAL))
		return 1; /* EINVAL: the task has no filters at all */
	if (n < 0)
		return err_errno("reading seccomp filter %u of task %d", index, tid);
	insns = g_new0(struct sock_filter, (size_t)n);
	if (ptrace((enum __ptrace_request)SECCOMP_GET_FILTER, tid, (void *)(long)index, insns) != n)
		return err_errno("reading seccomp filter %u of task %d", index, tid);
	if (ptrace((enum __ptrace_request)SECCOMP_GET_METADATA, tid, sizeof(meta), &meta) < 0)
		return err_errno("reading flags of seccomp filter %u of task %d", index, tid);
	*ret = g_steal_pointer(&insns);
	*ret_len = (unsigned)n;
	*ret_flags = meta.flags;
	return 0;
}

int task_get_robust_list(pid_t tid, uint64_t *ret_head, uint64_t *ret_len)
{
	size_t len = 0;
	uint64_t head = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &len) < 0)
		return err_errno("reading robust list of task %d", tid);
	*ret_head = head;
	*ret_len = len;
	return 0;
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* What to hand back when going on from a stop that is not the expected one: an undelivered signal.
 */
static int signal_to_pass(int status)
{
	int sig = WSTOPSIG(status);

	return WAIT_STATUS_EVENT(status) || sig == SIGTRAP || sig == (SIGTRAP | 0x80) ? 0 : sig;
}

int ptrace_wait_interrupted(pid_t tid, unsigned timeout_ms)
{
	uint64_t until = now_ns() + timeout_ms * UINT64_C(1000000);

	for (;;) {
		uint64_t now = now_ns();
		int status, r;

		r = ptrace_wait(tid, now < until ? (unsigned)((until - now) / 1000000) : 0,
				&status);
		if (r < 0)
			return r;
		if (r > 0)
			return err_set(ETIMEDOUT, "task %d does not stop", tid);
		if (!WIFSTOPPED(status))
			return err_set(ESRCH, "task %d has ended", tid);
		if (WAIT_STATUS_EVENT(status) == PTRACE_EVENT_STOP)
			return 0;
		r = ptrace_cont(tid, signal_to_pass(status));
		if (r < 0)
			return r;
	}
}

/* Resumes until the next system call stop, entry or exit. */
static int to_syscall_stop(pid_t tid)
{
	int sig = 0;

	for (;;) {
		int status, r;

		if (ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)sig) < 0)
			return err_errno("resuming task %d", tid);
		r = ptrace_wait(tid, SYSCALL_TIMEOUT_MS, &status);
		if (r < 0)
			return r;
		if (r > 0)
			return err_set(ETIMEDOUT, "task %d hangs in an injected system call", tid);
		if (!WIFSTOPPED(status))
			return err_set(ESRCH, "task %d has ended", tid);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			return 0;
		sig = signal_to_pass(status);
		if (sig && !is_stop_signal(sig))
			return err_set(EFAULT, "task %d got signal %d in an injected system call",
				       tid, sig);
	}
}

int ptrace_syscall(pid_t tid, const struct regs *base, uint64_t insn, uint64_t sp, long nr,
		   const uint64_t args[6], int64_t *ret)
{
	struct regs r = *base;
	int res;

	regs_set_syscall(&r, insn, sp, nr, args);
	res = ptrace_set_regs(tid, &r);
	for (int stop = 0; stop < 2 && res == 0; stop++)
		res = to_syscall_stop(tid);
	if (res == 0)
		res = ptrace_get_regs(tid, &r);
	if (res < 0)
		return res;
	*ret = regs_result(&r);
	return 0;
}

int ptrace_interrupted_syscall(pid_t tid, const struct regs *r, int64_t *ret)
{
	struct regs now;
	int res = ptrace_set_regs(tid, r);

	if (res == 0)
		res = to_syscall_stop(tid);
	if (res == 0) /* it is seen as a signal by whatever is about to wait */
		res = ptrace_interrupt(tid);
	if (res == 0)
		res = to_syscall_stop(tid);
	if (res == 0)
		res = ptrace_get_regs(tid, &now);
	if (res < 0)
		return res;
	*ret = regs_result(&now); /* the stop that was asked for is this one: ptrace_stop() */
	return 0;
}

typedef ssize_t vm_fn(pid_t, const struct iovec *, unsigned long, const struct iovec *,
		      unsigned long, unsigned long);

static int copy_memory(vm_fn *fn, const char *what, pid_t pid, uint64_t addr, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		struct iovec here = {p, len}, there = {(void *)addr, len};
		ssize_t n = fn(pid, &here, 1, &there, 1, 0);

		if (n < 0)
			return err_errno("%s memory of process %d at %#lx", what, pid, addr);
		if (n == 0)
			return err_set(EFAULT, "%s memory of process %d at %#lx", what, pid, addr);
		p += n;
		addr += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int task_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	return copy_memory(process_vm_readv, "reading", pid, addr, buf, len);
}

int task_write_memory(pid_t pid, uint64_t addr, const void *buf, size_t len)
{
	return copy_memory(process_vm_writev, "writing", pid, addr, (void *)buf, len);
}
