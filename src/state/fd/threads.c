/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads with a table of descriptors of their own (unshare(2) of CLONE_FILES, or CLONE_THREAD
 * without it).  Each has a table of its own in the images, fdinfo-N.img; which one says
 * "own_files" of its task in IMAGE_EXTRA: {"TID": N}.
 *
 * A thread is made with the table of its process.  What it has beyond that has a number in there
 * above all others, as long as it takes: it unshares the table, puts everything in its place and
 * closes the rest.  So each kind of descriptor is made as it is for processes.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/task/task.h"

#include "image/fdinfo.pb-c.h"
#include "kernel/kcmp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define TFD_MAX (1 << 20) /* fs.nr_open */

/* The process as this thread sees it; to be closed. */
static int open_thread(const struct dtask *t, pid_t tid, struct dtask *ret)
{
	int r;

	*ret = *t;
	ret->proc = PROC_NONE;
	ret->table = NULL;
	r = proc_open_through(t->pid, tid, &ret->proc);
	return r == -EOPNOTSUPP ? err_set(EOPNOTSUPP, "only Linux 6.9 lets us look at the "
						      "descriptors of a thread (PIDFD_THREAD)")
				: r;
}

/* Owned by its table of descriptors (fs/locks.c), which another one takes the place of. */
static int check_locks(const struct dtask *o, int tfd)
{
	CLEANUP(fdinfo_clear) struct fdinfo info = {0};
	const char *line;
	size_t at = 0;
	int r = fdinfo_read(o->proc.dir, tfd, &info);

	while (r == 0 && (line = fdinfo_next(&info, "lock", &at)))
		if (strstr(line, " POSIX "))
			return err_set(EOPNOTSUPP,
				       "it has a lock of a thread's own (fcntl(2)), which cannot "
				       "be saved; give it up first");
	return r;
}

/* What both have, by the same number, is one file. */
static int is_same(const struct dtask *t, const struct dtask *o, const struct pid_list *all,
		   int tfd)
{
	int r = 1;

	if (pid_list_has(all, tfd))
		r = kcmp_compare(t->proc.pid, o->proc.pid, KCMP_FILE, (unsigned long)tfd,
				 (unsigned long)tfd);
	return r < 0 ? r : r == 0;
}

static int check_thread(struct dump *d, struct dtask *t, struct dtask *o)
{
	CLEANUP(pid_list_clear) struct pid_list all = {0}, own = {0};
	int r = proc_fds(t->proc.dir, &all);

	if (r == 0)
		r = proc_fds(o->proc.dir, &own);
	for (size_t i = 0; r >= 0 && i < own.n; i++) {
		r = check_locks(o, own.v[i]);
		if (r == 0)
			r = is_same(t, o, &all, own.v[i]);
		if (r < 0)
			return err_wrap(r, "fd %d", own.v[i]);
		if (r == 0)
			r = files_check_one(d, o, own.v[i]);
	}
	return MIN(r, 0);
}

int files_check_thread(struct dump *d, struct dtask *t, pid_t tid)
{
	struct dtask o;
	int r = open_thread(t, tid, &o);

	if (r == 0)
		r = check_thread(d, t, &o);
	proc_close(&o.proc);
	if (r != -ESRCH && r != -ENOENT && r != -EBADF)
		return r < 0 ? dump_refuse(d, dtask_wrap(t, err_wrap(r, "thread %d", tid))) : 0;
	err_clear(); /* it ends, or has closed that, while we look */
	return 0;
}

struct dtask *files_task(const struct dump *d, unsigned index)
{
	return index < d->tasks->len ? dump_task(d, index)
				     : g_ptr_array_index(d->thread_tables, index - d->tasks->len);
}

static void table_free(void *p)
{
	struct dtask *o = p;

	proc_close(&o->proc);
	if (o->table)
		g_array_unref(o->table);
	g_free(o);
}

