/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7).  A member is a pair of file and number: the number that it had when it was added, also
 * if that is closed or another file's by now (fs/eventpoll.c: ep_show_fdinfo(), kcmp(2),
 * KCMP_EPOLL_TFD).  CRIU's record knows only numbers; what a number does not lead to any more is
 * in IMAGE_EXTRA: {"epolls": {"FILE": {"PLACE": FILE, ...}}}.  So is how it polls network devices:
 * {"epoll_polls": {"FILE": [µs, packets, 1: alone]}}.
 *
 * Members are added by the task that has the epoll, as a signalfd wakes only who was there when it
 * was added; those whose number leads elsewhere, by a child of ours that has the numbers to itself.
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "base/log.h"
#include "image/eventpoll.pb-c.h"
#include "kernel/kcmp.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#define MEMBERS_MAX (1u << 20)
#define NUMBER_MAX  (1u << 20)
/* What remains of the events of a member that has fired once: EP_PRIVATE_BITS. */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

/* ioctl_eventpoll(2), Linux 6.9 */
struct polling {
	uint32_t usecs;
	uint16_t packets;
	uint8_t alone, none;
};
#define SET_POLLING _IOW(0x8a, 0x01, struct polling)
#define GET_POLLING _IOR(0x8a, 0x02, struct polling)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[eventpoll]") == 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	return fown_check(v);
}

static int read_member(const char *line, EventpollTfdEntry *e)
{
	uint64_t events, dev;
	int r = fdinfo_field(line, "events", 16, &events);

	if (r == 0)
		r = fdinfo_field(line, "data", 16, &e->data);
	if (r == 0)
		r = fdinfo_field(line, "pos", 10, &e->pos);
	if (r == 0)
		r = fdinfo_field(line, "ino", 16, &e->inode);
	if (r == 0)
		r = fdinfo_field(line, "sdev", 16, &dev);
	if (r < 0)
		return r;
	e->tfd = (uint32_t)g_ascii_strtoull(line, NULL, 10);
	e->events = (uint32_t)events;
	e->dev = (uint32_t)dev;
	e->has_dev = e->has_inode = e->has_pos = true;
	return 0;
}

static int polling_dump(struct dump *d, const struct fd_view *v, uint32_t id)
{
	autoclose int fd = -1;
	struct polling p = {0};
	int r = fd_view_get(v, &fd);

	if (r == 0 && ioctl(fd, GET_POLLING, &p) == 0 && (p.usecs || p.packets || p.alone))
		extra_set(d->extra, "epoll_polls", id,
			  json_pack("[i,i,i]", (int)p.usecs, (int)p.packets, (int)p.alone));
	return r;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	EventpollFileEntry *e = f->epfd = g_new0(EventpollFileEntry, 1);
	const char *line;
	size_t at = 0;
	int r;

	eventpoll_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->tfd = g_new0(EventpollTfdEntry *, v->info.n);
	while ((line = fdinfo_next(&v->info, "tfd", &at))) {
		EventpollTfdEntry *m = e->tfd[e->n_tfd++] = g_new0(EventpollTfdEntry, 1);

		eventpoll_tfd_entry__init(m);
		m->id = f->id;
		r = read_member(line, m);
		if (r < 0)
			return r;
	}
	r = polling_dump(d, v, f->id);
	return r < 0 ? r : fown_dump(v, &e->fown);
}

/* 0: descriptor S is the file of the member; TH counts members of the same number. */
static int compare(struct dump *d, const struct fd_view *v, const EventpollTfdEntry *m, unsigned th,
		   const struct fd_seen *s)
{
	struct kcmp_epoll_slot slot = {.efd = (uint32_t)v->tfd, .tfd = m->tfd, .toff = th};

	return kcmp_compare(files_task(d, s->task)->proc.pid, v->task->proc.pid, KCMP_EPOLL_TFD,
			    (unsigned long)s->tfd, (unsigned long)(uintptr_t)&slot);
}

