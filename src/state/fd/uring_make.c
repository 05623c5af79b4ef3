/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring anew.  The kernel's own counts of what it has taken and given (cached_sq_head,
 * cached_cq_tail) begin at 0 and cannot be set; programs compare them with counts of their own, all
 * 32 bits.  So the ring does as many requests as it has done before, which do nothing: about 0.1 us
 * each.  What is registered comes after that, as an eventfd would count them.
 *
 *	completions == requests		as many that do nothing (IORING_OP_NOP)
 *	fewer				the rest without a completion (IOSQE_CQE_SKIP_SUCCESS, which
 *					forbids IOSQE_IO_DRAIN: its program has used it as well)
 *	more				those are posted by a ring of ours (IORING_OP_MSG_RING)
 */
#include "state/fd/uring.h"

#include "base/interrupt.h"
#include "state/mem/mem.h"
#include "state/sock/sock.h"
#include "state/task/levels.h"
#include "state/task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define PAGE	    4096
#define AT_ONCE	    200 /* io_uring_enter(2) in one batch */
#define POSTS	    128
#define PATIENCE_US 5000000
#define LOWEST	    0x10000 /* vm.mmap_min_addr, as it is set everywhere */
#define SLICE	    256	    /* things registered by one call */

struct making {
	struct restore *r;
	struct uring *u;
	struct batch b;
	struct io_uring_params p;
	struct proc proc;
	int tfd;	    /* the task's number */
	int fd;		    /* ours */
	uint64_t at;	    /* where the task has mapped it for now */
	size_t bytes, sqes; /* of its two regions */
	uint8_t *ring, *sqe;
};

static void making_end(struct making *m)
{
	batch_end(&m->b);
	if (m->ring)
		munmap(m->ring, m->bytes);
	if (m->sqe)
		munmap(m->sqe, m->sqes);
	cleanup_close(&m->fd);
	proc_close(&m->proc);
}

static volatile uint32_t *at(const struct making *m, uint32_t offset)
{
	return (volatile uint32_t *)(void *)(m->ring + offset);
}

static int64_t number(const struct uring *u, const char *key)
{
	return json_integer_value(json_object_get(u->x, key));
}

/*
 * The polling thread does its work with what its maker is and may, and for ever
 * (io_sq_offload_create(), create_io_thread()): that must not be more than the task's.
 */
static int setup(struct making *m)
{
	struct uring *u = m->u;
	bool polls = u->flags & IORING_SETUP_SQPOLL;
	int op, ret;

	m->p.flags = (u->flags & ~(uint32_t)IORING_SETUP_ATTACH_WQ) | IORING_SETUP_CQSIZE |
		     IORING_SETUP_R_DISABLED;
	m->p.cq_entries = u->cq;
	m->p.sq_thread_idle = (uint32_t)number(u, "idle_ms");
	m->p.sq_thread_cpu = u->flags & IORING_SETUP_SQ_AFF ? (uint32_t)number(u, "cpu") : 0;
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

static int map_here(struct making *m, uint64_t offset, size_t bytes, uint8_t **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)offset);

	if (p == MAP_FAILED)
		return err_errno("map a ring of %zu bytes", bytes);
	*ret = p;
	return 0;
}

