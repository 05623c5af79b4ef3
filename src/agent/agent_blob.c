/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent itself: runs inside the target, without a C library, with general registers only, so
 * that the thread's floating-point and vector state stays where it is.  See mailbox.h.
 *
 * It knows no policy.  It runs operations, and when the coordinator is gone it finds the way home.
 */
#include "agent/mailbox.h"
#include "arch/x86_64/blob.h"
#include "arch/x86_64/sigframe_layout.h"

#include <linux/futex.h>
#include <linux/time_types.h>
#include <stddef.h>

/* include/uapi/linux/signal.h and errno-base.h, without a C library's */
#define SS_DISABLE 2
#define MAX_ERRNO  4095

#define EXIT_ORPHAN 99
/* How long to wait for a thread that the coordinator was just moving: 20 times 0.1 s, so that a
 * SIGSTOP in between costs one of them. */
#define MAYBE_ROUNDS 20
#define MAYBE_NS     100000000
/* Less than this beyond the frame is left alone on an alternate stack. */
#define ALTSTACK_SPARE 1024

struct altstack {
	uint64_t sp;
	int32_t flags;
	uint64_t size;
};

_Static_assert(offsetof(struct slot, stack) == 8, "start.S knows it as SLOT_STACK");
_Static_assert(offsetof(struct slot, dispatching) == 16, "start.S knows it as SLOT_DISPATCHING");
_Static_assert(DISPATCH_MAYBE_OFF == 1, "start.S knows it");

__attribute__((noreturn, used)) void agent_main(struct slot *s);
__attribute__((noreturn, used)) void agent_turn_back(struct slot *s);

static void futex_wait(uint32_t *at, uint32_t value, const struct __kernel_timespec *timeout)
{
	raw_syscall(__NR_futex, at, FUTEX_WAIT, value, timeout);
}

static void futex_wake(uint32_t *at)
{
	raw_syscall(__NR_futex, at, FUTEX_WAKE, 1);
}

