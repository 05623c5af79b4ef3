/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/track.h"

#include "base/log.h"
#include "kernel/uffd.h"
#include "state/mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define LINK	   "anon_inode:[userfaultfd]"
#define ROUNDS	   62	  /* F_SETSIG takes 1 to 64 (kernel/signal.c: valid_signal()) */
#define FEATURES   0xa000 /* WP_ASYNC, and WP_UNPOPULATED that it brings along */
#define FDS_OF_OLD 64	  /* no table of descriptors is smaller (NR_OPEN_DEFAULT) */

static void before_free(void *p)
{
	struct before *b = p;

	page_set_clear(&b->pages);
	g_free(b);
}

static void numbers_free(void *p)
{
	g_array_unref(p);
}

void track_free(struct track *k)
{
	if (!k)
		return;
	cleanup_close(&k->fd);
	g_free(k);
}

void track_clear(struct dump *d)
{
	g_clear_pointer(&d->before, g_hash_table_unref);
	g_clear_pointer(&d->trackers, g_hash_table_unref);
}

/* The features as the process asked for them (fs/userfaultfd.c: userfaultfd_show_fdinfo()). */
static bool has_features(const struct fdinfo *info)
{
	const char *api = fdinfo_get(info, "API"), *colon = api ? strchr(api, ':') : NULL;

	return colon && (strtoull(colon + 1, NULL, 16) & 0xffff) == FEATURES;
}

bool track_is(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	gpointer pid = GINT_TO_POINTER(v->task->proc.pid);
	GArray *all;

	if (strcmp(v->link, LINK) != 0 || !has_features(&v->info))
		return false;
	if (fd_view_get(v, &fd) < 0) {
		err_clear();
		return false;
	}
	if (fcntl(fd, F_GETSIG) < 1 || fcntl(fd, F_GETSIG) > ROUNDS)
		return false;
	if (!d->trackers)
		d->trackers = g_hash_table_new_full(NULL, NULL, NULL, numbers_free);
	all = g_hash_table_lookup(d->trackers, pid);
	if (!all) {
		all = g_array_new(FALSE, FALSE, sizeof(int));
		g_hash_table_insert(d->trackers, pid, all);
	}
	for (unsigned i = 0; i < all->len; i++)
		if (g_array_index(all, int, i) == v->tfd)
			return true;
	g_array_append_val(all, v->tfd);
	return true;
}

/* Looks at all descriptors of a process. */
static int look_for_trackers(struct dump *d, const struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};
	int r = proc_fds(t->proc.dir, &fds);

	for (size_t i = 0; r == 0 && i < fds.n; i++) {
		CLEANUP(fd_view_clear) struct fd_view v = {0};
		g_autofree char *link = NULL;
		char name[32];

		snprintf(name, sizeof(name), "fd/%d", fds.v[i]);
		if (proc_link(t->proc.dir, name, &link) < 0 || strcmp(link, LINK) != 0)
			continue;
		if (fd_view_read(t, fds.v[i], &v) == 0)
			track_is(d, &v);
	}
	err_clear();
	return r == -ESRCH || r == -ENOENT ? 0 : r;
}

bool track_has(struct dump *d, const struct dtask *t)
{
	gpointer pid = GINT_TO_POINTER(t->proc.pid);

	if (d->trackers && g_hash_table_contains(d->trackers, pid))
		return true;
	if (look_for_trackers(d, t) < 0)
		err_clear();
	return d->trackers && g_hash_table_contains(d->trackers, pid);
}

static int look_before(struct dump *d, const struct dtask *t)
{
	char pid[16];
	const json_t *k;
	struct before *b;
	int r;

	snprintf(pid, sizeof(pid), "%d", t->nspid);
	k = json_object_get(json_object_get(json_object_get(d->parent_extra, "tasks"), pid),
			    "track");
	if (!k || g_hash_table_contains(d->before, GINT_TO_POINTER(t->nspid)))
		return 0;
	b = g_new0(struct before, 1);
	g_hash_table_insert(d->before, GINT_TO_POINTER(t->nspid), b);
	b->tfd = (int)json_integer_value(json_object_get(k, "fd"));
	b->ino = (uint64_t)json_integer_value(json_object_get(k, "ino"));
	b->round = (unsigned)json_integer_value(json_object_get(k, "round"));
	if (d->o.pages_elsewhere || d->o.pages_out)
		return 0;
	b->checked = true;
	r = pages_open(d->o.parent_dir, IMG_PAGEMAP, (uint64_t)t->nspid, &b->pages);
	for (unsigned i = 0; i < b->pages.nfds; i++) /* only where, not what */
		close(b->pages.fds[i]);
	b->pages.nfds = 0;
	return r < 0 ? err_wrap(r, "images before this dump (%s)", d->o.parent) : 0;
}

int track_look(struct dump *d)
{
	int r = 0;

	if (d->o.parent && !d->before)
		d->before = g_hash_table_new_full(NULL, NULL, NULL, before_free);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (t->zombie || t->vm != i)
			continue;
		if (d->o.parent)
			r = look_before(d, t);
		/* those that this dump is to take away, or to begin anew */
		if (r == 0 && d->o.track_mem)
			r = look_for_trackers(d, t);
	}
	return r;
}

const struct before *track_before(const struct dump *d, const struct dtask *t)
{
	return d->before ? g_hash_table_lookup(d->before, GINT_TO_POINTER(t->nspid)) : NULL;
}

