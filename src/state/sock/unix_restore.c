/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making unix sockets again, all at once, in this order:
 *
 *	1. connected ones.  Two without names are a socketpair(2).  Where one has a name it was
 *	   accepted by a listener of that name: so again, by a listener that lives only for that.
 *	   An end whose peer is closed gets one that is closed in step 5.
 *	2. the others
 *	3. names: state/sock/unix_connect.c
 *	4. when all files are open: what is queued, which may be files, then options
 *	5. shutdown(2); the ends that only we have are closed
 *
 * 4. and 5. are state/sock/unix_queues.c.
 *
 * Calls that leave a trace in SO_PEERCRED are made by the task that made them.
 */
#include "state/sock/unix_restore.h"
#include "state/ns/ns.h"
#include "state/sock/socks.h"
#include "state/sock/unix_names.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 2000

static void usock_free(void *p)
{
	struct usock *u = p;

	if (u->file->fd != u->fd)
		cleanup_close(&u->fd);
	cleanup_close(&u->other);
	cleanup_close(&u->feed);
	g_free(u);
}

void socks_restore_end(struct restore *r)
{
	struct socks_restore *s = g_steal_pointer(&r->socks);

	if (!s)
		return;
	unix_waiting_end(s);
	g_hash_table_unref(s->clients);
	g_hash_table_unref(s->holders);
	g_hash_table_unref(s->listening);
	g_hash_table_unref(s->all);
	g_clear_pointer(&s->covers, g_hash_table_unref);
	g_clear_pointer(&s->queue, g_ptr_array_unref);
	g_clear_pointer(&s->late, g_ptr_array_unref);
	g_free(s);
}

struct usock *unix_find(struct restore *r, uint32_t ino)
{
	return ino ? g_hash_table_lookup(r->socks->all, GUINT_TO_POINTER(ino)) : NULL;
}

struct sock_maker usock_maker(struct restore *r, const struct usock *u)
{
	struct sock_maker m = sock_maker(r, json_object_get(u->x, "cred"));

	m.net = usock_net_of(u);
	return m;
}

/* File -> the first task that has it. */
static void collect_holders(struct restore *r)
{
	for (unsigned i = r->nimages; i-- > 0;) {
		struct rtask *t = restore_task(r, i);

		for (unsigned j = 0; t->fds && j < t->fds->len; j++) {
			const FdinfoEntry *e = g_ptr_array_index(t->fds, j);

			g_hash_table_insert(r->socks->holders, GUINT_TO_POINTER(e->id), t);
		}
	}
}

struct sock_maker usock_holder(struct restore *r, const struct usock *u)
{
	struct rtask *t = g_hash_table_lookup(r->socks->holders, GUINT_TO_POINTER(u->file->id));
	struct sock_maker m = sock_maker_in(r, usock_net_of(u));
	const CredsEntry *c;

	if (!t)
		return m;
	c = t->core->thread_core ? t->core->thread_core->creds : NULL;
	m.task = t;
	m.uid = c ? c->euid : 0;
	m.gid = c ? c->egid : 0;
	return m;
}

static void add_client(struct restore *r, struct usock *c)
{
	void *ino = GUINT_TO_POINTER(c->e->peer);
	GPtrArray *all = g_hash_table_lookup(r->socks->clients, ino);

	if (!all)
		g_hash_table_insert(r->socks->clients, ino, all = g_ptr_array_new());
	g_ptr_array_add(all, c);
}

static GBytes *name_bytes(const struct usock *u)
{
	return g_bytes_new(u->e->name.data, u->e->name.len);
}

/* Whoever restores gives another socket in its place, whose peer is outside. */
static void inherit(struct restore *r, struct usock *u)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "socket:[%u]", u->e->ino);
	fd = restore_inherited(r, name);
	if (fd < 0)
		return;
	u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	u->inherited = u->named = u->fd >= 0;
}

static int collect(struct restore *r)
{
	GHashTableIter it;
	struct file *f;
	struct usock *u;
	int ret;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		if (f->kind != &fd_unix)
			continue;
		u = g_new0(struct usock, 1);
		u->file = f;
		u->e = f->entry->usk;
		u->x = sock_extra(r, f->id);
		u->fd = u->other = u->feed = -1;
		inherit(r, u);
		if (unix_find(r, u->e->ino)) {
			g_free(u);
			return err_set(EBADMSG, "unix socket %u is there twice",
				       f->entry->usk->ino);
		}
		g_hash_table_insert(r->socks->all, GUINT_TO_POINTER(u->e->ino), u);
		ret = unix_cover_open(r, f->id);
		if (ret < 0)
			return err_wrap(ret, "unix socket %s", unix_name_show(u->e));
	}
	g_hash_table_iter_init(&it, r->socks->all);
	while (g_hash_table_iter_next(&it, NULL, (void **)&u)) {
		struct usock *p = unix_find(r, u->e->peer);

		if (u->e->peer && !p)
			return err_set(ENOENT,
				       "the peer of unix socket %u is not in the checkpoint",
				       u->e->ino);
		if (p && p != u && p->e->peer == u->e->ino)
			u->peer = p;
		else if (p && !usock_has_name(p) && (usock_is_stream(u) || p == u || p->fed_by))
			return err_set(EBADMSG, "the peer of unix socket %u has no name",
				       u->e->ino);
		else if (p && !usock_has_name(p))
			(u->half = p)->fed_by = u;
		if (p && !u->peer && !u->half)
			add_client(r, u);
		if (u->e->state == TCP_LISTEN)
			g_hash_table_add(r->socks->listening, name_bytes(u));
	}
	return 0;
}