static uint32_t load(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static void close_descriptors(struct slot *s)
{
	const int *fds = (const int *)((char *)s + s->fds);

	for (uint32_t i = 0; i < s->nfds; i++)
		if (fds[i] >= 0)
			raw_syscall(__NR_close, fds[i]);
}

static void wait_until_outside(struct slot *s)
{
	static const struct __kernel_timespec pause = {.tv_nsec = MAYBE_NS};
	unsigned round = 0;
	uint32_t v;

	while ((v = load(&s->inside)) != INSIDE_NO) {
		if (v == INSIDE_MAYBE && round++ == MAYBE_ROUNDS)
			return;
		futex_wait(&s->inside, v, v == INSIDE_MAYBE ? &pause : NULL);
	}
}

/* Sends all other threads home and waits for them: this one takes the mailbox away. */
static void send_others_home(struct slot *s)
{
	for (uint32_t i = 0; i < s->nothers; i++) {
		struct slot *o = (struct slot *)(s->others + i * s->others_stride);

		__atomic_and_fetch(&o->bell, ~BELL_OWNER, __ATOMIC_ACQ_REL);
		futex_wake(&o->bell);
	}
	for (uint32_t i = 0; i < s->nothers; i++)
		wait_until_outside((struct slot *)(s->others + i * s->others_stride));
}

/* Where the kernel itself would put a frame: on an unused alternate stack, if there is one (the
 * stacks of goroutines are too small), else below the red zone. */
static uint64_t landing_place(const struct slot *s)
{
	const struct altstack *alt =
		(const struct altstack *)((const char *)s + s->frame + SIGFRAME_ALTSTACK);

	if ((alt->flags & SS_DISABLE) || alt->size < s->frame_bytes + ALTSTACK_SPARE ||
	    s->own_sp - alt->sp < alt->size)
		return s->landing;
	return (alt->sp + alt->size - s->frame_bytes) & ~(uint64_t)(SIGFRAME_ALIGN - 1);
}

static uint64_t lay_frame(const struct slot *s)
{
	const uint64_t *from = (const uint64_t *)((const char *)s + s->frame);
	uint64_t at = landing_place(s);
	uint64_t *to = (uint64_t *)at;

	for (uint64_t i = 0; i < s->frame_bytes / sizeof(*to); i++)
		to[i] = from[i];
	*(uint64_t *)(at + SIGFRAME_FPSTATE) = at + SIGFRAME_XSTATE;
	return at;
}

/*
 * A thread whose dispatch of system calls has to be turned on again: rt_sigreturn(2) after that
 * would be the program's to handle.  The mailbox stays.
 */
__attribute__((noreturn)) static void go_back(struct slot *s)
{
	const char *frame = (const char *)s + s->frame;

	store(&s->inside, INSIDE_NO);
	if (!s->map)
		futex_wake(&s->inside);
	arch_go_back(frame + SIGFRAME_GREGS, s->own_sp - RED_ZONE, frame + SIGFRAME_SIGMASK,
		     s->dispatch);
}

/* The coordinator has gone at an instant when nobody knows whether it is turned off; a first
 * thread's signals are blocked by then, another one's not yet, or no more. */
void agent_turn_back(struct slot *s)
{
	const char *frame = (const char *)s + s->frame;

	store(&s->inside, INSIDE_NO);
	arch_go_back(frame + SIGFRAME_GREGS, s->own_sp - RED_ZONE,
		     s->map ? frame + SIGFRAME_SIGMASK : NULL, s->dispatch);
}

__attribute__((noreturn)) static void go_home(struct slot *s)
{
	uint64_t at;

	if (!s->frame)
		for (;;)
			raw_syscall(__NR_exit_group, EXIT_ORPHAN);
	if (s->map) {
		send_others_home(s);
		close_descriptors(s);
	}
	if (s->dispatching != DISPATCHING)
		go_back(s);
	at = lay_frame(s);
	if (!s->syscall_ret) { /* the mailbox has to stay */
		store(&s->inside, INSIDE_NO);
		if (!s->map)
			futex_wake(&s->inside);
		arch_sigreturn(at + SIGFRAME_UCONTEXT);
	}
	/* The last call is made by the target's own code and returns into its restorer.  Only by
	 * then nothing in the mailbox is needed; FUTEX_WAKE_OP sets "inside" to INSIDE_NO (its
	 * encoded operation 0 is SET 0) in that very call. */
	if (s->map)
		arch_leave(at + SIGFRAME_RET, s->syscall_ret, __NR_munmap, s->map, s->map_bytes, 0,
			   0, 0);
	arch_leave(at + SIGFRAME_RET, s->syscall_ret, __NR_futex, (uint64_t)&s->inside,
		   FUTEX_WAKE_OP, 1, (uint64_t)&s->inside, 0);
}

static void wait_for_bell(struct slot *s)
{
	for (;;) {
		uint32_t v = load(&s->bell);

		if (!(v & BELL_OWNER))
			go_home(s);
		if (v & BELL_RUNG)
			return;
		futex_wait(&s->bell, v, NULL);
	}
}

static uint64_t argument(const struct slot *s, const struct op *ops, uint32_t kind, uint64_t v)
{
	const char *base = (const char *)s;

	switch ((enum arg_kind)kind) {
	case ARG_SLOT:
		return (uint64_t)base + v;
	case ARG_RES:
		return (uint64_t)ops[(uint32_t)v].ret + (v >> 32);
	case ARG_INT:
		return (uint64_t)(int64_t) * (const int32_t *)(base + v);
	case ARG_WORD:
		return *(const uint64_t *)(base + v);
	case ARG_IMM:
		break;
	}
	return v;
}

static int64_t run_op(const struct slot *s, const struct op *ops, const struct op *op)
{
	uint64_t a[6];

	for (unsigned i = 0; i < 6; i++)
		a[i] = argument(s, ops, op->flags >> OP_ARG_SHIFT(i) & 15, op->arg[i]);
	if (op->nr == OP_CLONE)
		return arch_clone3(a[0], a[1], a[2]);
	if (op->nr == OP_TILES) {
		arch_touch_tiles();
		return 0;
	}
	return raw_syscall6(op->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int ends_batch(const struct op *op)
{
	if (op->flags & OP_MAY_FAIL)
		return 0;
	if ((op->flags & OP_EXPECT) && op->ret != op->expect)
		return 1;
	return op->ret < 0 && op->ret >= -MAX_ERRNO;
}

static void run_batch(struct slot *s)
{
	struct op *ops = (struct op *)((char *)s + s->ops);
	uint32_t i = 0;

	/* Looked at again each time: a coordinator that wants no more of it sets it to 0. */
	while (i < __atomic_load_n(&s->nops, __ATOMIC_RELAXED)) {
		struct op *op = &ops[i++];

		op->ret = run_op(s, ops, op);
		if (ends_batch(op))
			break;
	}
	s->done = i;
}

void agent_main(struct slot *s)
{
	if (s->frame)
		raw_syscall(__NR_sigaltstack, NULL, (char *)s + s->frame + SIGFRAME_ALTSTACK);
	store(&s->inside, INSIDE_YES);
	for (;;) {
		wait_for_bell(s);
		run_batch(s);
		__atomic_and_fetch(&s->bell, ~BELL_RUNG, __ATOMIC_ACQ_REL);
		store(&s->state, SLOT_DONE);
		futex_wake(&s->state);
	}
}
