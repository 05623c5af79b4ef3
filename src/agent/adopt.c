/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents in tasks that we had made ourselves: a stub, and all that it becomes.
 *
 * The mailbox is a memfd that the stub maps; its children inherit the mapping, so one agent serves
 * a whole tree.  All are held by ptrace from birth on with PTRACE_O_EXITKILL: half a tree does not
 * outlive us.
 */
#include "agent/batch.h"
#include "agent/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define KILL_TIMEOUT_MS 5000
#define STOP_TIMEOUT_MS 10000

uint64_t agent_plan_bytes(const struct agent_plan *p)
{
	return agent_layout_bytes(p->big, p->small, &p->sizes, 0);
}

static int make_mailbox(struct agent *a)
{
	autoclose int fd = memfd_create("cryopod-agent", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno("memfd_create");
	if (ftruncate(fd, (off_t)a->bytes) < 0)
		return err_errno("size of the agent's mailbox: %lu bytes", a->bytes);
	r = agent_map_mailbox(a, fd);
	if (r < 0)
		return r;
	a->mailbox_fd = take_fd(&fd);
	return 0;
}

static int give_orders(struct agent *a, int sock, unsigned slot)
{
	const struct stub_orders o = {
		.magic = STUB_MAGIC,
		.addr = a->addr,
		.bytes = a->bytes,
		.slot = agent_slot_addr(a, slot),
	};

	return fd_send(sock, &o, sizeof(o), &a->mailbox_fd, 1);
}

/* The first sign of life; a stub that could not map has exited with a code that is told. */
static int ask_for_life(struct agent *a, unsigned slot, pid_t nspid)
{
	CLEANUP(batch_end) struct batch b = {0};
	int id;

	batch_begin(&b, a, slot);
	id = batch_add(&b, SYS_getpid);
	batch_expect(&b, id, nspid);
	return batch_run(&b);
}

int agent_adopt(const struct stub *stub, const struct agent_plan *p, struct agent **ret)
{
	CLEANUP(agent_free) struct agent *a = NULL;
	int r;

	if (!p->big)
		return err_set(EINVAL, "an agent needs a slot");
	a = agent_new(p->big, p->small, &p->sizes, 0);
	a->addr = p->addr ? p->addr : AGENT_ADDR;
	a->tsock = STUB_SOCK;
	a->sock = fcntl(stub->sock, F_DUPFD_CLOEXEC, 3);
	a->pidfd = fcntl(stub->pidfd, F_DUPFD_CLOEXEC, 3);
	if (a->sock < 0 || a->pidfd < 0)
		return err_errno("stub %d", stub->pid);
	r = make_mailbox(a);
	if (r < 0)
		return r;
	if (!p->exec) {
		r = ptrace_seize_running(stub->pid, SEIZE_EXITKILL | SEIZE_NEWBORN);
		if (r < 0)
			return err_wrap(r, "stub");
		a->traced = true;
	}
	a->slots[0].tid = stub->pid;
	a->slots[0].made = true;
	r = bell_own(a->slots[0].shm);
	if (r == 0)
		r = give_orders(a, a->sock, 0);
	if (r == 0)
		r = ask_for_life(a, 0, stub->nspid);
	if (r < 0)
		return err_wrap(r, "stub %d", stub->pid);
	*ret = g_steal_pointer(&a);
	return 0;
}

/* The first stub's end of the channel in place of its own. */
static int take_channel(struct agent *a, int sock, unsigned slot)
{
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int theirs = (int)syscall(SYS_pidfd_getfd, a->pidfd, STUB_SOCK, 0);
	int common = a->sock, tfd = -1, r;

	if (theirs < 0)
		return err_errno("socket of the first stub");
	batch_begin(&b, a, slot);
	batch_recv_fds(&b, &theirs, 1, &tfd);
	a->sock = sock;
	r = batch_run(&b);
	a->sock = common;
	if (r < 0)
		return r;
	batch_add(&b, SYS_dup3, IMM(tfd), IMM(STUB_SOCK), IMM(O_CLOEXEC));
	batch_add(&b, SYS_close, IMM(tfd));
	return batch_run(&b);
}

int agent_join(struct agent *a, const struct stub *stub, unsigned slot)
{
	int r = ptrace_seize_running(stub->pid, SEIZE_EXITKILL | SEIZE_NEWBORN);

	if (r == 0) {
		a->slots[slot].tid = stub->pid;
		a->slots[slot].made = true;
		bell_init(a->slots[slot].shm, gettid());
		r = give_orders(a, stub->sock, slot);
	}
	if (r == 0)
		r = ask_for_life(a, slot, stub->nspid);
	if (r == 0)
		r = take_channel(a, stub->sock, slot);
	return r < 0 ? err_wrap(r, "stub %d", stub->pid) : 0;
}

int agent_take_thread(struct agent *a, unsigned slot, pid_t tid)
{
	int r = ptrace_seize_running(tid, SEIZE_EXITKILL | SEIZE_NEWBORN);

	if (r < 0)
		return r;
	a->slots[slot].tid = tid;
	a->slots[slot].made = true;
	return 0;
}

int agent_hold_begin(struct agent *a, unsigned slot)
{
	struct agent_slot *s = &a->slots[slot];

	return s->held ? 0 : ptrace_interrupt(s->tid);
}

int agent_hold(struct agent *a, unsigned slot, unsigned timeout_ms)
{
	struct agent_slot *s = &a->slots[slot];
	int r;

	if (s->held)
		return 0;
	r = ptrace_wait_interrupted(s->tid, timeout_ms);
	if (r < 0)
		return r;
	s->held = true;
	return 0;
}

int agent_unmap(struct agent *a, unsigned slot)
{
	const uint64_t args[6] = {a->addr, a->bytes};
	struct agent_slot *s = &a->slots[slot];
	struct insns ins = {0};
	struct regs regs;
	int64_t ret;
	int r;

	/* The blob's own instruction will do: the call ends in a stop, inside the kernel, and what
	 * runs next are the registers that the task is given. */
	insns_scan(agent_blob, (size_t)(agent_blob_end - agent_blob), a->addr, &ins);
	r = ptrace_get_regs(s->tid, &regs);
	if (r == 0)
		r = ptrace_syscall(s->tid, &regs, ins.syscall, regs_sp(&regs), SYS_munmap, args,
				   &ret);
	if (r < 0)
		return r;
	return ret < 0 ? err_code((int)ret, "munmap of the agent in task %d", s->tid) : 0;
}

/* At its stop within the end (kernel/exit.c: do_exit()) it can be released whatever stops its
 * process: it does not come back to where a stop would be. */
static int await_exit_stop(pid_t tid)
{
	int status, r;

	for (;;) {
		r = ptrace_wait(tid, STOP_TIMEOUT_MS, &status);
		if (r != 0)
			return r < 0 ? r : err_set(ETIMEDOUT, "thread %d does not end", tid);
		if (!WIFSTOPPED(status))
			return err_set(ESRCH, "thread %d has ended", tid);
		if (status >> 16 == PTRACE_EVENT_EXIT)
			return 0;
		r = ptrace_cont(tid, 0);
		if (r < 0)
			return r;
	}
}

int agent_end_thread(struct agent *a, unsigned slot, int code)
{
	const uint64_t args[6] = {(uint64_t)code};
	struct agent_slot *s = &a->slots[slot];
	struct insns ins = {0};
	struct regs regs;
	int r = agent_hold_begin(a, slot);

	insns_scan(agent_blob, (size_t)(agent_blob_end - agent_blob), a->addr, &ins);
	if (r == 0)
		r = agent_hold(a, slot, STOP_TIMEOUT_MS);
	if (r == 0)
		r = ptrace_set_options(s->tid, SEIZE_EXIT);
	if (r == 0)
		r = ptrace_get_regs(s->tid, &regs);
	if (r < 0)
		return r;
	regs_set_syscall(&regs, ins.syscall, regs_sp(&regs), SYS_exit, args);
	r = ptrace_set_regs(s->tid, &regs);
	if (r == 0)
		r = ptrace_cont(s->tid, 0);
	if (r == 0)
		r = await_exit_stop(s->tid);
	if (r == 0)
		r = ptrace_detach(s->tid);
	s->gone = true;
	s->held = false;
	return r;
}

void agent_hand_over(struct agent *a, unsigned slot)
{
	a->slots[slot].held = false;
	a->slots[slot].handed_over = true;
}

int agent_let_go(struct agent *a)
{
	int res = 0;

	for (unsigned i = a->nslots; i-- > 0;) {
		struct agent_slot *s = &a->slots[i];
		int r;

		if (s->handed_over)
			s->tid = 0;
		if (!s->held || a->group)
			continue;
		r = ptrace_detach(s->tid);
		if (r == -ESRCH) /* another thread that runs already has ended all */
			err_clear();
		else if (r < 0)
			res = r;
		s->held = false;
		s->tid = 0;
	}
	return res;
}

/* Whoever has died is forgotten.  False: somebody is left. */
static bool forget_dead(struct agent *a)
{
	bool all = true;

	for (unsigned i = a->nslots; i-- > 0;) {
		struct agent_slot *s = &a->slots[i];
		int status, r = 0;

		while (s->made && s->tid && !s->gone && r == 0) {
			r = ptrace_wait(s->tid, 0, &status);
			s->gone = r < 0 || (r == 0 && !WIFSTOPPED(status));
		}
		all = all && (!s->made || !s->tid || s->gone);
	}
	return all;
}

/*
 * A dead task is kept for its tracer, who must take note before its parent can.  In any order: the
 * last thread of a pid namespace's init waits for all others (zap_pid_ns_processes()).
 */
static void take_note(struct agent *a)
{
	gint64 end = g_get_monotonic_time() + KILL_TIMEOUT_MS * 1000;

	while (!forget_dead(a) && g_get_monotonic_time() < end)
		g_usleep(50);
	for (unsigned i = 0; i < a->nslots; i++)
		a->slots[i].gone = a->slots[i].gone || a->slots[i].made;
}

void agent_kill(struct agent *a)
{
	for (unsigned i = 0; i < a->nslots; i++) {
		const struct agent_slot *s = &a->slots[i];

		if (!s->made || !s->tid || s->gone)
			continue;
		if (a->traced)
			kill(s->tid, SIGKILL);
		else /* only what is traced keeps its number */
			syscall(SYS_pidfd_send_signal, a->pidfd, SIGKILL, NULL, 0);
	}
	if (a->traced)
		take_note(a);
}