/* 1: found; *RET_PLAIN: the number leads to it, in the task of V.  0: nobody has the file. */
static int find_file(struct dump *d, const struct fd_view *v, const EventpollTfdEntry *m,
		     unsigned th, uint32_t *ret_id, bool *ret_plain)
{
	const struct fd_seen *s = files_seen(d, v->task->index, (int)m->tfd), *all;
	unsigned n;
	int r;

	*ret_plain = false;
	if (s) {
		r = compare(d, v, m, th, s);
		/* a thread's own numbers are not its process's */
		*ret_plain = r == 0 && v->task->index < d->tasks->len;
		*ret_id = s->id;
		if (r <= 0)
			return r < 0 ? r : 1;
	}
	all = files_all_seen(d, &n);
	for (unsigned i = 0; i < n; i++) {
		if (all[i].ino != m->inode)
			continue;
		r = compare(d, v, m, th, &all[i]);
		*ret_id = all[i].id;
		if (r <= 0)
			return r < 0 ? r : 1;
	}
	return 0;
}

static void keep_file(json_t *places, size_t place, uint32_t id)
{
	char key[24];

	snprintf(key, sizeof(key), "%zu", place);
	json_object_set_new(places, key, json_integer(id));
}

static int dump_late(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	const EventpollFileEntry *e = f->epfd;
	g_autoptr(GHashTable) count = g_hash_table_new(NULL, NULL); /* number -> members so far */
	json_t *places = json_object(), *all = json_object_get(d->extra, "epolls");
	char id[16];
	int r = 1;

	for (size_t i = 0; r == 1 && i < e->n_tfd; i++) {
		const EventpollTfdEntry *m = e->tfd[i];
		void *number = GUINT_TO_POINTER(m->tfd);
		unsigned th = GPOINTER_TO_UINT(g_hash_table_lookup(count, number));
		uint32_t file = 0;
		bool plain;

		g_hash_table_insert(count, number, GUINT_TO_POINTER(th + 1));
		r = find_file(d, v, m, th, &file, &plain);
		if (r == 0)
			r = err_set(EOPNOTSUPP,
				    "epoll watches a file that was number %u, but nobody in the "
				    "tree has it open any more; close its other holders",
				    m->tfd);
		if (r == 1 && !plain)
			keep_file(places, i, file);
	}
	if (r == 1 && json_object_size(places)) {
		if (!all)
			json_object_set_new(d->extra, "epolls", all = json_object());
		snprintf(id, sizeof(id), "%u", f->id);
		json_object_set(all, id, places);
	}
	json_decref(places);
	return r < 0 ? r : 0;
}

static int load(struct restore *r, struct file *f)
{
	const EventpollFileEntry *e = f->entry->epfd;

	if (!e)
		return 1;
	if (e->n_tfd > MEMBERS_MAX)
		return err_set(EBADMSG, "epoll %u has %zu members", f->id, e->n_tfd);
	for (size_t i = 0; i < e->n_tfd; i++)
		if (e->tfd[i]->tfd > NUMBER_MAX)
			return err_set(EBADMSG, "epoll %u watches number %u", f->id,
				       e->tfd[i]->tfd);
	return 0;
}

/* More than NAPI_POLL_WEIGHT packets are for CAP_NET_ADMIN. */
static void polling_restore(struct restore *r, const struct file *f)
{
	const json_t *v = extra_get(r->extra, "epoll_polls", f->id);
	struct polling p = {.usecs = (uint32_t)json_integer_value(json_array_get(v, 0)),
			    .packets = (uint16_t)json_integer_value(json_array_get(v, 1)),
			    .alone = json_integer_value(json_array_get(v, 2)) != 0};

	if (v && ioctl(f->fd, SET_POLLING, &p) < 0)
		log_warn("epoll %u does not poll network devices any more: %s", f->id,
			 g_strerror(errno));
}

