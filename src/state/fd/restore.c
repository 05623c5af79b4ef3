/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/lock/lock.h"
#include "state/ns/spaces.h"
#include "state/task/task.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#define TFD_MAX (1u << 20) /* fs.nr_open */

static void file_free(void *p)
{
	struct file *f = p;

	cleanup_close(&f->fd);
	file_entry__free_unpacked(f->entry, NULL);
	g_free(f);
}

static int load_file(struct restore *r, struct file *f)
{
	for (size_t i = 0; i < fd_kind_count; i++) {
		int ret;

		if (fd_kinds[i]->type != f->entry->type || !fd_kinds[i]->load)
			continue;
		ret = fd_kinds[i]->load(r, f);
		if (ret == 1)
			continue;
		f->kind = fd_kinds[i];
		return ret;
	}
	return err_set(EOPNOTSUPP, "files.img: file %u is of type %d, which is not known", f->id,
		       f->entry->type);
}

static int load_files(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	int ret;

	r->files = g_hash_table_new_full(NULL, NULL, NULL, file_free);
	ret = image_open_needed(r->o.images, IMG_FILES, 0, &img);
	while (ret == 0) {
		CLEANUP(image_record_free) FileEntry *e = NULL;
		struct file *f;

		ret = image_read(img, &e);
		if (ret != 0)
			break;
		if (e->id == 0 || g_hash_table_contains(r->files, GUINT_TO_POINTER(e->id)))
			return err_set(EBADMSG, "files.img: file %u is there twice", e->id);
		f = g_new0(struct file, 1);
		f->id = e->id;
		f->entry = g_steal_pointer(&e);
		f->fd = -1;
		g_hash_table_insert(r->files, GUINT_TO_POINTER(f->id), f);
		ret = load_file(r, f);
	}
	return ret < 0 ? ret : 0;
}

static int by_tfd(const void *a, const void *b)
{
	const FdinfoEntry *const *x = a, *const *y = b;

	return ((*x)->fd > (*y)->fd) - ((*x)->fd < (*y)->fd);
}

/* Who comes first of those that have the table of T. */
static unsigned first_of_table(const struct restore *r, const struct rtask *t)
{
	for (unsigned i = 0;; i++) {
		const struct rtask *o = restore_task(r, i);

		if (o == t || (o->core && !o->zombie && o->core->ids &&
			       o->core->ids->files_id == t->core->ids->files_id))
			return i;
	}
}

int files_load_table(struct restore *r, uint32_t table, GPtrArray **ret)
{
	CLEANUP(image_close) struct image *there = NULL;
	g_autoptr(GPtrArray) fds = NULL;
	int res;

	/* a task without descriptors has an empty one */
	res = image_open_needed(r->o.images, IMG_FDINFO, table, &there);
	if (res == 0)
		res = image_load_all(r->o.images, IMG_FDINFO, table, &fds);
	if (res < 0)
		return res;
	g_ptr_array_sort(fds, by_tfd);
	for (unsigned i = 0; i < fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(fds, i);
		const FdinfoEntry *before = i ? g_ptr_array_index(fds, i - 1) : NULL;
		struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));

		if (e->fd > TFD_MAX || (before && before->fd == e->fd))
			return err_set(EBADMSG, "fdinfo-%u.img: descriptor %u", table, e->fd);
		if (!f)
			return err_set(
				EBADMSG,
				"fdinfo-%u.img: descriptor %u is file %u, which is not there",
				table, e->fd, e->id);
		f->has_fd = true;
	}
	*ret = g_steal_pointer(&fds);
	return 0;
}

static int load_table(struct restore *r, struct rtask *t)
{
	int ret;

	if (!t->core || t->zombie)
		return 0;
	if (!t->core->ids)
		return err_set(EBADMSG, "core-%d.img has no ids", t->nspid);
	t->files = first_of_table(r, t);
	ret = files_load_table(r, t->core->ids->files_id, &t->fds);
	return ret < 0 ? ret : files_load_threads(r, t);
}

int files_load(struct restore *r)
{
	int ret = ghosts_load(r);

	if (ret == 0)
		ret = load_files(r);
	if (ret == 0)
		ret = locks_load(r);
	for (unsigned i = 0; ret == 0 && i < r->tasks->len; i++)
		ret = load_table(r, restore_task(r, i));
	return ret < 0 ? ret : files_plan_threads(r);
}

static int in_stub(const struct restore *r, const struct cryo_inherit *h)
{
	if (!h->guest)
		return r->stdio[h->fd];
	for (unsigned i = 0; i < r->o.nguests; i++)
		if (strcmp(r->guests[i].name, h->guest) == 0)
			return r->guests[i].stdio[h->fd];
	return -1;
}