/* 1. Connected ones. */

static bool has_listener(struct restore *r, const struct usock *u)
{
	g_autoptr(GBytes) name = name_bytes(u);

	return g_hash_table_contains(r->socks->listening, name);
}

static int mount_of(const struct usock *u)
{
	return u->e->has_mnt_id ? u->e->mnt_id : -1;
}

static const int *mounts_of(const struct restore *r, const struct usock *u)
{
	const struct unix_cover *c = unix_cover(r, u->file->id);

	return c ? &c->ns : NULL;
}

/*
 * Sockets that are in each other's queues are ended by a task of the kernel's, some time after
 * whoever had them (net/unix/garbage.c: unix_gc()): names of a tree that has just ended may be in
 * use yet.
 */
static int bind_soon(const struct sock_maker *m, const struct usock *u, int fd)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct sockaddr_un a;
	socklen_t len = unix_name_addr(u->e, &a);
	bool abstract = len > offsetof(struct sockaddr_un, sun_path) && !a.sun_path[0];
	int ret = sock_bind_by(m, unix_name_dir(u->e), fd, &a, len);

	for (int i = 0; ret == -EADDRINUSE && abstract && i < PATIENCE_MS; i++) {
		nanosleep(&ms, NULL);
		err_clear();
		ret = sock_bind_by(m, unix_name_dir(u->e), fd, &a, len);
	}
	return ret;
}

int usock_bind(struct restore *r, struct usock *u, int fd)
{
	struct sock_maker root = sock_maker_in(r, usock_net_of(u));
	int ret;

	root.mnt_id = mount_of(u);
	root.mounts = mounts_of(r, u);
	ret = bind_soon(&root, u, fd);
	return ret < 0 ? err_wrap(ret, "unix socket %s", unix_name_show(u->e)) : 0;
}

int unix_connect_by(struct restore *r, const struct sock_maker *m, int fd, const struct usock *to)
{
	struct sock_maker there = *m;
	struct sockaddr_un a;
	socklen_t len = unix_name_addr(to->e, &a);
	int ret;

	there.net = usock_net_of(to);
	there.mnt_id = mount_of(to);
	there.mounts = mounts_of(r, to);
	/* never waits for anybody */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno("O_NONBLOCK");
	ret = sock_connect_by(&there, unix_name_dir(to->e), fd, &a, len);
	return ret < 0 ? err_wrap(ret, "unix socket %s", unix_name_show(to->e)) : 0;
}

/* CLIENT may be NULL: then our end is acc->other. */
static int accept_again(struct restore *r, struct usock *acc, struct usock *client)
{
	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
	struct sock_maker listener = client ? usock_maker(r, client) : sock_maker(r, NULL);
	struct sock_maker connector = usock_maker(r, acc);
	autoclose int l = -1, c = -1;
	int ret = unix_name_aside(r, acc->e, &n);

	listener.net = usock_net_of(acc);
	connector.net = usock_net_of(client ? client : acc);

	if (ret == 0)
		ret = sock_make(&listener, AF_UNIX, (int)acc->e->type, 0, &l);
	if (ret == 0)
		ret = usock_bind(r, acc, l);
	if (ret == 0)
		ret = sock_listen_by(&listener, l, 1);
	if (ret == 0)
		ret = sock_make(&connector, AF_UNIX, (int)acc->e->type, 0, &c);
	if (ret == 0 && client && usock_has_name(client)) {
		ret = unix_name_free(r, client->e);
		if (ret == 0)
			ret = usock_bind(r, client, c);
		if (ret == 0)
			ret = unix_name_own(r, client->e);
		client->named = true;
	}
	if (ret == 0)
		ret = unix_connect_by(r, &connector, c, acc);
	if (ret < 0)
		return ret;
	acc->fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (acc->fd < 0)
		return err_errno("accept at %s", unix_name_show(acc->e));
	acc->named = true;
	*(client ? &client->fd : &acc->other) = take_fd(&c);
	return 0;
}

