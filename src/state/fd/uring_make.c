/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring anew: made as it was, mapped in its process and here, brought to its counts
 * (uring_advance.c), its memory put back, and what was registered registered (uring_register.c).
 */
#include "state/fd/uring_making.h"

#include "state/sock/sock.h"
#include "state/task/task.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096

static void making_end(struct uring_making *m)
{
	batch_end(&m->b);
	if (m->ring)
		munmap(m->ring, m->bytes);
	if (m->sqe)
		munmap(m->sqe, m->sqes);
	cleanup_close(&m->fd);
	proc_close(&m->proc);
}
/*
 * The polling thread does its work with what its maker is and may, and for ever
 * (io_sq_offload_create(), create_io_thread()): that must not be more than the task's.
 */
static int setup(struct uring_making *m)
{
	struct uring *u = m->u;
	bool polls = u->flags & IORING_SETUP_SQPOLL;
	int op, ret;

	m->p.flags = (u->flags & ~(uint32_t)IORING_SETUP_ATTACH_WQ) | IORING_SETUP_CQSIZE |
		     IORING_SETUP_R_DISABLED;
	m->p.cq_entries = u->cq;
	m->p.sq_thread_idle = (uint32_t)making_number(m, "idle_ms");
	m->p.sq_thread_cpu = u->flags & IORING_SETUP_SQ_AFF ? (uint32_t)making_number(m, "cpu") : 0;
	if (polls)
		creds_lower(m->r, u->by, &m->b);
	op = batch_add(&m->b, SYS_io_uring_setup, IMM(u->sq),
		       batch_inout(&m->b, &m->p, &m->p, sizeof(m->p)));
	if (polls)
		creds_raise(m->r, u->by, &m->b);
	ret = batch_run(&m->b);
	if (ret < 0)
		return ret;
	m->tfd = (int)batch_result(&m->b, op);
	if (m->p.sq_entries != u->sq || m->p.cq_entries != u->cq)
		return err_set(EOPNOTSUPP, "it had %u and %u places, this kernel makes %u and %u",
			       u->sq, u->cq, m->p.sq_entries, m->p.cq_entries);
	return 0;
}

static int map_here(struct uring_making *m, uint64_t offset, size_t bytes, uint8_t **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)offset);

	if (p == MAP_FAILED)
		return err_errno("map a ring of %zu bytes", bytes);
	*ret = p;
	return 0;
}

/* The same memory in both processes. */
static int map_both(struct uring_making *m)
{
	int op, ret = proc_open(rtask_pid(m->u->by->task), &m->proc);

	m->bytes = (size_t)making_number(m, "pages") * PAGE;
	m->sqes = (size_t)making_number(m, "sqe_pages") * PAGE;
	if (ret == 0)
		ret = proc_getfd(&m->proc, m->tfd, &m->fd);
	if (ret == 0)
		ret = map_here(m, IORING_OFF_SQ_RING, m->bytes, &m->ring);
	if (ret == 0)
		ret = map_here(m, IORING_OFF_SQES, m->sqes, &m->sqe);
	if (ret < 0)
		return ret;
	op = batch_add(&m->b, SYS_mmap, IMM(0), IMM(m->bytes), IMM(PROT_READ | PROT_WRITE),
		       IMM(MAP_SHARED), IMM(m->tfd), IMM(IORING_OFF_SQ_RING));
	ret = batch_run(&m->b);
	m->at = (uint64_t)batch_result(&m->b, op);
	return ret;
}
static uint32_t saved(const uint8_t *all, uint32_t offset)
{
	uint32_t v;

	memcpy(&v, all + offset, sizeof(v));
	return v;
}

/* Its memory as it was, but for what the kernel alone says there: that its thread sleeps. */
static int put_content(struct uring_making *m)
{
	g_autoptr(GPtrArray) queue = NULL;
	g_autoptr(GByteArray) all = g_byte_array_new();
	uint32_t flags;
	int ret = sock_queues_load(m->r, &queue);

	for (unsigned i = 0; ret == 0 && i < queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);

		if (k->id == m->u->id)
			g_byte_array_append(all, k->data, k->len);
	}
	if (ret < 0)
		return ret;
	if (all->len != m->bytes + m->sqes)
		return err_set(EBADMSG, "its memory is %u bytes", all->len);
	if (saved(all->data, m->p.sq_off.ring_entries) != m->u->sq ||
	    saved(all->data, m->p.cq_off.ring_entries) != m->u->cq ||
	    saved(all->data, m->p.sq_off.head) != m->u->head ||
	    saved(all->data, m->p.cq_off.tail) != m->u->tail)
		return err_set(EOPNOTSUPP, "its memory is laid out as by another kernel");
	memcpy(m->sqe, all->data + m->bytes, m->sqes);
	flags = *making_at(m, m->p.sq_off.flags);
	if (m->u->flags & IORING_SETUP_SQPOLL)
		memcpy(all->data + m->p.sq_off.flags, &flags, sizeof(flags));
	memcpy(m->ring, all->data, m->bytes);
	return 0;
}
int uring_make(struct restore *r, struct uring *u)
{
	CLEANUP(making_end) struct uring_making m = {.r = r, .u = u, .fd = -1, .proc = PROC_NONE};
	int ret;

	rthread_batch(u->by, &m.b);
	ret = setup(&m);
	if (ret == 0)
		ret = map_both(&m);
	if (ret == 0 && !(u->flags & IORING_SETUP_R_DISABLED))
		ret = uring_advance(&m);
	if (ret == 0)
		ret = put_content(&m);
	if (ret == 0)
		ret = uring_register(&m);
	if (ret < 0)
		return ret;
	batch_add(&m.b, SYS_munmap, IMM(m.at), IMM(m.bytes));
	u->at = m.tfd;
	return batch_run(&m.b);
}
