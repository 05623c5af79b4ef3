/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of io_uring_setup(2), when nothing is under way in them.  What the kernel has of one is
 * read from its memory (uring_look.c); the ring's own memory is copied whole.
 *
 * A ring cannot be sent through a socket (net/core/scm.c: io_is_uring_fops(), Linux 6.7), so that
 * it is made by a task of the tree, when its threads are there, as some are of one thread only;
 * others that have it take it from there by pidfd_getfd(2).  Until then something else is at its
 * number, and an anonymous mapping where it was mapped.
 *
 * CRIU has no record for them: a file of that name, in sk-queues.img its memory, and in
 * IMAGE_EXTRA URING_KEY.
 */
#include "state/fd/uring.h"
#include "state/extra.h"

#include "base/log.h"
#include "state/fd/files.h"
#include "state/mem/mem.h"
#include "state/ns/spaces.h"
#include "state/sock/sock.h"
#include "state/task/levels.h"
#include "state/task/task.h"

#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define LINK	    "anon_inode:[io_uring]"
#define PAGE	    4096
#define MANY	    100000000u
#define PER_S	    10000000u /* requests that do nothing */
#define PATIENCE_US 200000
#define SLICE_US    500

bool uring_is_map(const struct vma *v)
{
	return g_str_has_prefix(v->name, LINK);
}

bool uring_is_open(const struct dtask *t, const struct vma *v)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	char name[32];
	struct stat st;

	if (proc_fds(t->proc.dir, &fds) < 0)
		err_clear();
	for (size_t i = 0; i < fds.n; i++) {
		snprintf(name, sizeof(name), "fd/%d", fds.v[i]);
		if (fstatat(t->proc.dir, name, &st, 0) == 0 && st.st_ino == v->ino)
			return true;
	}
	return false;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, LINK) == 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	const char *napi = fdinfo_get(&v->info, "NAPI");
	struct uring_view u;
	autoclose int fd = -1;
	int r = 0;

	if (napi && strcmp(napi, "disabled") != 0)
		r = err_set(EOPNOTSUPP, "it polls network devices, which cannot be saved");
	/* it is made, and works with the rights of whoever makes it, before he enters */
	if (r == 0 && spaces_users(d, v->task))
		r = err_set(EOPNOTSUPP, "it is in a user namespace other than the first task's, "
					"whose rights it could not have again");
	if (r == 0)
		r = fd_view_get(v, &fd);
	if (r == 0)
		r = uring_look(d, fd, &u);
	return r < 0 ? err_wrap(r, "io_uring") : 0;
}

static json_t *extra_of(const struct dump *d, uint32_t id)
{
	return extra_get(d->extra, URING_KEY, id);
}

static json_t *extra_new(struct dump *d, uint32_t id)
{
	json_t *x = json_object();

	extra_set(d->extra, URING_KEY, id, x);
	return x;
}

/* Both of its regions, in pieces: io_uring/memmap.c */
static int save_memory(struct dump *d, uint32_t id, int fd, uint64_t offset, size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	int r = 0;

	if (p == MAP_FAILED)
		return err_errno("map a ring");
	for (size_t at = 0; r == 0 && at < bytes; at += URING_PIECE)
		r = sock_queue_add(d, id, p + at, MIN(bytes - at, URING_PIECE));
	munmap(p, bytes);
	return r;
}

/* Its threads, which are the kernel's, do not stand still. */
static int look_frozen(struct dump *d, int fd, struct uring_view *ret)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	int r;

	while ((r = uring_look(d, fd, ret)) == -EAGAIN && g_get_monotonic_time() < end)
		g_usleep(SLICE_US);
	return r == -EAGAIN ? -EBUSY : r;
}