static int dump_fds(struct dump *d, struct dtask *t, struct dtask *o)
{
	CLEANUP(pid_list_clear) struct pid_list all = {0}, own = {0};
	int r = proc_fds(t->proc.dir, &all);

	if (r == 0)
		r = proc_fds(o->proc.dir, &own);
	for (size_t i = 0; r >= 0 && i < own.n; i++) {
		r = check_locks(o, own.v[i]);
		if (r == 0)
			r = is_same(t, o, &all, own.v[i]);
		if (r == 1 && !files_seen(d, t->files, own.v[i]))
			continue; /* a tracker of ours: state/mem/track.c */
		if (r >= 0)
			r = files_dump_one(d, o, own.v[i]);
		if (r < 0)
			return err_wrap(r, "fd %d", own.v[i]);
	}
	return MIN(r, 0);
}

static int dump_thread(struct dump *d, struct dtask *t, struct dthread *h)
{
	json_t *all = json_object_get(t->extra, "own_files");
	struct dtask *o = g_new0(struct dtask, 1);
	char tid[16];
	int r = open_thread(t, h->tid, o);

	o->index = d->tasks->len + d->thread_tables->len;
	g_ptr_array_add(d->thread_tables, o);
	h->own_table = o;
	if (!all)
		json_object_set_new(t->extra, "own_files", all = json_object());
	g_snprintf(tid, sizeof(tid), "%d", h->nstid);
	json_object_set_new(all, tid, json_integer(o->index + 1));
	if (r == 0)
		r = image_touch(&d->w, IMG_FDINFO, o->index + 1);
	if (r == 0)
		r = dump_fds(d, t, o);
	return r < 0 ? dtask_wrap(t, err_wrap(r, "thread %d", h->nstid)) : 0;
}

int files_dump_threads(struct dump *d)
{
	int r = 0;

	d->thread_tables = g_ptr_array_new_with_free_func(table_free);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		for (unsigned k = 0; r == 0 && t->own_tables && k < t->nthreads; k++)
			if (t->threads[k].own_files)
				r = dump_thread(d, t, &t->threads[k]);
	}
	return r;
}

/* With what only the thread itself knows: state/fd/table.c. */
int files_dump_table(struct dump *d, struct dthread *h)
{
	const GArray *all = h->own_table ? h->own_table->table : NULL;
	g_autofree int *ops = g_new0(int, all ? all->len : 0);
	CLEANUP(batch_end) struct batch b = {0};
	int r = 0;

	if (!all)
		return 0;
	batch_begin(&b, h->task->agent, h->slot);
	for (unsigned i = 0; i < all->len; i++) {
		const struct table_entry *e = &g_array_index(all, struct table_entry, i);

		if (e->ask)
			ops[i] = batch_add(&b, SYS_fcntl, IMM(e->fd), IMM(F_GETFD));
	}
	r = batch_run(&b);
	for (unsigned i = 0; r == 0 && i < all->len; i++) {
		const struct table_entry *e = &g_array_index(all, struct table_entry, i);
		bool cloexec = e->ask ? batch_result(&b, ops[i]) & FD_CLOEXEC : e->cloexec;

		r = table_write(d, h->own_table->index + 1, e, cloexec);
	}
	return r;
}

/* Restore */