static int open_(struct restore *r, struct file *f)
{
	const EventpollFileEntry *e = f->entry->epfd;

	f->fd = epoll_create1(EPOLL_CLOEXEC);
	if (f->fd < 0)
		return err_errno("epoll_create1");
	if (fcntl(f->fd, F_SETFL, (int)(e->flags & O_NONBLOCK)) < 0)
		return err_errno("epoll flags");
	polling_restore(r, f);
	return fown_restore(r, f, e->fown, e->flags);
}

/* The file of a member that its number does not lead to; 0: the number does. */
static uint32_t kept_file(const struct restore *r, const struct file *f, size_t place)
{
	char key[24];
	json_t *places;

	snprintf(key, sizeof(key), "%u", f->id);
	places = json_object_get(json_object_get(r->extra, "epolls"), key);
	if (!places)
		return 0;
	snprintf(key, sizeof(key), "%zu", place);
	return (uint32_t)json_integer_value(json_object_get(places, key));
}

static bool is_spent(uint32_t events)
{
	return events & EPOLLONESHOT && !(events & ~(unsigned)PRIVATE_BITS);
}

/* Something that is ready for sure, if the file is ready for anything. */
static uint32_t first_events(uint32_t events)
{
	return is_spent(events) ? events | EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP : events;
}

/* In a child of ours: puts FD at NUMBER for a moment. */
static int add_at(int ep, int fd, int number, const EventpollTfdEntry *m)
{
	struct epoll_event ev = {.events = first_events(m->events), .data.u64 = m->data}, out;
	int saved = fcntl(number, F_DUPFD_CLOEXEC, 0), ret;

	if (fd != number && dup3(fd, number, O_CLOEXEC) < 0)
		return err_errno("number %d", number);
	ret = epoll_ctl(ep == number ? saved : ep, EPOLL_CTL_ADD, number, &ev);
	if (ret < 0)
		return err_errno("epoll_ctl of number %d", number);
	ep = ep == number ? saved : ep;
	ev.events = m->events;
	if (is_spent(m->events) && epoll_wait(ep, &out, 1, 0) == 0 &&
	    epoll_ctl(ep, EPOLL_CTL_MOD, number, &ev) < 0)
		return err_errno("epoll_ctl of number %d", number);
	if (fd == number) {
		close(saved);
		return 0;
	}
	if (saved >= 0) {
		if (dup3(saved, number, O_CLOEXEC) < 0)
			return err_errno("number %d", number);
		close(saved);
	} else {
		close(number);
	}
	return 0;
}

struct elsewhere {
	struct restore *r;
	struct file *f;
};