/* The same memory in both processes. */
static int map_both(struct making *m)
{
	int op, ret = proc_open(rtask_pid(m->u->by->task), &m->proc);

	m->bytes = (size_t)number(m->u, "pages") * PAGE;
	m->sqes = (size_t)number(m->u, "sqe_pages") * PAGE;
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

static void fill(struct making *m, unsigned flags)
{
	size_t each = sizeof(struct io_uring_sqe) << !!(m->u->flags & IORING_SETUP_SQE128);

	for (uint32_t i = 0; i < m->u->sq; i++) {
		struct io_uring_sqe *e = (void *)(m->sqe + i * each);

		memset(e, 0, each);
		e->opcode = IORING_OP_NOP;
		e->flags = (uint8_t)flags;
		if (!(m->u->flags & URING_SETUP_NO_SQARRAY))
			at(m, m->p.sq_off.array)[i] = i;
	}
}

/* The task takes what has been completed: its tail becomes its head. */
static void take_all(struct making *m)
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

static int enter_some(struct making *m, uint32_t left, bool silent)
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
static int await_some(struct making *m, uint32_t left, bool silent)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;

	*at(m, m->p.sq_off.tail) += MIN(left, m->u->sq);
	while (*at(m, m->p.sq_off.head) != *at(m, m->p.sq_off.tail)) {
		syscall(SYS_io_uring_enter, m->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
		if (g_get_monotonic_time() > end)
			return err_set(ETIMEDOUT, "its thread does not work");
		g_usleep(20);
	}
	if (!silent)
		*at(m, m->p.cq_off.head) = *at(m, m->p.cq_off.tail);
	return 0;
}

static int do_nothing(struct making *m, uint32_t n, bool silent)
{
	bool polls = m->u->flags & IORING_SETUP_SQPOLL;
	uint32_t end = *at(m, m->p.sq_off.head) + n, left;
	int ret = 0;

	fill(m, silent ? IOSQE_CQE_SKIP_SUCCESS : 0);
	if (!polls)
		*at(m, m->p.sq_off.tail) = end;
	while (ret == 0 && (left = end - *at(m, m->p.sq_off.head)) != 0) {
		ret = interrupt_check();
		if (ret == 0)
			ret = polls ? await_some(m, left, silent) : enter_some(m, left, silent);
		if (ret == 0 && left == end - *at(m, m->p.sq_off.head))
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
static int post(struct making *m, uint32_t n)
{
	CLEANUP(poster_end) struct poster o = {.fd = -1};
	uint32_t end = *at(m, m->p.cq_off.tail) + n, left;
	int ret = poster_begin(&o, m->fd);

	while (ret == 0 && (left = end - *at(m, m->p.cq_off.tail)) != 0) {
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
		if (ret == 0 && left == end - *at(m, m->p.cq_off.tail))
			ret = err_set(EIO, "it takes no completions");
		*at(m, m->p.cq_off.head) = *at(m, m->p.cq_off.tail);
	}
	return ret;
}

static int advance(struct making *m)
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
	if (ret == 0 &&
	    (*at(m, m->p.sq_off.head) != u->head || *at(m, m->p.cq_off.tail) != u->tail))
		ret = err_set(EIO, "it is at %u and %u, not at %u and %u", *at(m, m->p.sq_off.head),
			      *at(m, m->p.cq_off.tail), u->head, u->tail);
	return ret;
}

static uint32_t saved(const uint8_t *all, uint32_t offset)
{
	uint32_t v;

	memcpy(&v, all + offset, sizeof(v));
	return v;
}

/* Its memory as it was, but for what the kernel alone says there: that its thread sleeps. */
static int put_content(struct making *m)
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
	flags = *at(m, m->p.sq_off.flags);
	if (m->u->flags & IORING_SETUP_SQPOLL)
		memcpy(all->data + m->p.sq_off.flags, &flags, sizeof(flags));
	memcpy(m->ring, all->data, m->bytes);
	return 0;
}

/* The number of file ID in the maker's process. */
static int number_of(const struct making *m, uint32_t id, int *ret)
{
	const struct rtask *t = restore_task(m->r, m->u->by->task->files);

	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);

		*ret = (int)e->fd;
		if (e->id == id)
			return 0;
	}
	return err_set(EOPNOTSUPP,
		       "file %u that is registered with it is not open in the process "
		       "that makes it",
		       id);
}

static int64_t element(const json_t *list, size_t i)
{
	return json_integer_value(json_array_get(list, i));
}

/* A table without anything in it first. */
static void make_table(struct making *m, unsigned how, size_t n)
{
	struct io_uring_rsrc_register t = {.nr = (uint32_t)n, .flags = IORING_RSRC_REGISTER_SPARSE};

	if (n)
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(how),
			  batch_in(&m->b, &t, sizeof(t)), IMM(sizeof(t)));
}

