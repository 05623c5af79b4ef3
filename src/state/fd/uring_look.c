/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has of a ring, and shows only in part (io_uring/fdinfo.c): how it was set up,
 * whether requests are under way, what is registered.  include/linux/io_uring_types.h: struct
 * io_ring_ctx
 */
#include "state/fd/uring.h"

#include "state/fd/files.h"

#include <errno.h>
#include <string.h>

#define TASKS_MAX  65536
#define TABLE_MAX  65536
#define POINTER(v) ((v) & ~UINT64_C(7)) /* struct io_rsrc_node: flags of a file are below */

#define KNOWN                                                                                      \
	(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |    \
	 IORING_SETUP_ATTACH_WQ | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |              \
	 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SQE128 |             \
	 IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |            \
	 URING_SETUP_NO_SQARRAY)

static const struct {
	uint32_t flag;
	const char *why;
} setups[] = {
	{IORING_SETUP_IOPOLL, "polls devices (IORING_SETUP_IOPOLL)"},
	{1u << 14, "is in memory of the program's own (IORING_SETUP_NO_MMAP)"},
};

/* What is not nothing is refused. */
static const struct {
	const char *field;
	unsigned bytes;
	const char *why;
} holds[] = {
	{"restrictions.registered", 1, "is restricted (IORING_REGISTER_RESTRICTIONS)"},
	{"io_bl_xa.xa_head", 8, "has groups of provided buffers (IORING_REGISTER_PBUF_RING)"},
	{"personalities.xa_head", 8, "has personalities (IORING_REGISTER_PERSONALITY)"},
	{"param_region.nr_pages", 4, "has a region of memory (IORING_REGISTER_MEM_REGION)"},
	{"zcrx_ctxs.xa_head", 8, "receives without copying (IORING_REGISTER_ZCRX_IFQ)"},
};

static int look_holds(const struct uring_view *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(setups); i++)
		if (v->flags & setups[i].flag)
			return err_set(EOPNOTSUPP, "it %s, which cannot be saved", setups[i].why);
	if (v->flags & ~KNOWN)
		return err_set(EOPNOTSUPP, "it was set up with flags %#x, which cannot be saved",
			       v->flags & ~KNOWN);
	for (unsigned i = 0; i < ARRAY_SIZE(holds); i++) {
		uint64_t at, value = 0;
		int r = peek_at(v->k, v->ctx, "io_ring_ctx", holds[i].field, &at);

		if (r == 0)
			r = peek_read(v->k, at, &value, holds[i].bytes);
		if (r < 0)
			return r;
		if (value)
			return err_set(EOPNOTSUPP, "it %s, which cannot be saved", holds[i].why);
	}
	return 0;
}

/* The kernel writes into them by another way than the page tables that are looked at. */
static int look_buffers(struct dump *d, const struct uring_view *v)
{
	uint32_t n = 0;
	int r = d->o.track_mem || d->o.parent
			? peek_u32(v->k, v->ctx, "io_ring_ctx", "buf_table.nr", &n)
			: 0;

	return n ? err_set(EOPNOTSUPP, "it has buffers registered (IORING_REGISTER_BUFFERS): "
				       "whether they have changed since a pre-dump is not seen; "
				       "dump without one")
		 : r;
}

/*
 * All requests that the ring has ever been given memory for, less those that wait to be used:
 * io_uring.c: __io_alloc_req_refill(), io_req_add_to_cache().  -EAGAIN: there are some.
 */
static int look_requests(const struct uring_view *v)
{
	uint64_t at, overflow, first;
	uint32_t all, idle = 0;
	int r = peek_u32(v->k, v->ctx, "io_ring_ctx", "nr_req_allocated", &all);

	if (r == 0)
		r = peek_u64(v->k, v->ctx, "io_ring_ctx", "submit_state.free_list", &at);
	for (; r == 0 && at && idle < all; idle++)
		r = peek_read(v->k, at, &at, sizeof(at)); /* struct io_wq_work_node */
	if (r == -EFAULT)				  /* the list has changed under our eyes */
		return err_set(EAGAIN, "its requests come and go");
	if (r == 0 && idle < all)
		return err_set(EAGAIN, "%u of its requests are under way; let them end first",
			       all - idle);
	if (r == 0)
		r = peek_at(v->k, v->ctx, "io_ring_ctx", "cq_overflow_list", &overflow);
	if (r == 0)
		r = peek_read(v->k, overflow, &first, sizeof(first));
	return r == 0 && first != overflow
		       ? err_set(EAGAIN, "completions wait for a place in it; take some first")
		       : r;
}

