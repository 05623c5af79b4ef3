/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "base/fd.h"
#include "kernel/kcmp.h"
#include "state/lock/lock.h"
#include "state/mem/track.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct known {
	uint32_t id;
	FdTypes type;
};

struct files_dump {
	struct kcmp_set *set; /* of descriptions, by kcmp(2): its ids count from 1 */
	GArray *ids;	      /* struct known of description i + 1 */
	uint32_t next;
	GArray *seen; /* struct fd_seen, by task, then by number */
	GArray *late; /* struct late */
	unsigned late_done;
	GHashTable *named, *once, *ghosts; /* string -> number */
	struct dtask *self;		   /* ourselves, for descriptors that nobody has */
	GArray *held;			   /* of those, ours */
	unsigned together;		   /* descriptions that a restore has all at once */
	rlim_t limit;			   /* that a restore by us would have; 0: not asked yet */
};

/* A description whose record waits until all others are known. */
struct late {
	const struct fd_kind *kind;
	struct fd_view view;
	FileEntry *entry;
};

static void late_clear(void *p)
{
	struct late *l = p;

	fd_view_clear(&l->view);
	file_entry__free_unpacked(l->entry, NULL);
}

int files_dump_begin(struct dump *d)
{
	struct files_dump *f = g_new0(struct files_dump, 1);

	f->set = kcmp_set_new(KCMP_FILE);
	f->ids = g_array_new(FALSE, TRUE, sizeof(struct known));
	f->seen = g_array_new(FALSE, TRUE, sizeof(struct fd_seen));
	f->late = g_array_new(FALSE, TRUE, sizeof(struct late));
	g_array_set_clear_func(f->late, late_clear);
	f->next = 1;
	f->held = g_array_new(FALSE, FALSE, sizeof(int));
	f->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	f->once = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	f->ghosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	d->files = f;
	return 0;
}

void files_dump_end(struct dump *d)
{
	struct files_dump *f = g_steal_pointer(&d->files);

	g_clear_pointer(&d->thread_tables, g_ptr_array_unref);
	g_clear_pointer(&d->fine_sockets, g_hash_table_unref);
	if (!f)
		return;
	kcmp_set_drop(&f->set);
	g_array_unref(f->ids);
	g_array_unref(f->seen);
	g_array_unref(f->late);
	for (unsigned i = 0; i < f->held->len; i++)
		close(g_array_index(f->held, int, i));
	g_array_unref(f->held);
	if (f->self)
		proc_close(&f->self->proc);
	g_free(f->self);
	g_hash_table_unref(f->named);
	g_hash_table_unref(f->once);
	g_hash_table_unref(f->ghosts);
	g_free(f);
}

uint32_t files_new_id(struct dump *d)
{
	return d->files->next++;
}

static char *named_key(const struct dump *d, const struct path_view *v)
{
	int root = spaces_root(d, v->mnt_id < 0 ? spaces_mount_of(d, v->reopen) : v->mnt_id);

	return g_strdup_printf("%llx:%llx:%o:%d:%s", (unsigned long long)v->st.st_dev,
			       (unsigned long long)v->st.st_ino, v->flags, root, v->link);
}

bool files_known(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	g_autofree char *key = named_key(d, v);
	void *id = g_hash_table_lookup(d->files->named, key);

	*ret_id = GPOINTER_TO_UINT(id);
	return id != NULL;
}

void files_remember(struct dump *d, const struct path_view *v, uint32_t id)
{
	g_hash_table_insert(d->files->named, named_key(d, v), GUINT_TO_POINTER(id));
}

bool dump_once(struct dump *d, const char *kind, uint64_t number)
{
	return g_hash_table_add(d->files->once,
				g_strdup_printf("%s %llu", kind, (unsigned long long)number));
}

uint32_t files_ghost_id(struct dump *d, const struct stat *st)
{
	char *key = g_strdup_printf("%llx:%llx", (unsigned long long)st->st_dev,
				    (unsigned long long)st->st_ino);
	uint32_t id = GPOINTER_TO_UINT(g_hash_table_lookup(d->files->ghosts, key));

	if (id) {
		g_free(key);
		return id;
	}
	id = g_hash_table_size(d->files->ghosts) + 1;
	g_hash_table_insert(d->files->ghosts, key, GUINT_TO_POINTER(id));
	return id;
}

/*
 * Nobody can open a socket again: it has one description, which is the same for all who have it.
 * As long as nothing stands still it is enough to have looked at it once.
 */
static bool was_fine(struct dump *d, uint64_t ino)
{
	return d->fine_sockets && g_hash_table_contains(d->fine_sockets, &ino);
}

static void is_fine(struct dump *d, uint64_t ino)
{
	if (!d->fine_sockets)
		d->fine_sockets = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_add(d->fine_sockets, g_memdup2(&ino, sizeof(ino)));
}

