/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own counts of what a ring has taken and given (cached_sq_head, cached_cq_tail)
 * begin at 0 and cannot be set; programs compare them with counts of their own, all 32 bits.  So
 * the ring does as many requests as it has done before, which do nothing: about 0.1 us each.
 *
 *	completions == requests		as many that do nothing (IORING_OP_NOP)
 *	fewer				the rest without a completion (IOSQE_CQE_SKIP_SUCCESS, which
 *					forbids IOSQE_IO_DRAIN: its program has used it as well)
 *	more				those are posted by a ring of ours (IORING_OP_MSG_RING)
 */
#include "state/fd/uring_making.h"

#include "base/interrupt.h"
#include "state/task/levels.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define AT_ONCE	    200 /* io_uring_enter(2) in one batch */
#define POSTS	    128
#define PATIENCE_US 5000000

static void fill(struct uring_making *m, unsigned flags)
{
	size_t each = sizeof(struct io_uring_sqe) << !!(m->u->flags & IORING_SETUP_SQE128);

	for (uint32_t i = 0; i < m->u->sq; i++) {
		struct io_uring_sqe *e = (void *)(m->sqe + i * each);

		memset(e, 0, each);
		e->opcode = IORING_OP_NOP;
		e->flags = (uint8_t)flags;
		if (!(m->u->flags & URING_SETUP_NO_SQARRAY))
			making_at(m, m->p.sq_off.array)[i] = i;
	}
}

/* The task takes what has been completed: its tail becomes its head. */
static void take_all(struct uring_making *m)
{
	struct iovec v[2] = {
		{(void *)(uintptr_t)(m->at + m->p.cq_off.head), sizeof(uint32_t)},
		{(void *)(uintptr_t)(m->at + m->p.cq_off.tail), sizeof(uint32_t)},
	};
	struct arg to = batch_in(&m->b, &v[0], sizeof(v[0]));
	struct arg from = batch_in(&m->b, &v[1], sizeof(v[1]));

	batch_expect(&m->b,
		     batch_add(&m->b, SYS_process_vm_readv, IMM(levels_own(m->u->by->task)), to,
			       IMM(1), from, IMM(1), IMM(0)),
		     sizeof(uint32_t));
}

static int enter_some(struct uring_making *m, uint32_t left, bool silent)
{
	unsigned n = MIN(AT_ONCE, (left + m->u->sq - 1) / m->u->sq);

	batch_end(&m->b); /* its results would become many */
	rthread_batch(m->u->by, &m->b);
	for (unsigned i = 0; i < n; i++) {
		batch_room(&m->b, 2, 256);
		batch_add(&m->b, SYS_io_uring_enter, IMM(m->tfd), IMM(m->u->sq), IMM(0), IMM(0),
			  IMM(0), IMM(0));
		if (!silent)
			take_all(m);
	}
	return batch_run(&m->b);
}

/* For a thread that polls. */
static int await_some(struct uring_making *m, uint32_t left, bool silent)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;

	*making_at(m, m->p.sq_off.tail) += MIN(left, m->u->sq);
	while (*making_at(m, m->p.sq_off.head) != *making_at(m, m->p.sq_off.tail)) {
		syscall(SYS_io_uring_enter, m->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
		if (g_get_monotonic_time() > end)
			return err_set(ETIMEDOUT, "its thread does not work");
		g_usleep(20);
	}
	if (!silent)
		*making_at(m, m->p.cq_off.head) = *making_at(m, m->p.cq_off.tail);
	return 0;
}

static int do_nothing(struct uring_making *m, uint32_t n, bool silent)
{
	bool polls = m->u->flags & IORING_SETUP_SQPOLL;
	uint32_t end = *making_at(m, m->p.sq_off.head) + n, left;
	int ret = 0;

	fill(m, silent ? IOSQE_CQE_SKIP_SUCCESS : 0);
	if (!polls)
		*making_at(m, m->p.sq_off.tail) = end;
	while (ret == 0 && (left = end - *making_at(m, m->p.sq_off.head)) != 0) {
		ret = interrupt_check();
		if (ret == 0)
			ret = polls ? await_some(m, left, silent) : enter_some(m, left, silent);
		if (ret == 0 && left == end - *making_at(m, m->p.sq_off.head))
			ret = err_set(EIO, "it takes no requests");
	}
	return ret;
}

