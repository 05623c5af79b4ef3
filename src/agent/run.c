/* SPDX-License-Identifier: Apache-2.0 */
/* Running batches: the doorbell, waiting, and what may happen meanwhile. */
#include "agent/batch.h"
#include "agent/private.h"
#include "base/interrupt.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_ERRNO     4095
#define SLICE_MAX_NS  20000000 /* a death is noticed after at most this */
#define SLICE_TREE_NS 50000    /* CLONE needs us: the parent and the child stop at birth */
#define SLICE_MIN_NS  200000   /* threads of a stopped process report that once more, soon */

static long futex(uint32_t *at, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, at, op, value, timeout, NULL, 0);
}

/* For an untraced stub: has the process ended? */
static bool has_ended(const struct agent *a)
{
	struct pollfd p = {.fd = a->pidfd, .events = POLLIN};

	return a->pidfd >= 0 && poll(&p, 1, 0) > 0;
}

static int look_after(struct agent *a, unsigned slot, GArray *children)
{
	struct agent_slot *s = &a->slots[slot];
	int status, r;

	if (!a->traced) {
		s->gone = has_ended(a);
		return s->gone ? err_set(ESRCH, "task %d has ended", s->tid) : 0;
	}
	for (;;) {
		r = ptrace_wait(s->tid, 0, &status);
		if (r > 0)
			return 0;
		if (r < 0) {
			s->gone = true;
			return r;
		}
		r = agent_handle_report(a, slot, status, children);
		if (r < 0)
			return r;
	}
}

