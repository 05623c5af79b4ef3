/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before there is an agent, the first thread makes a few calls by ptrace alone.  Each is a
 * "syscall; ret" of the target's own code with the stack pointer at a signal frame, so that a
 * thread that we lose at any instant runs ret -> restorer -> rt_sigreturn and is what it was.
 *
 * Two frames lie one after the other.  Entered at the first one (chain_at), the thread unmaps
 * the range that the mailbox has or will have, and goes on into the second one (frame_at), which
 * leads home.
 *
 * They lie on the alternate signal stack if there is an unused one (a goroutine's stack is too
 * small for them), else below the red zone.  Which of both can only be learned by a call, so they
 * start below the red zone in any case; what was there is put back.  An alternate stack that is
 * not there any more, or not for writing, is nobody's fault before a signal comes
 * (kernel/signal.c: do_sigaltstack() asks for its size only): they stay where they are.
 */
#include "agent/private.h"
#include "arch/x86_64/sigframe.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define ALTSTACK_SPARE 1024

static struct seized_thread *first(const struct agent *a)
{
	return seized_at(a->group, 0);
}

static void build(const struct agent *a, uint8_t *buf, uint64_t at, const stack_t *alt)
{
	const struct seized_thread *t = first(a);
	const uint64_t unmap[6] = {a->addr, a->bytes};
	struct regs home = t->regs, chain;

	regs_fix(&home, REGS_RESTORE);
	chain = home;
	regs_set_syscall(&chain, a->insns.syscall_ret, at + a->frame_bytes + SIGFRAME_RET,
			 SYS_munmap, unmap);
	sigframe_build(buf, at, &chain, &t->xstate, ALL_SIGNALS, a->insns.restorer);
	sigframe_build(buf + a->frame_bytes, at + a->frame_bytes, &home, &t->xstate, t->sigmask,
		       a->insns.restorer);
	memcpy(buf + SIGFRAME_ALTSTACK, alt, sizeof(*alt));
	memcpy(buf + a->frame_bytes + SIGFRAME_ALTSTACK, alt, sizeof(*alt));
}

static int put_back(struct agent *a)
{
	int r = 0;

	if (a->below)
		r = task_write_memory(seized_alive(a->group), a->chain_at, a->below->data,
				      a->below->len);
	g_clear_pointer(&a->below, g_byte_array_unref);
	return r;
}

/* Of a write that failed, pages before the one that cannot be written may have theirs. */
static void take_back(struct agent *a, uint64_t at, const GByteArray *was)
{
	for (size_t i = 0, n; i < was->len; i += n) {
		n = MIN(was->len - i, PAGE_BYTES - (at + i) % PAGE_BYTES);
		if (task_write_memory(seized_alive(a->group), at + i, was->data + i, n) < 0)
			return;
	}
}

static int lay_at(struct agent *a, uint64_t at, const stack_t *alt)
{
	size_t len = 2 * a->frame_bytes;
	g_autofree uint8_t *buf = g_malloc0(len);
	g_autoptr(GByteArray) was = g_byte_array_new();
	int r;

	g_byte_array_set_size(was, (guint)len);
	r = task_read_memory(seized_alive(a->group), at, was->data, len);
	if (r < 0)
		return r;
	build(a, buf, at, alt);
	r = task_write_memory(seized_alive(a->group), at, buf, len);
	if (r < 0) {
		take_back(a, at, was);
		return r;
	}
	/* The other place is no longer needed. */
	r = put_back(a);
	a->below = g_steal_pointer(&was);
	a->chain_at = at;
	a->frame_at = at + a->frame_bytes;
	return r;
}

int safe_call(struct agent *a, uint64_t from, long nr, const uint64_t args[6], int64_t *ret)
{
	const struct seized_thread *t = first(a);
	uint64_t sp = a->hurried ? regs_sp(&t->regs) : from + SIGFRAME_RET;

	a->started = true;
	return ptrace_syscall(t->tid, &t->regs,
			      a->hurried ? a->insns.syscall : a->insns.syscall_ret, sp, nr, args,
			      ret);
}

int safe_frames_lead(struct agent *a)
{
	const struct seized_thread *t = first(a);
	const uint64_t none[6] = {0};
	struct regs r = t->regs;

	regs_set_syscall(&r, a->insns.syscall_ret, a->frame_at + SIGFRAME_RET, SYS_getpid, none);
	a->started = true;
	return ptrace_set_regs(t->tid, &r);
}

/* The first thread's registers lead home before its signals are blocked: see start.S. */
static int block_signals(struct agent *a)
{
	int res = a->hurried ? 0 : safe_frames_lead(a);

	return res < 0 ? res : ptrace_set_sigmask(first(a)->tid, ALL_SIGNALS);
}

static bool usable(const stack_t *alt, uint64_t own_sp, size_t need)
{
	return !(alt->ss_flags & SS_DISABLE) && alt->ss_size >= need &&
	       own_sp - (uint64_t)alt->ss_sp >= alt->ss_size;
}

int safe_frames_lay(struct agent *a)
{
	const struct seized_thread *t = first(a);
	uint64_t top = regs_sp(&t->regs) - REGS_RED_ZONE - REGS_NOTES, at;
	stack_t alt = {.ss_flags = SS_DISABLE};
	uint64_t args[6] = {0};
	int64_t ret;
	int r;

	a->frame_bytes = sigframe_size(&t->xstate);
	at = ROUND_DOWN(top - 2 * a->frame_bytes, SIGFRAME_ALIGN);
	a->hurried |= !a->insns.syscall_ret || !a->insns.restorer;
	if (!a->hurried && lay_at(a, at, &alt) < 0) {
		a->hurried = true; /* the stack ends here, and only its owner can make it grow */
		err_clear();
	}
	r = block_signals(a);
	if (r < 0 || a->hurried)
		return r;
	args[1] = a->frame_at + SIGFRAME_ALTSTACK;
	r = safe_call(a, a->frame_at, SYS_sigaltstack, args, &ret);
	if (r == 0 && ret < 0)
		r = err_code((int)ret, "asking for the alternate stack");
	if (r == 0)
		r = task_read_memory(seized_alive(a->group), args[1], &alt, sizeof(alt));
	if (r < 0)
		return r;
	if (usable(&alt, regs_sp(&t->regs), 2 * a->frame_bytes + ALTSTACK_SPARE))
		at = ROUND_DOWN((uint64_t)alt.ss_sp + alt.ss_size - 2 * a->frame_bytes,
				SIGFRAME_ALIGN);
	if (at != a->chain_at) {
		r = lay_at(a, at, &alt);
		if (r != -EFAULT)
			return r;
		err_clear();
	}
	return task_write_memory(seized_alive(a->group), a->chain_at + SIGFRAME_ALTSTACK, &alt,
				 sizeof(alt));
}

int safe_frames_undo(struct agent *a)
{
	const struct seized_thread *t = first(a);
	struct regs home = t->regs;
	int r, undone;

	if (!a->started)
		return 0;
	regs_leave(&home, REGS_CURE);
	r = ptrace_set_sigmask(t->tid, t->sigmask);
	if (r == 0)
		r = ptrace_set_regs(t->tid, &home);
	undone = put_back(a);
	a->started = false;
	return r < 0 ? r : undone;
}