/* A ring of ours. */
struct poster {
	struct io_uring_params p;
	int fd;
	uint8_t *ring;
	struct io_uring_sqe *sqe;
	size_t bytes;
};

static void poster_end(struct poster *o)
{
	if (o->ring)
		munmap(o->ring, o->bytes);
	if (o->sqe)
		munmap(o->sqe, POSTS * sizeof(*o->sqe));
	cleanup_close(&o->fd);
}

static int poster_begin(struct poster *o, int to)
{
	void *p, *q;

	o->fd = (int)syscall(SYS_io_uring_setup, POSTS, &o->p);
	if (o->fd < 0)
		return err_errno("a ring of ours");
	o->bytes = o->p.sq_off.array + POSTS * sizeof(uint32_t);
	p = mmap(NULL, o->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, IORING_OFF_SQ_RING);
	if (p != MAP_FAILED)
		o->ring = p;
	q = mmap(NULL, POSTS * sizeof(*o->sqe), PROT_READ | PROT_WRITE, MAP_SHARED, o->fd,
		 IORING_OFF_SQES);
	if (q != MAP_FAILED)
		o->sqe = q;
	if (!o->ring || !o->sqe)
		return err_errno("map a ring of ours");
	for (uint32_t i = 0; i < POSTS; i++) {
		o->sqe[i] = (struct io_uring_sqe){
			.opcode = IORING_OP_MSG_RING, .flags = IOSQE_CQE_SKIP_SUCCESS, .fd = to};
		((uint32_t *)(void *)(o->ring + o->p.sq_off.array))[i] = i;
	}
	return 0;
}

/* With IORING_SETUP_DEFER_TASKRUN its thread has to fetch them: io_msg_need_remote(). */
static int post(struct uring_making *m, uint32_t n)
{
	CLEANUP(poster_end) struct poster o = {.fd = -1};
	uint32_t end = *making_at(m, m->p.cq_off.tail) + n, left;
	int ret = poster_begin(&o, m->fd);

	while (ret == 0 && (left = end - *making_at(m, m->p.cq_off.tail)) != 0) {
		unsigned now = MIN(left, MIN(POSTS, m->u->cq));
		volatile uint32_t *tail = (void *)(o.ring + o.p.sq_off.tail);

		ret = interrupt_check();
		*tail += now;
		if (ret == 0 && syscall(SYS_io_uring_enter, o.fd, now, 0, 0, NULL, 0) != (long)now)
			ret = err_errno("post completions");
		batch_end(&m->b);
		rthread_batch(m->u->by, &m->b);
		batch_add(&m->b, SYS_io_uring_enter, IMM(m->tfd), IMM(0), IMM(0),
			  IMM(IORING_ENTER_GETEVENTS), IMM(0), IMM(0));
		if (ret == 0 && m->u->flags & IORING_SETUP_DEFER_TASKRUN)
			ret = batch_run(&m->b);
		if (ret == 0 && left == end - *making_at(m, m->p.cq_off.tail))
			ret = err_set(EIO, "it takes no completions");
		*making_at(m, m->p.cq_off.head) = *making_at(m, m->p.cq_off.tail);
	}
	return ret;
}

int uring_advance(struct uring_making *m)
{
	const struct uring *u = m->u;
	int32_t more = (int32_t)(u->tail - u->head);
	int ret;

	batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(IORING_REGISTER_ENABLE_RINGS),
		  IMM(0), IMM(0));
	ret = batch_run(&m->b);
	if (ret == 0 && more < 0)
		ret = do_nothing(m, (uint32_t)-more, true);
	if (ret == 0)
		ret = do_nothing(m, more < 0 ? u->tail : u->head, false);
	if (ret == 0 && more > 0)
		ret = post(m, (uint32_t)more);
	if (ret == 0 && (*making_at(m, m->p.sq_off.head) != u->head ||
			 *making_at(m, m->p.cq_off.tail) != u->tail))
		ret = err_set(EIO, "it is at %u and %u, not at %u and %u",
			      *making_at(m, m->p.sq_off.head), *making_at(m, m->p.cq_off.tail),
			      u->head, u->tail);
	return ret;
}