static int check_view(struct dump *d, struct fd_view *v)
{
	const bool once = !d->frozen && S_ISSOCK(v->st.st_mode);
	const size_t refused = d->refused->len;
	const struct fd_kind *k;
	int r;

	if ((once && was_fine(d, v->st.st_ino)) || track_is(d, v))
		return 0;
	k = fd_kind_of(d, v);
	if (!k)
		return fd_refuse(v);
	r = locks_check(d, v);
	if (r == 0 && k->check)
		r = k->check(d, v);
	if (r == 0 && once && d->refused->len == refused)
		is_fine(d, v->st.st_ino);
	return r;
}

static int look_at(struct dump *d, struct dtask *t, int tfd)
{
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	int r = fd_view_read(t, tfd, &v);

	if (r == 0)
		r = check_view(d, &v);
	return r < 0 ? dump_refuse(d, dtask_wrap(t, err_wrap(r, "fd %d", tfd))) : 0;
}

static bool leads_to(const struct dtask *t, int tfd, int fd)
{
	int r = kcmp_compare(getpid(), t->proc.pid, KCMP_FILE, (unsigned long)fd,
			     (unsigned long)tfd);

	if (r < 0)
		err_clear();
	return r == 0;
}

static void forget(struct dump *d, size_t refused, bool lasting)
{
	g_string_truncate(d->refused, refused);
	d->lasting = lasting;
	err_clear();
}

/*
 * Nothing stands still: what is wrong with a descriptor that was closed meanwhile does not count.
 * Another of the same name and inode can have its number by now (terminals, eventfds), so that only
 * one that we hold while we look once more is known to be the same afterwards.
 */
int files_check_one(struct dump *d, struct dtask *t, int tfd)
{
	size_t before = d->refused->len;
	bool lasting = d->lasting;
	autoclose int fd = -1;
	int r = look_at(d, t, tfd);

	if (r == 0 && d->refused->len == before)
		return 0;
	forget(d, before, lasting);
	if (proc_getfd(&t->proc, tfd, &fd) < 0) {
		err_clear();
		return 0;
	}
	r = look_at(d, t, tfd);
	if ((r < 0 || d->refused->len > before) && !leads_to(t, tfd, fd)) {
		forget(d, before, lasting);
		return 0;
	}
	return r;
}

int files_check(struct dump *d, struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r = proc_fds(t->proc.dir, &fds);

	for (size_t i = 0; r == 0 && i < fds.n; i++)
		r = files_check_one(d, t, fds.v[i]);
	for (unsigned i = 0; r == 0 && t->own_tables && i < dtask_nthreads(t); i++)
		if (dtask_has_table(t, i))
			r = files_check_thread(d, t, dtask_tid(t, i));
	return r;
}

/*
 * Whoever restores opens the files of the tree one after another (restore.c: comes_late()), but
 * sockets, pipes and deleted files together, these with a directory each: could we?
 */
static int check_room(struct dump *d, const struct fd_kind *k)
{
	struct files_dump *f = d->files;
	rlim_t need;

	f->together += !k->alone && !k->lone;
	need = f->together + 2 * g_hash_table_size(f->ghosts) + FILES_SPARE;
	if (need < 2 * FILES_SPARE)
		return 0;
	if (!f->limit) {
		struct rlimit l;

		fd_raise_limit();
		f->limit = getrlimit(RLIMIT_NOFILE, &l) < 0 ? RLIM_INFINITY : l.rlim_cur;
	}
	return need <= f->limit
		       ? 0
		       : err_set(EOPNOTSUPP,
				 "the tree has so many sockets, pipes and deleted files open that "
				 "a restore needs more than %lu descriptors; raise our hard limit "
				 "of open files (ulimit -Hn)",
				 f->limit);
}

void files_need(struct dump *d, unsigned n)
{
	d->files->together += n;
}

static int dump_description(struct dump *d, struct fd_view *v, uint32_t id, FdTypes *type)
{
	const struct fd_kind *k = fd_kind_of(d, v);
	FileEntry *e;
	int r;

	if (!k)
		return fd_refuse(v);
	r = check_room(d, k);
	if (r < 0)
		return r;
	e = g_new0(FileEntry, 1);
	file_entry__init(e);
	e->id = id;
	e->type = *type = k->type;
	r = k->dump(d, v, e);
	if (r == 0 && k->dump_late) {
		struct late l = {.kind = k, .view = *v, .entry = e};

		g_array_append_val(d->files->late, l);
		*v = (struct fd_view){0};
		return 0;
	}
	if (r == 0)
		r = image_write(&d->w, IMG_FILES, 0, &e->base);
	file_entry__free_unpacked(e, NULL);
	return r;
}

/* Equal for equal descriptions.  All of anonymous kind share one inode; eventfds have numbers. */
static uint64_t hint_of(const struct fd_view *v)
{
	const char *number = fdinfo_get(&v->info, "eventfd-id");

	return v->st.st_ino ^ (uint64_t)v->st.st_dev << 40 ^ v->info.pos << 20 ^
	       (number ? strtoull(number, NULL, 10) << 24 : 0);
}