static int dump_frozen(struct dump *d, const struct fd_view *v, uint32_t id)
{
	struct uring_view u;
	autoclose int fd = -1;
	int r = fd_view_get(v, &fd);

	if (r == 0)
		r = look_frozen(d, fd, &u);
	if (r == 0 && u.head > MANY)
		log_warn("a ring of io_uring has done %u requests: a restore does as many again, "
			 "which takes about %u s",
			 u.head, u.head / PER_S);
	if (r == 0)
		r = uring_tell(d, &u, extra_new(d, id));
	if (r == 0)
		r = save_memory(d, id, fd, IORING_OFF_SQ_RING, (size_t)u.ring_pages * PAGE);
	if (r == 0)
		r = save_memory(d, id, fd, IORING_OFF_SQES, (size_t)u.sqe_pages * PAGE);
	return r;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	RegFileEntry *e = f->reg = g_new0(RegFileEntry, 1);
	int r;

	reg_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->name = g_strdup(v->link);
	e->fown = fown_none();
	r = dump_frozen(d, v, f->id);
	return r < 0 ? err_wrap(r, "io_uring") : 0;
}

static void tell_maps(struct dump *d, const struct fd_view *v, json_t *x)
{
	json_t *all = json_array();

	json_object_set_new(x, "maps", all);
	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		for (size_t k = 0; t->vm == t->index && k < t->maps.n; k++) {
			const struct vma *m = &t->maps.v[k];

			if (uring_is_map(m) && m->ino == v->st.st_ino)
				json_array_append_new(
					all, json_pack("[i,I,I,I,i]", t->nspid,
						       (json_int_t)m->start, (json_int_t)vma_len(m),
						       (json_int_t)m->offset, m->prot));
		}
	}
}

/* The others take it from one process: pidfd_getfd(2) by its number. */
static int check_sharers(struct dump *d, uint32_t id)
{
	uint64_t first[NS_COUNT], ns[NS_COUNT];
	const struct fd_seen *seen;
	unsigned n, before = ~0u;
	int r = 0;

	seen = files_all_seen(d, &n);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (seen[i].id != id || seen[i].task == before)
			continue;
		r = ns_ids(files_task(d, seen[i].task)->proc.dir, before == ~0u ? first : ns);
		if (r == 0 && before != ~0u &&
		    (ns[NS_PID] != first[NS_PID] || ns[NS_USER] != first[NS_USER]))
			r = err_set(EOPNOTSUPP, "processes in different namespaces share it");
		before = seen[i].task;
	}
	return r;
}

static int dump_late(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	json_t *x = extra_of(d, f->id);
	struct uring_view u;
	autoclose int fd = -1;
	int r = fd_view_get(v, &fd);

	if (r == 0)
		r = look_frozen(d, fd, &u);
	if (r == 0)
		r = uring_tell_files(d, &u, x);
	if (r == 0)
		r = check_sharers(d, f->id);
	tell_maps(d, v, x);
	return r < 0 ? err_wrap(r, "io_uring") : 0;
}

static bool has_file(const struct rtask *t, uint32_t id, int *ret_tfd)
{
	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);

		*ret_tfd = (int)e->fd;
		if (e->id == id)
			return true;
	}
	return false;
}

static int load(struct restore *r, struct file *f)
{
	g_autofree struct uring *u = NULL;
	json_int_t flags, sq, cq, head, tail;
	json_t *x = extra_get(r->extra, URING_KEY, f->id);

	if (!f->entry->reg || !x)
		return 1;
	if (json_unpack(x, "{s:I,s:I,s:I,s:I,s:I}", "flags", &flags, "sq", &sq, "cq", &cq, "head",
			&head, "tail", &tail) < 0 ||
	    sq < 1 || sq > URING_SQ_MAX || cq < 1 || cq > URING_CQ_MAX)
		return err_set(EBADMSG, IMAGE_EXTRA ": ring %u", f->id);
	u = g_new0(struct uring, 1);
	*u = (struct uring){.id = f->id,
			    .flags = (uint32_t)flags,
			    .sq = (uint32_t)sq,
			    .cq = (uint32_t)cq,
			    .head = (uint32_t)head,
			    .tail = (uint32_t)tail,
			    .x = x,
			    .at = -1};
	if (!r->urings)
		r->urings = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_hash_table_insert(r->urings, GUINT_TO_POINTER(f->id), g_steal_pointer(&u));
	return 0;
}