/* A thread that polls says what it has taken when it is through with it. */
static int look_taken(const struct uring_view *v)
{
	uint64_t rings;
	uint32_t tail;
	int r = peek_u64(v->k, v->ctx, "io_ring_ctx", "rings", &rings);

	if (r == 0)
		r = peek_u32(v->k, rings, "io_rings", "sq.tail", &tail);
	return r == 0 && tail != v->head
		       ? err_set(EAGAIN, "%u requests wait for its thread", tail - v->head)
		       : r;
}

static const struct {
	const char *field;
	size_t at;
} numbers[] = {
	{"flags", offsetof(struct uring_view, flags)},
	{"sq_entries", offsetof(struct uring_view, sq)},
	{"cq_entries", offsetof(struct uring_view, cq)},
	{"cached_sq_head", offsetof(struct uring_view, head)},
	{"cached_cq_tail", offsetof(struct uring_view, tail)},
	{"ring_region.nr_pages", offsetof(struct uring_view, ring_pages)},
	{"sq_region.nr_pages", offsetof(struct uring_view, sqe_pages)},
};

int uring_look(struct dump *d, int fd, struct uring_view *ret)
{
	struct uring_view v = {0};
	int r;

	if (!dump_peek(d, &v.k))
		return err_set(EOPNOTSUPP,
			       "whether its requests have ended is not seen, as this "
			       "kernel does not let its memory be read; close it first");
	r = peek_file(v.k, fd, &v.file);
	if (r == 0)
		r = peek_u64(v.k, v.file, "file", "private_data", &v.ctx);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = peek_u32(v.k, v.ctx, "io_ring_ctx", numbers[i].field,
			     (uint32_t *)(void *)((char *)&v + numbers[i].at));
	if (r == 0)
		r = look_holds(&v);
	if (r == 0)
		r = look_buffers(d, &v);
	if (r == 0)
		r = look_requests(&v);
	if (r == 0 && v.flags & IORING_SETUP_SQPOLL)
		r = look_taken(&v);
	if (r == 0)
		*ret = v;
	return r;
}

/* Jiffies become milliseconds by those of a ring of ours. */
static int tell_poller(struct dump *d, const struct uring_view *v, json_t *x)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL | IORING_SETUP_R_DISABLED,
				    .sq_thread_idle = 100000};
	autoclose int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	uint32_t idle, ours, cpu;
	uint64_t file, ctx, data;
	int r = fd < 0 ? err_errno("a ring of ours") : peek_file(v->k, fd, &file);

	if (r == 0)
		r = peek_u64(v->k, file, "file", "private_data", &ctx);
	if (r == 0)
		r = peek_u32(v->k, ctx, "io_ring_ctx", "sq_thread_idle", &ours);
	if (r == 0)
		r = peek_u32(v->k, v->ctx, "io_ring_ctx", "sq_thread_idle", &idle);
	if (r == 0)
		r = peek_u64(v->k, v->ctx, "io_ring_ctx", "sq_data", &data);
	if (r == 0)
		r = peek_u32(v->k, data, "io_sq_data", "sq_cpu", &cpu);
	if (r < 0)
		return r;
	json_object_set_new(x, "idle_ms",
			    json_integer((json_int_t)((uint64_t)idle * 100000 / MAX(ours, 1))));
	json_object_set_new(x, "cpu", json_integer((int32_t)cpu));
	return 0;
}

/* The number in the tree of the thread that struct task_struct AT is; 0: none. */
static int thread_of(struct dump *d, struct peek *k, uint64_t at, pid_t *ret)
{
	uint64_t pid;
	pid_t tid;
	int r = peek_u64(k, at, "task_struct", "thread_pid", &pid);

	*ret = 0;
	if (r == 0)
		r = peek_pid(k, pid, &tid);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		for (unsigned n = 0; n < t->nthreads; n++)
			if (t->threads[n].tid == tid)
				*ret = t->threads[n].nstid;
	}
	return r;
}

static int tell_submitter(struct dump *d, const struct uring_view *v, json_t *x)
{
	uint64_t task;
	pid_t tid;
	int r = peek_u64(v->k, v->ctx, "io_ring_ctx", "submitter_task", &task);

	if (r == 0 && task)
		r = thread_of(d, v->k, task, &tid);
	if (r < 0 || !task)
		return r;
	if (!tid)
		return err_set(EOPNOTSUPP, "the thread that alone may submit to it "
					   "(IORING_SETUP_SINGLE_ISSUER) is not in the tree");
	json_object_set_new(x, "submitter", json_integer(tid));
	return 0;
}