/* What CRIU's service says to whoever has asked for its own dump, and was restored since. */
static int answer_again(const struct usock *u)
{
	/* criu_resp {type: DUMP, success: true, dump: {restored: true}} */
	static const uint8_t answer[] = {0x08, 1, 0x10, 1, 0x1a, 2, 0x08, 1};

	if (!(u->e->uflags & UNIX_SERVICE) || u->other < 0)
		return 0;
	return send(u->other, answer, sizeof(answer), MSG_NOSIGNAL) < 0
		       ? err_errno("unix socket %u: answer", u->e->ino)
		       : 0;
}

/* Both ends of a pair, one of which has been told to forget the other (connect(2), AF_UNSPEC). */
static int make_half(struct restore *r, struct usock *u)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sock_maker m = usock_maker(r, u);
	int fds[2], ret;

	if (u->fd >= 0 || u->half->fd >= 0)
		return err_set(EBADMSG, "unix socket %u is in two pairs", u->e->ino);
	ret = sock_make_pair(&m, SOCK_DGRAM, fds);
	if (ret < 0)
		return ret;
	u->fd = fds[0];
	u->half->fd = fds[1];
	return connect(u->half->fd, &nowhere, sizeof(nowhere)) < 0
		       ? err_errno("unix socket %u: disconnect", u->half->e->ino)
		       : 0;
}

static int make_connected(struct restore *r, struct usock *u)
{
	struct usock *p = u->peer;
	/* both ends of a datagram connection are in this state, even where it goes one way */
	bool dead = !p && !u->e->peer && u->e->state == TCP_ESTABLISHED &&
		    (usock_is_stream(u) || json_object_get(u->x, "connected"));
	struct sock_maker m = usock_maker(r, u);
	int fds[2], ret;

	if (u->half)
		return make_half(r, u);
	if (u->fd >= 0 || (!p && !dead))
		return 0;
	if (usock_is_stream(u) && p && (usock_has_name(u) || usock_has_name(p))) {
		bool mine = usock_has_name(u) && (!usock_has_name(p) || has_listener(r, u));

		return mine ? accept_again(r, u, p) : accept_again(r, p, u);
	}
	if (usock_is_stream(u) && usock_has_name(u))
		return accept_again(r, u, NULL);
	ret = sock_make_pair(&m, (int)u->e->type, fds);
	if (ret < 0)
		return ret;
	u->fd = fds[0];
	*(p ? &p->fd : &u->other) = fds[1];
	return answer_again(u);
}

/* 2. */
static int make_other(struct restore *r, struct usock *u)
{
	struct sock_maker m = u->e->state == TCP_LISTEN ? usock_maker(r, u) : usock_holder(r, u);

	return u->fd >= 0 || usock_is_external(u)
		       ? 0
		       : sock_make(&m, AF_UNIX, (int)u->e->type, 0, &u->fd);
}

static int for_all(struct restore *r, int (*fn)(struct restore *, struct usock *))
{
	GHashTableIter it;
	struct usock *u;
	int ret = 0;

	g_hash_table_iter_init(&it, r->socks->all);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&u))
		ret = fn(r, u);
	return ret;
}

static int give(struct restore *r, struct usock *u)
{
	u->file->fd = u->fd;
	return 0;
}

static int make_all(struct restore *r)
{
	struct socks_restore *s = r->socks;
	int ret;

	collect_holders(r);
	ret = collect(r);
	if (ret == 0)
		ret = sock_queues_load(r, &s->queue);
	for (unsigned i = 0; ret == 0 && i < s->queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(s->queue, i);
		struct usock *u = unix_receiver(r, k->id);

		if (u)
			u->packets = true;
	}
	if (ret == 0)
		ret = for_all(r, make_connected);
	if (ret == 0)
		ret = for_all(r, make_other);
	if (ret == 0)
		ret = unix_name_all(r, true);
	if (ret == 0)
		ret = unix_name_all(r, false);
	return ret < 0 ? ret : for_all(r, give);
}

int unix_make_all(struct restore *r)
{
	struct socks_restore *s;

	if (r->socks)
		return 0;
	r->socks = s = g_new0(struct socks_restore, 1);
	s->all = g_hash_table_new_full(NULL, NULL, NULL, usock_free);
	s->clients = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
	s->holders = g_hash_table_new(NULL, NULL);
	s->listening = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					     (GDestroyNotify)g_bytes_unref, NULL);
	return make_all(r);
}

int unix_finish_all(struct restore *r)
{
	struct socks_restore *s = r->socks;
	int ret;

	if (s->finished)
		return 0;
	s->finished = true;
	ret = for_all(r, unix_pass_credentials);
	if (ret == 0)
		ret = unix_fill(r);
	if (ret == 0)
		ret = unix_connect_late(r);
	if (ret == 0)
		ret = for_all(r, unix_options);
	unix_waiting_end(s);
	return ret < 0 ? ret : for_all(r, unix_shut);
}