int track_find(struct dump *d, struct dtask *t)
{
	const struct before *b = track_before(d, t);
	CLEANUP(fd_view_clear) struct fd_view v = {0};
	autoclose int fd = -1;
	struct stat st;

	if (!b || fd_view_read(t, b->tfd, &v) < 0 || !track_is(d, &v) || fd_view_get(&v, &fd) < 0) {
		err_clear();
		return 0;
	}
	if (fcntl(fd, F_GETOWN) != t->pid || fstat(fd, &st) < 0 || st.st_ino != b->ino ||
	    fcntl(fd, F_GETSIG) != (int)b->round)
		return 0;
	t->track = g_new0(struct track, 1);
	*t->track = (struct track){
		.fd = take_fd(&fd),
		.tfd = b->tfd,
		.ino = b->ino,
		.round = b->round,
		.follows = true,
	};
	return 0;
}

/*
 * A child that has left the tree may have inherited the tracker, and would keep it alive: what it
 * watches is said explicitly.
 */
static void unwatch(const struct dtask *t, const struct fd_view *v)
{
	autoclose int fd = -1;

	if (fd_view_get(v, &fd) < 0 || fcntl(fd, F_GETOWN) != t->pid) {
		err_clear();
		return;
	}
	for (size_t i = 0; i < t->maps.n; i++)
		if (mem_has_pages(&t->maps.v[i]))
			uffd_unwatch(fd, t->maps.v[i].start, t->maps.v[i].end);
}

/* Trackers that cannot be used: inherited ones, and those that other images go on from. */
static void close_old(struct dump *d, const struct dtask *t, struct batch *b)
{
	const GArray *old =
		d->trackers ? g_hash_table_lookup(d->trackers, GINT_TO_POINTER(t->proc.pid)) : NULL;

	for (unsigned i = 0; old && i < old->len; i++) {
		int tfd = g_array_index(old, int, i);
		CLEANUP(fd_view_clear) struct fd_view v = {0};

		/* not one that a process with the same table has just made */
		if ((!t->track || tfd != t->track->tfd) && t->files == t->index &&
		    fd_view_read(t, tfd, &v) == 0 && track_is(d, &v)) {
			unwatch(t, &v);
			batch_may_fail(b, batch_add(b, SYS_close, IMM(tfd)));
		}
		err_clear();
	}
}

/*
 * Below the end of the table, so that it neither grows nor does the program's next descriptor get
 * another number than it would have got; but not beyond the limit.
 */
static int64_t high_number(struct dtask *t, struct batch *b, int64_t low)
{
	struct rlimit l = {0};
	int op, limit = FDS_OF_OLD;

	batch_may_fail(b, batch_add(b, SYS_prlimit64, IMM(0), IMM(RLIMIT_NOFILE), IMM(0),
				    batch_out(b, &l, sizeof(l))));
	if (batch_run(b) < 0)
		return low;
	limit = (int)MIN(MAX(t->status.fd_size, FDS_OF_OLD), l.rlim_cur);
	op = batch_add(b, SYS_fcntl, IMM(low), IMM(F_DUPFD_CLOEXEC), IMM(limit - 1));
	batch_may_fail(b, op);
	if (batch_run(b) < 0 || batch_result(b, op) < 0)
		return low;
	batch_add(b, SYS_close, IMM(low));
	low = batch_result(b, op);
	return batch_run(b) < 0 ? -1 : low;
}

static int make(struct dump *d, struct dtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	autoclose int fd = -1;
	struct stat st;
	int64_t tfd;
	int op, r;

	dtask_batch(t, &b);
	close_old(d, t, &b);
	op = batch_add(&b, SYS_userfaultfd, IMM(UFFD_FLAGS));
	r = batch_run(&b);
	if (r < 0)
		return r;
	tfd = high_number(t, &b, batch_result(&b, op));
	r = tfd < 0 ? (int)tfd : proc_getfd(&t->proc, (int)tfd, &fd);
	if (r == 0)
		r = uffd_begin(fd);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETOWN, t->pid) < 0 || fstat(fd, &st) < 0)
		return err_errno("mark the tracker");
	t->track = g_new0(struct track, 1);
	*t->track = (struct track){.fd = take_fd(&fd), .tfd = (int)tfd, .ino = st.st_ino};
	return 0;
}

int track_begin(struct dump *d, struct dtask *t)
{
	struct track *k;
	int r;

	if (!d->o.track_mem)
		return 0;
	r = t->track ? 0 : make(d, t);
	if (r == -EMFILE || r == -ENFILE) {
		log_warn("task %d (%s): its memory is not followed: %s", t->nspid, t->stat.comm,
			 err_message());
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	k = t->track;
	k->round = k->round % ROUNDS + 1;
	if (fcntl(k->fd, F_SETSIG, k->round) < 0)
		return err_errno("mark the tracker");
	json_object_set_new(t->extra, "track",
			    json_pack("{s:i,s:I,s:i}", "fd", k->tfd, "ino", (json_int_t)k->ino,
				      "round", (int)k->round));
	return 0;
}

int track_end(struct dump *d, struct dtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (d->o.track_mem || !d->trackers)
		return 0;
	dtask_batch(t, &b);
	track_free(g_steal_pointer(&t->track));
	close_old(d, t, &b);
	return batch_run(&b);
}