/* Who has registered it itself, as which number: IORING_REGISTER_RING_FDS. */
static int tell_registered(struct dump *d, const struct uring_view *v, json_t *x)
{
	json_t *all = json_array();
	uint64_t head, node, task, context, table, files[URING_FDS_MAX];
	int r = peek_at(v->k, v->ctx, "io_ring_ctx", "tctx_list", &head);

	json_object_set_new(x, "registered", all);
	if (r == 0)
		r = peek_read(v->k, head, &node, sizeof(node)); /* ctx_node is the first field */
	for (unsigned n = 0; r == 0 && node != head && n < TASKS_MAX; n++) {
		pid_t tid = 0;

		r = peek_u64(v->k, node, "io_tctx_node", "task", &task);
		if (r == 0)
			r = thread_of(d, v->k, task, &tid);
		if (r == 0)
			r = peek_u64(v->k, task, "task_struct", "io_uring", &context);
		if (r == 0)
			r = peek_at(v->k, context, "io_uring_task", "registered_rings", &table);
		if (r == 0)
			r = peek_read(v->k, table, files, sizeof(files));
		for (unsigned i = 0; r == 0 && tid && i < URING_FDS_MAX; i++)
			if (files[i] == v->file)
				json_array_append_new(all, json_pack("[i,i]", tid, (int)i));
		if (r == 0)
			r = peek_read(v->k, node, &node, sizeof(node));
	}
	return r;
}

/* Of a table of struct io_rsrc_node *; the caller's. */
static int read_table(const struct uring_view *v, const char *nr, const char *nodes, uint64_t **ret,
		      uint32_t *ret_n)
{
	g_autofree uint64_t *all = NULL;
	uint64_t at;
	int r = peek_u32(v->k, v->ctx, "io_ring_ctx", nr, ret_n);

	if (r == 0 && *ret_n > TABLE_MAX)
		r = err_set(EOPNOTSUPP, "it has %u things registered", *ret_n);
	if (r < 0)
		return r;
	all = g_new0(uint64_t, *ret_n + 1);
	if (*ret_n)
		r = peek_u64(v->k, v->ctx, "io_ring_ctx", nodes, &at);
	if (r == 0 && *ret_n)
		r = peek_read(v->k, at, all, *ret_n * sizeof(*all));
	if (r == 0)
		*ret = g_steal_pointer(&all);
	return r;
}

static int tell_buffers(const struct uring_view *v, json_t *x)
{
	g_autofree uint64_t *nodes = NULL;
	json_t *all = json_array();
	uint32_t n;
	int r = read_table(v, "buf_table.nr", "buf_table.nodes", &nodes, &n);

	json_object_set_new(x, "buffers", all);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		uint64_t tag = 0, buf, where, at = 0;
		uint32_t len = 0;
		uint8_t kernels = 0;

		if (nodes[i]) {
			r = peek_u64(v->k, nodes[i], "io_rsrc_node", "tag", &tag);
			if (r == 0)
				r = peek_u64(v->k, nodes[i], "io_rsrc_node", "buf", &buf);
			if (r == 0)
				r = peek_u64(v->k, buf, "io_mapped_ubuf", "ubuf", &at);
			if (r == 0)
				r = peek_u32(v->k, buf, "io_mapped_ubuf", "len", &len);
			if (r == 0)
				r = peek_at(v->k, buf, "io_mapped_ubuf", "is_kbuf", &where);
			if (r == 0)
				r = peek_read(v->k, where, &kernels, 1);
		}
		if (r == 0 && kernels)
			r = err_set(EOPNOTSUPP, "buffer %u of it is the kernel's", i);
		json_array_append_new(all, json_pack("[I,I,I]", (json_int_t)at, (json_int_t)len,
						     (json_int_t)tag));
	}
	return r;
}