static void fill_table(struct making *m, unsigned how, size_t from, size_t n, const void *data,
		       size_t bytes, const uint64_t *tags)
{
	struct io_uring_rsrc_update2 u = {.offset = (uint32_t)from, .nr = (uint32_t)n};

	batch_room(&m->b, 1, bytes + n * sizeof(*tags) + sizeof(u) + 64);
	u.data = batch_addr(&m->b, batch_in(&m->b, data, bytes));
	u.tags = batch_addr(&m->b, batch_in(&m->b, tags, n * sizeof(*tags)));
	batch_expect(&m->b,
		     batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(how),
			       batch_in(&m->b, &u, sizeof(u)), IMM(sizeof(u))),
		     (int64_t)n);
}

static int register_files(struct making *m)
{
	const json_t *all = json_object_get(m->u->x, "files");
	const json_t *range = json_object_get(m->u->x, "range");
	size_t n = json_array_size(all);

	make_table(m, IORING_REGISTER_FILES2, n);
	for (size_t i = 0; i < n; i += SLICE) {
		size_t some = MIN(n - i, SLICE);
		uint64_t tags[SLICE];
		int32_t fds[SLICE];

		for (size_t k = 0; k < some; k++) {
			const json_t *one = json_array_get(all, i + k);
			int ret = 0, fd = -1;

			if (element(one, 0))
				ret = number_of(m, (uint32_t)element(one, 0), &fd);
			if (ret < 0)
				return ret;
			fds[k] = fd;
			tags[k] = (uint64_t)element(one, 1);
		}
		fill_table(m, IORING_REGISTER_FILES_UPDATE2, i, some, fds, some * sizeof(*fds),
			   tags);
	}
	if (range) {
		struct {
			uint32_t off, len;
			uint64_t resv;
		} v = {(uint32_t)element(range, 0), (uint32_t)element(range, 1), 0};

		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(URING_REGISTER_FILE_RANGE),
			  batch_in(&m->b, &v, sizeof(v)), IMM(0));
	}
	return 0;
}

static void register_buffers(struct making *m)
{
	const json_t *all = json_object_get(m->u->x, "buffers");
	size_t n = json_array_size(all);

	make_table(m, IORING_REGISTER_BUFFERS2, n);
	for (size_t i = 0; i < n; i += SLICE) {
		size_t some = MIN(n - i, SLICE);
		uint64_t tags[SLICE];
		struct iovec v[SLICE];

		for (size_t k = 0; k < some; k++) {
			const json_t *one = json_array_get(all, i + k);

			v[k] = (struct iovec){(void *)(uintptr_t)element(one, 0),
					      (size_t)element(one, 1)};
			tags[k] = (uint64_t)element(one, 2);
		}
		fill_table(m, IORING_REGISTER_BUFFERS_UPDATE, i, some, v, some * sizeof(*v), tags);
	}
}

static int register_rest(struct making *m)
{
	const json_t *eventfd = json_object_get(m->u->x, "eventfd");
	const json_t *workers = json_object_get(m->u->x, "workers");
	uint32_t limits[2] = {(uint32_t)element(workers, 0), (uint32_t)element(workers, 1)};
	uint32_t clock[4] = {(uint32_t)number(m->u, "clock")};
	int ret = register_files(m), fd;

	register_buffers(m);
	if (ret == 0 && eventfd) {
		ret = number_of(m, (uint32_t)element(eventfd, 0), &fd);
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd),
			  IMM(json_is_true(json_array_get(eventfd, 1))
				      ? IORING_REGISTER_EVENTFD_ASYNC
				      : IORING_REGISTER_EVENTFD),
			  batch_in(&m->b, &fd, sizeof(fd)), IMM(1));
	}
	if (limits[0] || limits[1])
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd),
			  IMM(IORING_REGISTER_IOWQ_MAX_WORKERS),
			  batch_in(&m->b, limits, sizeof(limits)), IMM(2));
	if (clock[0] != CLOCK_MONOTONIC)
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(URING_REGISTER_CLOCK),
			  batch_in(&m->b, clock, sizeof(clock)), IMM(0));
	return ret < 0 ? ret : batch_run(&m->b);
}