int files_dump_one(struct dump *d, struct dtask *t, int tfd)
{
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	struct table_entry e;
	struct fd_seen seen;
	uint32_t known, id;
	bool first;
	int r;

	r = fd_view_read(t, tfd, &v);
	if (r < 0)
		return r;
	if (track_is(d, &v)) /* ours */
		return 0;
	seen = (struct fd_seen){.task = t->index, .tfd = tfd, .ino = v.st.st_ino};
	e = table_entry_of(&v); /* what comes may take the view away */
	r = kcmp_set_add(d->files->set, t->proc.pid, tfd, hint_of(&v), &known);
	if (r < 0)
		return r;
	first = r == 1;
	r = locks_dump(d, &v, first);
	if (r < 0)
		return r;
	if (first) {
		id = files_new_id(d);
		g_array_set_size(d->files->ids, known);
		g_array_index(d->files->ids, struct known, known - 1).id = id;
		r = dump_description(d, &v, id, &e.type);
		if (r < 0)
			return r;
		g_array_index(d->files->ids, struct known, known - 1).type = e.type;
	} else {
		id = g_array_index(d->files->ids, struct known, known - 1).id;
		e.type = g_array_index(d->files->ids, struct known, known - 1).type;
	}
	seen.id = e.id = id;
	g_array_append_val(d->files->seen, seen);
	table_add(t, &e);
	return 0;
}

int files_dump(struct dump *d, struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r;

	if (t->files != t->index) /* the table is somebody else's as well, who came first */
		return 0;
	r = proc_fds(t->proc.dir, &fds);
	if (r == 0)
		r = image_touch(&d->w, IMG_FDINFO, t->index + 1);
	for (size_t i = 0; r == 0 && i < fds.n; i++) {
		r = files_dump_one(d, t, fds.v[i]);
		if (r < 0)
			r = err_wrap(r, "fd %d", fds.v[i]);
	}
	return r;
}

static int find_self(struct dump *d)
{
	struct dtask *t;
	int r;

	if (d->files->self)
		return 0;
	t = g_new0(struct dtask, 1);
	t->dump = d;
	t->index = t->files = ~0u;
	t->parent = -1;
	t->proc = PROC_NONE;
	r = proc_open(getpid(), &t->proc);
	if (r < 0) {
		g_free(t);
		return r;
	}
	d->files->self = t;
	return 0;
}

/* 1: it was not known: FD is needed as long as the others are compared with it. */
static int dump_flight(struct dump *d, int fd, uint32_t *ret_id)
{
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	struct files_dump *f = d->files;
	json_t *all = json_object_get(d->extra, "flight");
	uint32_t known;
	FdTypes type;
	int r = find_self(d);

	if (r == 0)
		r = fd_view_read(f->self, fd, &v);
	if (r == 0)
		r = kcmp_set_add(f->set, getpid(), fd, hint_of(&v), &known);
	if (r < 0)
		return r;
	if (r == 0) {
		*ret_id = g_array_index(f->ids, struct known, known - 1).id;
		return 0;
	}
	*ret_id = files_new_id(d);
	g_array_set_size(f->ids, known);
	g_array_index(f->ids, struct known, known - 1).id = *ret_id;
	if (!all)
		json_object_set_new(d->extra, "flight", all = json_array());
	json_array_append_new(all, json_integer(*ret_id));
	if (S_ISSOCK(v.st.st_mode))
		socks_add(d, (uint32_t)v.st.st_ino);
	r = locks_dump_flight(d, &v, *ret_id);
	if (r == 0)
		r = dump_description(d, &v, *ret_id, &type);
	if (r == 0)
		g_array_index(f->ids, struct known, known - 1).type = type;
	return r < 0 ? err_wrap(r, "a descriptor on its way (SCM_RIGHTS)") : 1;
}

int files_dump_flight(struct dump *d, int fd, uint32_t *ret_id)
{
	int r = dump_flight(d, fd, ret_id);

	if (r == 1)
		g_array_append_val(d->files->held, fd);
	else
		close(fd);
	return r < 0 ? r : 0;
}

/* What is on its way may be found meanwhile, and makes the list longer: goes on where it ended. */
int files_dump_late(struct dump *d)
{
	int r = 0;

	while (r == 0 && d->files->late_done < d->files->late->len) {
		const struct late l =
			g_array_index(d->files->late, struct late, d->files->late_done++);

		r = l.kind->dump_late(d, &l.view, l.entry);
		if (r == 0)
			r = image_write(&d->w, IMG_FILES, 0, &l.entry->base);
		if (r < 0 && l.view.task == d->files->self)
			r = err_wrap(r, "a descriptor on its way (SCM_RIGHTS)");
		else if (r < 0)
			r = dtask_wrap(l.view.task, err_wrap(r, "fd %d", l.view.tfd));
	}
	return r;
}

const struct fd_seen *files_seen(const struct dump *d, unsigned task, int tfd)
{
	const struct fd_seen *v = (void *)d->files->seen->data;
	unsigned lo = 0, hi = d->files->seen->len;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (v[mid].task < task || (v[mid].task == task && v[mid].tfd < tfd))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->files->seen->len && v[lo].task == task && v[lo].tfd == tfd ? &v[lo] : NULL;
}

const struct fd_seen *files_all_seen(const struct dump *d, unsigned *ret_n)
{
	*ret_n = d->files->seen->len;
	return (void *)d->files->seen->data;
}