int uring_tell(struct dump *d, const struct uring_view *v, json_t *x)
{
	uint32_t limits[2], clock;
	uint64_t at;
	int r = peek_at(v->k, v->ctx, "io_ring_ctx", "iowq_limits", &at);

	if (r == 0)
		r = peek_read(v->k, at, limits, sizeof(limits));
	if (r == 0)
		r = peek_u32(v->k, v->ctx, "io_ring_ctx", "clockid", &clock);
	if (r == 0 && v->flags & IORING_SETUP_SQPOLL)
		r = tell_poller(d, v, x);
	if (r == 0)
		r = tell_submitter(d, v, x);
	if (r == 0)
		r = tell_registered(d, v, x);
	if (r == 0)
		r = tell_buffers(v, x);
	if (r < 0)
		return r;
	json_object_set_new(x, "flags", json_integer(v->flags));
	json_object_set_new(x, "sq", json_integer(v->sq));
	json_object_set_new(x, "cq", json_integer(v->cq));
	json_object_set_new(x, "head", json_integer(v->head));
	json_object_set_new(x, "tail", json_integer(v->tail));
	json_object_set_new(x, "pages", json_integer(v->ring_pages));
	json_object_set_new(x, "sqe_pages", json_integer(v->sqe_pages));
	json_object_set_new(x, "clock", json_integer(clock));
	json_object_set_new(x, "workers",
			    json_pack("[I,I]", (json_int_t)limits[0], (json_int_t)limits[1]));
	return 0;
}

/* Addresses of the tree's files, and of what they are of -> id: of the processes of the ring. */
static int index_files(struct dump *d, struct peek *k, GHashTable *all)
{
	const struct fd_seen *seen;
	unsigned n;
	int r = 0;

	seen = files_all_seen(d, &n);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		uint64_t file, data, *key;
		autoclose int fd = -1;

		r = proc_getfd(&files_task(d, seen[i].task)->proc, seen[i].tfd, &fd);
		if (r == 0)
			r = peek_file(k, fd, &file);
		if (r == 0)
			r = peek_u64(k, file, "file", "private_data", &data);
		for (unsigned w = 0; r == 0 && w < 2; w++) {
			key = g_new(uint64_t, 1);
			*key = w ? data : file;
			g_hash_table_insert(all, key, GUINT_TO_POINTER(seen[i].id));
		}
	}
	return r;
}

static uint32_t find_file(GHashTable *all, uint64_t address)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(all, &address));
}

static int tell_eventfd(const struct uring_view *v, GHashTable *files, uint64_t at, json_t *x)
{
	uint64_t context;
	uint32_t async, id;
	int r = peek_u64(v->k, at, "io_ev_fd", "cq_ev_fd", &context);

	if (r == 0)
		r = peek_u32(v->k, at, "io_ev_fd", "eventfd_async", &async);
	if (r < 0)
		return r;
	id = find_file(files, context);
	if (!id)
		return err_set(EOPNOTSUPP,
			       "the eventfd that it tells of completions is not open otherwise");
	json_object_set_new(x, "eventfd", json_pack("[I,b]", (json_int_t)id, (int)(async & 0xff)));
	return 0;
}

int uring_tell_files(struct dump *d, const struct uring_view *v, json_t *x)
{
	g_autoptr(GHashTable) files =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autofree uint64_t *nodes = NULL;
	json_t *all = json_array();
	uint32_t n, from, to;
	uint64_t eventfd;
	int r = read_table(v, "file_table.data.nr", "file_table.data.nodes", &nodes, &n);

	json_object_set_new(x, "files", all);
	if (r == 0)
		r = peek_u64(v->k, v->ctx, "io_ring_ctx", "io_ev_fd", &eventfd);
	if (r == 0 && (n || eventfd))
		r = index_files(d, v->k, files);
	if (r == 0 && eventfd)
		r = tell_eventfd(v, files, eventfd, x);
	if (r == 0)
		r = peek_u32(v->k, v->ctx, "io_ring_ctx", "file_alloc_start", &from);
	if (r == 0)
		r = peek_u32(v->k, v->ctx, "io_ring_ctx", "file_alloc_end", &to);
	if (r == 0 && n && (from || to != n))
		json_object_set_new(x, "range",
				    json_pack("[I,I]", (json_int_t)from, (json_int_t)to - from));
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		uint64_t file = 0, tag = 0;
		uint32_t id = 0;

		if (nodes[i]) {
			r = peek_u64(v->k, nodes[i], "io_rsrc_node", "file_ptr", &file);
			if (r == 0)
				r = peek_u64(v->k, nodes[i], "io_rsrc_node", "tag", &tag);
			id = find_file(files, POINTER(file));
		}
		if (r == 0 && nodes[i] && !id)
			r = err_set(EOPNOTSUPP,
				    "file %u that is registered with it is not open otherwise; "
				    "keep its descriptor, or unregister it",
				    i);
		json_array_append_new(all, json_pack("[I,I]", (json_int_t)id, (json_int_t)tag));
	}
	return r;
}