static const FdinfoEntry *entry_of(const GPtrArray *fds, uint32_t tfd)
{
	unsigned lo = 0, hi = fds->len;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const FdinfoEntry *e = g_ptr_array_index(fds, mid);

		if (e->fd == tfd)
			return e;
		if (e->fd < tfd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

int files_load_threads(struct restore *r, struct rtask *t)
{
	const json_t *all = json_object_get(t->extra, "own_files");
	int ret = 0;

	for (unsigned i = 1; ret == 0 && all && i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];
		json_int_t number;
		char tid[16];

		g_snprintf(tid, sizeof(tid), "%d", h->nstid);
		number = json_integer_value(json_object_get(all, tid));
		if (number > 0)
			ret = files_load_table(r, (uint32_t)number, &h->fds);
	}
	return ret;
}

/* The number beyond all others that ID has in the table of O. */
static uint32_t lend(struct rtask *o, GHashTable *lent, uint32_t id, uint32_t *next)
{
	uint32_t tfd = GPOINTER_TO_UINT(g_hash_table_lookup(lent, GUINT_TO_POINTER(id)));
	FdinfoEntry *e;

	if (tfd)
		return tfd;
	e = g_new0(FdinfoEntry, 1);
	fdinfo_entry__init(e);
	e->id = id;
	e->fd = tfd = (*next)++;
	e->flags = FD_CLOEXEC;
	g_ptr_array_add(o->fds, e);
	g_hash_table_insert(lent, GUINT_TO_POINTER(id), GUINT_TO_POINTER(tfd));
	return tfd;
}

static void plan_thread(struct rtask *o, struct rthread *h, GHashTable *lent, uint32_t *next)
{
	h->from = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (unsigned i = 0; i < h->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(h->fds, i),
				  *same = entry_of(o->fds, e->fd);
		uint32_t from = same && same->id == e->id ? e->fd : lend(o, lent, e->id, next);

		g_array_append_val(h->from, from);
	}
}

static uint32_t above(const GPtrArray *fds, uint32_t next)
{
	const FdinfoEntry *last = fds->len ? g_ptr_array_index(fds, fds->len - 1) : NULL;

	return last ? MAX(next, last->fd + 1) : next;
}

/* The table of O, which others may have as well. */
static int plan_table(struct restore *r, struct rtask *o)
{
	g_autoptr(GHashTable) lent = g_hash_table_new(NULL, NULL);
	uint32_t next = 1;
	bool any = false;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < r->nimages; i++) {
			struct rtask *t = restore_task(r, i);

			if (!t->fds || restore_task(r, t->files) != o)
				continue;
			for (unsigned k = 1; k < t->nthreads; k++) {
				struct rthread *h = &t->threads[k];

				if (!h->fds)
					continue;
				any = true;
				if (pass)
					plan_thread(o, h, lent, &next);
				else
					next = above(h->fds, next);
			}
		}
		if (!any)
			return 0;
		if (pass == 0)
			o->lent_from = next = above(o->fds, next);
	}
	return next > TFD_MAX ? err_set(EBADMSG, "process %d: descriptor %u", o->nspid, next) : 0;
}

int files_plan_threads(struct restore *r)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		if (t->fds && restore_task(r, t->files) == t)
			ret = plan_table(r, t);
	}
	return ret;
}

static void close_rest(const struct rthread *h, struct batch *b)
{
	uint32_t next = 0;

	for (unsigned i = 0; i < h->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(h->fds, i);

		if (e->fd > next)
			batch_add(b, SYS_close_range, IMM(next), IMM(e->fd - 1), IMM(0));
		next = e->fd + 1;
	}
	batch_add(b, SYS_close_range, IMM(next), IMM(~0u), IMM(0));
}

int files_restore_thread(struct restore *r, struct rthread *h)
{
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	if (!h->fds)
		return 0;
	rthread_batch(h, &b);
	batch_add(&b, SYS_unshare, IMM(CLONE_FILES));
	for (unsigned i = 0; i < h->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(h->fds, i);
		uint32_t from = g_array_index(h->from, uint32_t, i);
		bool cloexec = e->flags & FD_CLOEXEC;

		if (from == e->fd)
			batch_add(&b, SYS_fcntl, IMM(e->fd), IMM(F_SETFD),
				  IMM(cloexec ? FD_CLOEXEC : 0));
		else
			batch_expect(&b,
				     batch_add(&b, SYS_dup3, IMM(from), IMM(e->fd),
					       IMM(cloexec ? O_CLOEXEC : 0)),
				     e->fd);
	}
	close_rest(h, &b);
	ret = batch_run(&b);
	return ret < 0 ? err_wrap(ret, "thread %d: its descriptors", h->nstid) : 0;
}

int files_end_threads(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (!t->lent_from)
		return 0;
	rtask_batch(t, &b);
	batch_add(&b, SYS_close_range, IMM(t->lent_from), IMM(~0u), IMM(0));
	return batch_run(&b);
}

void files_threads_free(struct rtask *t)
{
	for (unsigned i = 1; i < t->nthreads; i++) {
		g_clear_pointer(&t->threads[i].fds, g_ptr_array_unref);
		if (t->threads[i].from)
			g_array_unref(g_steal_pointer(&t->threads[i].from));
	}
}