bool files_in_flight(const struct restore *r, uint32_t id)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(r->extra, "flight"), i,
			   one) if (json_integer_value(one) == id) return true;
	return false;
}

int restore_inherited(const struct restore *r, const char *name)
{
	for (unsigned i = 0; i < r->o.ninherits; i++) {
		const struct cryo_inherit *h = &r->o.inherits[i];

		if (strcmp(h->name, name) == 0)
			return h->in_stub ? in_stub(r, h) : h->fd;
	}
	return -1;
}

int restore_file(struct restore *r, uint32_t id, struct file **ret)
{
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(id));
	int e;

	if (!f)
		return err_set(EBADMSG, "file %u is not in files.img", id);
	*ret = f;
	if (f->state == FILE_OPEN)
		return 0;
	if (f->state == FILE_OPENING)
		return err_set(ELOOP, "%s %u needs itself", f->kind->name, id);
	f->state = FILE_OPENING;
	e = f->kind->open(r, f);
	if (e < 0)
		return e;
	f->state = FILE_OPEN;
	return 0;
}

/* Can it be made when the first task gets it, and be closed when the last one has? */
static bool comes_late(const struct restore *r, const struct file *f)
{
	return f->kind->alone || (f->kind->lone && f->kind->lone(r, f));
}

/* Do we have room for all descriptions at once?  If not, how often is each to be passed on? */
static void plan_windows(struct restore *r)
{
	struct rlimit l;

	fd_raise_limit();
	r->windowed = getrlimit(RLIMIT_NOFILE, &l) == 0 &&
		      l.rlim_cur < FILES_SPARE + g_hash_table_size(r->files) +
					   g_hash_table_size(r->ghosts);
	for (unsigned i = 0; r->windowed && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; restore_task(r, t->files) == t && t->fds && k < t->fds->len;
		     k++) {
			const FdinfoEntry *e = g_ptr_array_index(t->fds, k);
			struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));

			f->uses++;
		}
	}
}

/* The last descriptor of it is where it belongs. */
static void pass_on(struct restore *r, struct file *f)
{
	if (!r->windowed || !comes_late(r, f) || --f->uses || f->async)
		return;
	cleanup_close(&f->fd);
	f->fd = -1;
}

int files_open(struct restore *r)
{
	GHashTableIter it;
	struct file *f;
	void *id;
	int ret;

	plan_windows(r);
	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, &id, (void **)&f)) {
		if ((r->named && g_hash_table_contains(r->named, id)) ||
		    (r->windowed && comes_late(r, f)))
			continue;
		ret = restore_file(r, GPOINTER_TO_UINT(id), &f);
		if (ret < 0)
			return ret;
	}
	/* before anybody watches */
	ret = ghosts_unlink(r);
	if (ret < 0)
		return ret;
	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		ret = f->state == FILE_OPEN && f->kind->finish ? f->kind->finish(r, f) : 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

/*
 * Everything the task has is closed but the channel, whose number nobody wants.  Descriptors arrive
 * in ascending order at the lowest free numbers, so each arrives at or below its place; moved from
 * the last to the first, none treads on another.
 */
static int receive(struct restore *r, struct rtask *t, struct batch *b, unsigned from, unsigned n)
{
	int fds[FD_SEND_MAX], at[FD_SEND_MAX], ret;

	for (unsigned i = 0; i < n; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, from + i);
		struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));

		ret = r->windowed && comes_late(r, f) ? restore_file(r, e->id, &f) : 0;
		if (ret < 0)
			return ret;
		fds[i] = f->fd;
	}
	batch_recv_fds(b, fds, n, at);
	ret = batch_run(b);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, from + i);

		pass_on(r, g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id)));
	}
	for (unsigned i = n; ret == 0 && i-- > 0;) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, from + i);
		int op;

		if (at[i] == (int)e->fd) {
			if (!(e->flags & FD_CLOEXEC))
				batch_add(b, SYS_fcntl, IMM(e->fd), IMM(F_SETFD), IMM(0));
			continue;
		}
		op = batch_add(b, SYS_dup3, IMM(at[i]), IMM(e->fd),
			       IMM(e->flags & FD_CLOEXEC ? O_CLOEXEC : 0));
		batch_expect(b, op, e->fd);
		batch_add(b, SYS_close, IMM(at[i]));
	}
	return ret < 0 ? ret : batch_run(b);
}

static int move_channel(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	if (r->channel != STUB_SOCK)
		batch_add(&b, SYS_dup3, IMM(STUB_SOCK), IMM(r->channel), IMM(O_CLOEXEC));
	if (r->channel > 0)
		batch_add(&b, SYS_close_range, IMM(0), IMM(r->channel - 1), IMM(0));
	batch_add(&b, SYS_close_range, IMM(r->channel + 1), IMM(~0u), IMM(0));
	return batch_run(&b);
}

