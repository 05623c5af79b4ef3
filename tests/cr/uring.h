/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of io_uring(7), by its system calls. */
#pragma once

#include "cr.h"

#include <linux/io_uring.h>

#define SETUP_NO_SQARRAY (1u << 16)

struct ring {
	struct io_uring_params p;
	int fd;
	char *mem;
	size_t mem_bytes, sqe_bytes;
	char *sqes;
	unsigned tail, taken, user_data; /* as a program counts */
};

static inline volatile uint32_t *ring_at(const struct ring *g, uint32_t offset)
{
	return (volatile uint32_t *)(void *)(g->mem + offset);
}

/* False: this kernel knows no such rings. */
__attribute__((unused)) static bool ring_new(struct ring *g, unsigned n, struct io_uring_params p)
{
	*g = (struct ring){.p = p};
	g->fd = (int)syscall(SYS_io_uring_setup, n, &g->p);
	if (g->fd < 0)
		return false;
	g->mem_bytes = g->p.cq_off.cqes +
		       g->p.cq_entries * (p.flags & IORING_SETUP_CQE32 ? 32u : 16u) +
		       g->p.sq_entries * sizeof(uint32_t);
	g->sqe_bytes = g->p.sq_entries * (p.flags & IORING_SETUP_SQE128 ? 128u : 64u);
	g->mem = mmap(NULL, g->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd,
		      IORING_OFF_SQ_RING);
	g->sqes = mmap(NULL, g->sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd,
		       IORING_OFF_SQES);
	check(g->mem != MAP_FAILED && g->sqes != MAP_FAILED, "errno %d", errno);
	for (unsigned i = 0; !(p.flags & SETUP_NO_SQARRAY) && i < g->p.sq_entries; i++)
		ring_at(g, g->p.sq_off.array)[i] = i;
	return true;
}

__attribute__((unused)) static struct io_uring_sqe *ring_next(struct ring *g, int op, int fd)
{
	unsigned i = g->tail & (g->p.sq_entries - 1);
	struct io_uring_sqe *e = (void *)(g->sqes + i * (g->sqe_bytes / g->p.sq_entries));

	/* a thread that polls may complete before it says what it has taken */
	while (*ring_at(g, g->p.sq_off.head) + g->p.sq_entries == g->tail)
		check(g->p.flags & IORING_SETUP_SQPOLL, "the ring is full");
	memset(e, 0, g->sqe_bytes / g->p.sq_entries);
	e->opcode = (uint8_t)op;
	e->fd = fd;
	e->user_data = ++g->user_data;
	g->tail++;
	return e;
}

/* All that ring_next() has prepared. */
__attribute__((unused)) static void ring_submit(struct ring *g)
{
	unsigned n = g->tail - *ring_at(g, g->p.sq_off.head);
	long r = n;

	__atomic_store_n(ring_at(g, g->p.sq_off.tail), g->tail, __ATOMIC_RELEASE);
	if (g->p.flags & IORING_SETUP_SQPOLL)
		check(syscall(SYS_io_uring_enter, g->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) >=
			      0,
		      "errno %d", errno);
	else
		check((r = syscall(SYS_io_uring_enter, g->fd, n, 0, 0, NULL, 0)) == n,
		      "%ld of %u, errno %d", r, n, errno);
}

/* The next completion. */
__attribute__((unused)) static struct io_uring_cqe ring_take(struct ring *g)
{
	size_t each = g->p.flags & IORING_SETUP_CQE32 ? 32 : 16;
	struct io_uring_cqe c;

	while (__atomic_load_n(ring_at(g, g->p.cq_off.tail), __ATOMIC_ACQUIRE) == g->taken)
		check(syscall(SYS_io_uring_enter, g->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >=
				      0 ||
			      errno == EINTR,
		      "errno %d", errno);
	memcpy(&c, g->mem + g->p.cq_off.cqes + (g->taken & (g->p.cq_entries - 1)) * each,
	       sizeof(c));
	g->taken++;
	__atomic_store_n(ring_at(g, g->p.cq_off.head), g->taken, __ATOMIC_RELEASE);
	return c;
}

/* N requests that do nothing, and their completions. */
__attribute__((unused)) static void ring_turn(struct ring *g, unsigned n)
{
	while (n) {
		unsigned some = n < g->p.sq_entries ? n : g->p.sq_entries;
		unsigned first = g->user_data;

		for (unsigned i = 0; i < some; i++)
			ring_next(g, IORING_OP_NOP, -1);
		ring_submit(g);
		for (unsigned i = 0; i < some; i++) {
			struct io_uring_cqe c = ring_take(g);

			check(c.res == 0 && c.user_data == first + i + 1, "res %d, data %llu",
			      c.res, (unsigned long long)c.user_data);
		}
		n -= some;
	}
}