static uint32_t state_of(const struct slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

static int wait_done(struct batch *b)
{
	struct agent_slot *s = &b->agent->slots[b->slot];
	struct timespec slice = {.tv_nsec = b->children->len ? SLICE_TREE_NS : SLICE_MIN_NS};
	int stop = 0, r;

	while (state_of(s->shm) != SLOT_DONE) {
		futex(&s->shm->state, FUTEX_WAIT, SLOT_POSTED, &slice);
		if (state_of(s->shm) == SLOT_DONE)
			break;
		r = look_after(b->agent, b->slot, b->children);
		if (r < 0)
			return err_wrap(r, "agent");
		if (!b->children->len)
			slice.tv_nsec = MIN(2 * slice.tv_nsec, SLICE_MAX_NS);
		if (b->interruptible && stop == 0 && (stop = interrupt_check()) < 0)
			__atomic_store_n(&s->shm->nops, 0, __ATOMIC_RELAXED);
	}
	if (stop < 0)
		return stop;
	/* The child's birth may still have to be told. */
	return b->children->len ? look_after(b->agent, b->slot, b->children) : 0;
}

/*
 * The agent waits for a message that cannot be sent: it gets one with nothing in it, and stops
 * there, as what follows would use descriptors that it has not got.
 */
static void release_waiting(struct batch *b)
{
	ERR_KEEP;

	__atomic_store_n(&b->agent->slots[b->slot].shm->nops, 0, __ATOMIC_RELEASE);
	if (fd_send(b->agent->sock, "f", 1, NULL, 0) < 0)
		err_clear();
}

/* Some may not be sent at all: net/core/scm.c: scm_fp_copy(), io_is_uring_fops() (Linux 6.7) */
static int send_descriptors(struct batch *b)
{
	for (unsigned i = 0; i < b->sends->len; i++) {
		const struct batch_send *s = &g_array_index(b->sends, struct batch_send, i);
		int r = fd_send(b->agent->sock, "f", 1, s->fds, s->n);

		if (r < 0) {
			release_waiting(b);
			return err_wrap(r, "sending descriptors to task %d",
					b->agent->slots[b->slot].tid);
		}
	}
	return 0;
}

int batch_post(struct batch *b)
{
	struct agent_slot *s = &b->agent->slots[b->slot];

	if (b->err)
		return err_adopt(b->err, b->story);
	if (!b->nops || b->posted)
		return 0;
	if (!s->tid || s->gone || s->held)
		return batch_fail(
			b, err_set(ESRCH, "no agent runs in slot %u (task %d)", b->slot, s->tid));
	memcpy((uint8_t *)s->shm + s->ops, b->ops, b->nops * sizeof(*b->ops));
	s->shm->nops = b->nops;
	s->shm->done = 0;
	__atomic_store_n(&s->shm->state, SLOT_POSTED, __ATOMIC_RELEASE);
	__atomic_or_fetch(&s->shm->bell, BELL_RUNG, __ATOMIC_ACQ_REL);
	if (s->outside) {
		int r = agent_enter(b->agent, b->slot);

		if (r < 0)
			return batch_fail(b, r);
	} else {
		futex(&s->shm->bell, FUTEX_WAKE, 1, NULL);
	}
	b->posted = true;
	/* After the doorbell, so that an agent that stops early has received none too many. */
	if (b->sends->len) {
		int r = send_descriptors(b);

		if (r < 0)
			return batch_fail(b, r);
	}
	return 0;
}

static bool failed(const struct op *op, int64_t ret)
{
	if (op->flags & OP_MAY_FAIL)
		return false;
	if ((op->flags & OP_EXPECT) && ret != op->expect)
		return true;
	return ret < 0 && ret >= -MAX_ERRNO;
}

static int describe_failure(struct batch *b, const struct op *op, int64_t ret)
{
	const struct agent_slot *s = &b->agent->slots[b->slot];
	char what[512];

	op_describe(op, s, what, sizeof(what));
	if (ret < 0 && ret >= -MAX_ERRNO)
		return err_code((int)ret, "%s", what);
	return err_set(EIO, "%s: got %ld instead of %ld", what, ret, op->expect);
}

/* Takes results over; nothing that the other side wrote is used as an index. */
static int collect(struct batch *b)
{
	const struct agent_slot *s = &b->agent->slots[b->slot];
	const struct op *theirs = (const struct op *)((const uint8_t *)s->shm + s->ops);
	uint32_t done = MIN(__atomic_load_n(&s->shm->done, __ATOMIC_RELAXED), b->nops);

	for (unsigned i = 0; i < b->nops; i++) {
		int64_t ret = i < done ? theirs[i].ret : -ECANCELED;

		g_array_append_val(b->results, ret);
		if (i < done && failed(&b->ops[i], ret))
			return describe_failure(b, &b->ops[i], ret);
	}
	if (done < b->nops)
		return err_set(EPROTO, "agent of task %d stopped after %u of %u operations", s->tid,
			       done, b->nops);
	for (unsigned i = 0; i < b->sends->len; i++) {
		const struct batch_send *sent = &g_array_index(b->sends, struct batch_send, i);
		const struct cmsghdr *c =
			(const struct cmsghdr *)((const uint8_t *)s->shm + sent->box);

		/* MSG_CTRUNC: the table of descriptors is full */
		if (c->cmsg_len != CMSG_LEN(sent->n * sizeof(int)))
			return err_set(EMFILE, "task %d cannot take %u more descriptors", s->tid,
				       sent->n);
	}
	for (unsigned i = 0; i < b->outs->len; i++) {
		const struct batch_out *o = &g_array_index(b->outs, struct batch_out, i);

		memcpy(o->dst, (const uint8_t *)s->shm + o->at, o->len);
	}
	return 0;
}

static void start_over(struct batch *b)
{
	b->base += (int)b->nops;
	b->nops = 0;
	b->arena = 0;
	b->generation++;
	b->posted = false;
	g_array_set_size(b->outs, 0);
	g_array_set_size(b->sends, 0);
	g_array_set_size(b->children, 0);
}

int batch_wait(struct batch *b)
{
	int r;

	if (b->posted) {
		r = wait_done(b);
		if (r == 0)
			r = collect(b);
		if (r < 0)
			batch_fail(b, r);
		start_over(b);
	}
	return b->err ? err_adopt(b->err, b->story) : 0;
}

int batch_run(struct batch *b)
{
	int r = batch_post(b);

	return r < 0 && !b->posted ? r : batch_wait(b);
}

int batch_run_exec(struct batch *b)
{
	struct agent_slot *s = &b->agent->slots[b->slot];
	struct pollfd p = {.fd = b->watch[0], .events = POLLIN};
	int r = batch_post(b);

	if (r < 0)
		return r;
	if (!b->posted || b->watch[0] < 0)
		return err_set(EINVAL, "batch: nothing to execute, or nothing to see it by");
	close(take_fd(&b->watch[1]));
	/* A failure shows in the state only, which poll(2) does not see: looked at each
	 * millisecond. */
	while (state_of(s->shm) != SLOT_DONE) {
		if (poll(&p, 1, 1) > 0 && (p.revents & POLLHUP)) {
			if (state_of(s->shm) == SLOT_DONE)
				break;
			b->posted = false;
			s->gone = true;
			return 0;
		}
	}
	return batch_wait(b);
}