int files_channel(struct restore *r)
{
	g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
	int ret;

	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; t->fds && k < t->fds->len; k++) {
			const FdinfoEntry *e = g_ptr_array_index(t->fds, k);

			g_hash_table_add(used, GUINT_TO_POINTER(e->fd));
		}
	}
	r->channel = 0;
	while (g_hash_table_contains(used, GUINT_TO_POINTER(r->channel)))
		r->channel++;
	ret = move_channel(r, restore_task(r, 0));
	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = rtask_wrap(r->guests[i].task, move_channel(r, r->guests[i].task));
	r->agent->tsock = (int)r->channel;
	return ret;
}

static int close_channel(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	batch_add(&b, SYS_close, IMM(r->channel));
	return batch_run(&b);
}

/* For what its threads are to get. */
static bool keeps_channel(const struct restore *r, const struct rtask *t)
{
	bool wanted = spaces_wants_channel(r, t);

	for (unsigned i = 0; !wanted && i < r->nimages; i++)
		wanted = restore_task(r, restore_task(r, i)->files) == t &&
			 fs_of_threads(restore_task(r, i));
	return wanted;
}

int files_install(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	int ret = 0;

	if (restore_task(r, t->files) != t)
		return 0;
	rtask_batch(t, &b);
	if (r->channel > 0)
		batch_add(&b, SYS_close_range, IMM(0), IMM(r->channel - 1), IMM(0));
	batch_add(&b, SYS_close_range, IMM(r->channel + 1), IMM(~0u), IMM(0));
	ret = batch_run(&b);
	for (unsigned i = 0; ret == 0 && i < t->fds->len; i += FD_SEND_MAX)
		ret = receive(r, t, &b, i, MIN(t->fds->len - i, FD_SEND_MAX));
	return ret < 0 || keeps_channel(r, t) ? ret : close_channel(r, t);
}

int files_end(struct restore *r, struct rtask *t)
{
	bool mine = restore_task(r, t->files) == t && keeps_channel(r, t);

	return mine ? close_channel(r, t) : 0;
}

int files_settle(struct restore *r, struct rtask *t)
{
	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);
		struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));
		int ret = f->kind->settle ? f->kind->settle(r, t, f, (int)e->fd) : 0;

		if (ret == 0)
			ret = fown_settle(r, t, f, (int)e->fd);
		if (ret < 0)
			return err_wrap(ret, "fd %u", e->fd);
	}
	return 0;
}

/* A thread's own copies are closed already; which of them is a thread's file is not. */
static int late_one(struct restore *r, struct rtask *t, unsigned i, GHashTable *made)
{
	const FdinfoEntry *e = g_ptr_array_index(t->fds, i);
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));
	CLEANUP(batch_end) struct batch b = {0};
	int first = GPOINTER_TO_INT(g_hash_table_lookup(made, GUINT_TO_POINTER(e->id))) - 1;
	int tfd = first, ret;

	if (!f->kind->late)
		return 0;
	ret = first < 0 ? f->kind->late(r, t, f, &tfd) : 0;
	if (ret != 0)
		return ret < 0 ? ret : 0;
	rtask_batch(t, &b);
	batch_expect(&b,
		     batch_add(&b, SYS_dup3, IMM(tfd), IMM(e->fd),
			       IMM(e->flags & FD_CLOEXEC ? O_CLOEXEC : 0)),
		     e->fd);
	if (first < 0)
		batch_add(&b, SYS_close, IMM(tfd));
	g_hash_table_insert(made, GUINT_TO_POINTER(e->id), GINT_TO_POINTER((int)e->fd + 1));
	return batch_run(&b);
}

int files_late(struct restore *r, struct rtask *t)
{
	g_autoptr(GHashTable) made = g_hash_table_new(NULL, NULL);

	if (restore_task(r, t->files) != t)
		return 0;
	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);
		int ret = late_one(r, t, i, made);

		if (ret < 0)
			return err_wrap(ret, "fd %u", e->fd);
	}
	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);
		struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(e->id));
		int ret = f->kind->last ? f->kind->last(r, t, f, (int)e->fd) : 0;

		if (ret < 0)
			return err_wrap(ret, "fd %u", e->fd);
	}
	return 0;
}

void files_close(struct restore *r)
{
	GHashTableIter it;
	struct file *f;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		cleanup_close(&f->fd);
		f->fd = -1;
	}
	g_clear_pointer(&r->pipes, g_hash_table_unref);
	g_clear_pointer(&r->fifos, g_hash_table_unref);
	g_clear_pointer(&r->memfds, g_hash_table_unref);
}