/* Something that an epoll takes as well, until the ring is there. */
static int open_(struct restore *r, struct file *f)
{
	int ret = seccomp_floor_allows(r, SYS_io_uring_setup, "io_uring_setup");

	if (ret < 0)
		return ret;
	f->fd = eventfd(0, EFD_CLOEXEC);
	return f->fd < 0 ? err_errno("eventfd") : 0;
}

/* In the first process that has it, or in the thread that it belongs to. */
static int choose_maker(struct restore *r, struct uring *u, struct rtask *first)
{
	pid_t tid = (pid_t)json_integer_value(json_object_get(u->x, "submitter"));
	int tfd;

	u->by = &first->threads[0];
	for (unsigned i = 0; tid && i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		for (unsigned n = 0; n < t->nthreads; n++)
			if (t->threads[n].nstid == tid && !t->threads[n].gone)
				u->by = &t->threads[n];
	}
	return has_file(restore_task(r, u->by->task->files), u->id, &tfd)
		       ? 0
		       : err_set(EBADMSG, "who made ring %u has not got it", u->id);
}

/* A child of a thread's may have it under a number of its own. */
static int take(struct restore *r, const struct uring *u, struct rtask *t, int *ret_tfd)
{
	CLEANUP(batch_end) struct batch b = {0};
	struct rtask *from = u->by->task;
	int at = u->at, pidfd, op, ret;

	if (at < 0)
		has_file(restore_task(r, from->files), u->id, &at);
	rtask_batch(t, &b);
	pidfd = batch_add(&b, SYS_pidfd_open, IMM(levels_seen_by(t, from)), IMM(0));
	op = batch_add(&b, SYS_pidfd_getfd, RES(pidfd), IMM(at), IMM(0));
	batch_add(&b, SYS_close, RES(pidfd));
	ret = batch_run(&b);
	*ret_tfd = (int)batch_result(&b, op);
	return ret;
}

static int late(struct restore *r, struct rtask *t, struct file *f, int *ret_tfd)
{
	struct uring *u = g_hash_table_lookup(r->urings, GUINT_TO_POINTER(f->id));
	int ret = 0;

	if (!u->made) {
		ret = choose_maker(r, u, t);
		if (ret == 0)
			ret = uring_make(r, u);
		u->made = ret == 0;
	}
	if (ret == 0 && restore_task(r, u->by->task->files) == t) {
		*ret_tfd = u->at;
		u->at = -1;
	} else if (ret == 0) {
		ret = take(r, u, t, ret_tfd);
	}
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (restore_task(r, i)->core && !restore_task(r, i)->zombie &&
		    restore_task(r, restore_task(r, i)->files) == t)
			ret = uring_map(r, u, restore_task(r, i), *ret_tfd);
	return ret < 0 ? err_wrap(ret, "io_uring") : 0;
}

/* The numbers that threads have given it themselves. */
static int last(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	struct uring *u = g_hash_table_lookup(r->urings, GUINT_TO_POINTER(f->id));
	json_t *one;
	size_t i;
	int ret = 0;

	json_array_foreach(json_object_get(u->x, "registered"), i, one)
	{
		struct io_uring_rsrc_update e = {
			.offset = (uint32_t)json_integer_value(json_array_get(one, 1)),
			.data = (uint64_t)tfd};
		pid_t tid = (pid_t)json_integer_value(json_array_get(one, 0));

		for (unsigned n = 0; ret == 0 && n < t->nthreads; n++) {
			CLEANUP(batch_end) struct batch b = {0};

			if (t->threads[n].nstid != tid || t->threads[n].gone)
				continue;
			rthread_batch(&t->threads[n], &b);
			batch_expect(&b,
				     batch_add(&b, SYS_io_uring_register, IMM(tfd),
					       IMM(IORING_REGISTER_RING_FDS),
					       batch_inout(&b, &e, &e, sizeof(e)), IMM(1)),
				     1);
			ret = batch_run(&b);
		}
	}
	return ret < 0 ? err_wrap(ret, "io_uring") : 0;
}

const struct fd_kind fd_uring = {
	.name = "io_uring",
	.type = FD_TYPES__REG,
	.match = match,
	.check = check,
	.dump = dump,
	.dump_late = dump_late,
	.load = load,
	.open = open_,
	.late = late,
	.last = last,
};