static int add_elsewhere(void *arg, int *ret_fd)
{
	struct elsewhere *a = arg;
	const EventpollFileEntry *e = a->f->entry->epfd;
	struct rlimit l = {.rlim_cur = NUMBER_MAX, .rlim_max = NUMBER_MAX};

	setrlimit(RLIMIT_NOFILE, &l); /* if we may; dup3() will tell */
	for (size_t i = 0; i < 2 * e->n_tfd; i++) {
		const EventpollTfdEntry *m = e->tfd[i % e->n_tfd];
		uint32_t id = kept_file(a->r, a->f, i % e->n_tfd);
		struct file *other;
		int ret;

		if (!id || is_spent(m->events) != (i < e->n_tfd))
			continue;
		ret = restore_file(a->r, id, &other);
		if (ret == 0)
			ret = add_at(a->f->fd, other->fd, (int)m->tfd, m);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static bool has_elsewhere(const struct restore *r, const struct file *f)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", f->id);
	return json_object_get(json_object_get(r->extra, "epolls"), id) != NULL;
}

/*
 * Spent members, before all others: that they fire is how they are made so.  One that is not ready
 * for anything now stays armed for errors and hang-ups, which the kernel always adds.
 */
static int add_spent(struct batch *b, int ep, const EventpollTfdEntry *m)
{
	struct epoll_event ev = {.events = first_events(m->events), .data.u64 = m->data}, out;
	int op, ret;

	batch_add(b, SYS_epoll_ctl, IMM(ep), IMM(EPOLL_CTL_ADD), IMM(m->tfd),
		  batch_in(b, &ev, sizeof(ev)));
	op = batch_add(b, SYS_epoll_wait, IMM(ep), batch_out(b, &out, sizeof(out)), IMM(1), IMM(0));
	ret = batch_run(b);
	if (ret < 0 || batch_result(b, op) == 1)
		return ret;
	ev.events = m->events;
	batch_add(b, SYS_epoll_ctl, IMM(ep), IMM(EPOLL_CTL_MOD), IMM(m->tfd),
		  batch_in(b, &ev, sizeof(ev)));
	return batch_run(b);
}

static int settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	const EventpollFileEntry *e = f->entry->epfd;
	CLEANUP(batch_end) struct batch b = {0};
	struct elsewhere elsewhere = {r, f};
	int ret = 0;

	if (f->settled)
		return 0;
	f->settled = true;
	rtask_batch(t, &b);
	for (size_t i = 0; ret == 0 && i < e->n_tfd; i++)
		if (is_spent(e->tfd[i]->events) && !kept_file(r, f, i))
			ret = add_spent(&b, tfd, e->tfd[i]);
	if (ret == 0 && has_elsewhere(r, f))
		ret = ns_run(NULL, 0, add_elsewhere, &elsewhere, NULL);
	for (size_t i = 0; ret == 0 && i < e->n_tfd; i++) {
		const EventpollTfdEntry *m = e->tfd[i];
		struct epoll_event ev = {.events = m->events, .data.u64 = m->data};

		if (is_spent(m->events) || kept_file(r, f, i))
			continue;
		batch_add(&b, SYS_epoll_ctl, IMM(tfd), IMM(EPOLL_CTL_ADD), IMM(m->tfd),
			  batch_in(&b, &ev, sizeof(ev)));
	}
	if (ret == 0)
		ret = batch_run(&b);
	return ret < 0 ? err_wrap(ret, "epoll") : 0;
}

/* Members that came late have taken the places of others, with which those members went. */
static int last(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	const EventpollFileEntry *e = f->entry->epfd;
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	for (unsigned i = 0; i < t->fds->len; i++) {
		const FdinfoEntry *d = g_ptr_array_index(t->fds, i);
		const struct file *other = g_hash_table_lookup(r->files, GUINT_TO_POINTER(d->id));

		for (size_t k = 0; other->kind == &fd_uring && k < e->n_tfd; k++) {
			const EventpollTfdEntry *m = e->tfd[k];
			struct epoll_event ev = {.events = m->events, .data.u64 = m->data};

			if (m->tfd == d->fd && !kept_file(r, f, k))
				/* it may be there: by another process that has both */
				batch_may_fail(&b, batch_add(&b, SYS_epoll_ctl, IMM(tfd),
							     IMM(EPOLL_CTL_ADD), IMM(m->tfd),
							     batch_in(&b, &ev, sizeof(ev))));
		}
	}
	return batch_run(&b);
}

/* One on its way (SCM_RIGHTS) is in no task: all its members are elsewhere. */
static int finish(struct restore *r, struct file *f)
{
	struct elsewhere elsewhere = {r, f};

	if (!has_elsewhere(r, f) || !files_in_flight(r, f->id))
		return 0;
	return err_wrap(ns_run(NULL, 0, add_elsewhere, &elsewhere, NULL), "epoll");
}

const struct fd_kind fd_epoll = {
	.name = "epoll",
	.type = FD_TYPES__EVENTPOLL,
	.match = match,
	.check = check,
	.dump = dump,
	.dump_late = dump_late,
	.load = load,
	.open = open_,
	.finish = finish,
	.settle = settle,
	.last = last,
};