int uring_make(struct restore *r, struct uring *u)
{
	CLEANUP(making_end) struct making m = {.r = r, .u = u, .fd = -1, .proc = PROC_NONE};
	int ret;

	rthread_batch(u->by, &m.b);
	ret = setup(&m);
	if (ret == 0)
		ret = map_both(&m);
	if (ret == 0 && !(u->flags & IORING_SETUP_R_DISABLED))
		ret = advance(&m);
	if (ret == 0)
		ret = put_content(&m);
	if (ret == 0)
		ret = register_rest(&m);
	if (ret < 0)
		return ret;
	batch_add(&m.b, SYS_munmap, IMM(m.at), IMM(m.bytes));
	u->at = m.tfd;
	return batch_run(&m.b);
}

/* [START, END) is taken, or given back. */
static void hold(struct batch *b, const GArray *gaps, bool give_back)
{
	for (unsigned i = 0; i < gaps->len; i++) {
		const uint64_t *g = &((const uint64_t *)(const void *)gaps->data)[2 * i];
		int op = give_back ? batch_add(b, SYS_munmap, IMM(g[0]), IMM(g[1] - g[0]))
				   : batch_add(b, SYS_mmap, IMM(g[0]), IMM(g[1] - g[0]),
					       IMM(PROT_NONE),
					       IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
						   MAP_FIXED_NOREPLACE),
					       IMM(-1), IMM(0));

		if (g[0] < LOWEST)
			batch_may_fail(b, op);
	}
}

/* What is free in T, as pairs of addresses. */
static int find_gaps(const struct rtask *t, GArray *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(maps_clear) struct maps m = {0};
	uint64_t at = LOWEST, low[2] = {PAGE, LOWEST};
	int r = proc_open(rtask_pid(t), &p);

	if (r == 0)
		r = maps_read(p.dir, &m);
	g_array_append_vals(ret, low, 1);
	for (size_t i = 0; r == 0 && i <= m.n; i++) {
		uint64_t gap[2] = {at, i < m.n ? MIN(m.v[i].start, TASK_SIZE) : TASK_SIZE};

		if (gap[0] < gap[1])
			g_array_append_vals(ret, gap, 1);
		at = i < m.n ? MAX(at, m.v[i].end) : at;
	}
	return r;
}

/*
 * Nobody may say where a ring is to be mapped, nor move it (io_uring_get_unmapped_area()): it comes
 * to where it was if no other place is free.
 */
int uring_map(struct restore *r, const struct uring *u, struct rtask *t, int tfd)
{
	g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, 2 * sizeof(uint64_t));
	CLEANUP(batch_end) struct batch b = {0};
	json_int_t start, bytes, offset;
	int pid, prot, op, ret = 0;
	json_t *one;
	size_t i;

	rtask_batch(t, &b);
	json_array_foreach(json_object_get(u->x, "maps"), i, one)
	{
		if (json_unpack(one, "[i,I,I,I,i]", &pid, &start, &bytes, &offset, &prot) < 0)
			return err_set(EBADMSG, IMAGE_EXTRA ": mappings of ring %u", u->id);
		if (pid != t->nspid)
			continue;
		if (!gaps->len) {
			ret = find_gaps(t, gaps);
			if (ret < 0)
				return ret;
			hold(&b, gaps, false);
		}
		batch_add(&b, SYS_munmap, IMM(start), IMM(bytes));
		op = batch_add(&b, SYS_mmap, IMM(0), IMM(bytes), IMM(prot), IMM(MAP_SHARED),
			       IMM(tfd), IMM(offset));
		batch_expect(&b, op, start);
		for (size_t k = 0; k < t->mm->n_vmas; k++)
			if ((json_int_t)t->mm->vmas[k]->start == start &&
			    t->mm->vmas[k]->madv & UINT64_C(1) << MADV_DONTFORK)
				batch_add(&b, SYS_madvise, IMM(start), IMM(bytes),
					  IMM(MADV_DONTFORK));
	}
	hold(&b, gaps, true);
	return batch_run(&b);
}
