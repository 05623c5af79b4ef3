/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making unix sockets again, all at once, in this order:
 *
 *	1. connected ones.  Two without names are a socketpair(2).  Where one has a name it was
 *	   accepted by a listener of that name: so again, by a listener that lives only for that.
 *	   An end whose peer is closed gets one that is closed in step 5.
 *	2. the others
 *	3. names: first those that are deleted again, then those that stay.  While a name is there
 *	   its clients connect: datagram sockets, and streams that wait to be accepted.
 *	4. what is queued, then options
 *	5. shutdown(2); the ends that only we have are closed
 *
 * Calls that leave a trace in SO_PEERCRED are made by the task that made them.
 */
#include "state/ns/ns.h"
#include "state/sock/sock.h"
#include "state/sock/socks.h"
#include "state/sock/unix_names.h"

#include "image/sk-unix.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#define QUEUE_ROOM (512 << 20) /* beyond whatever is queued, with its overhead */

struct usock {
	struct file *file;
	const UnixSkEntry *e;
	json_t *x;
	struct usock *peer; /* connected both ways */
	int fd;
	int other; /* our end of a connection that is closed on the other side */
	int feed;  /* a datagram socket to fill the queue with */
	bool named, packets;
};

struct socks_restore {
	GHashTable *all; /* inode -> struct usock */
};

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
	g_hash_table_unref(s->all);
	g_free(s);
}

static struct usock *find(struct restore *r, uint32_t ino)
{
	return ino ? g_hash_table_lookup(r->socks->all, GUINT_TO_POINTER(ino)) : NULL;
}

static bool has_name(const struct usock *u)
{
	return u->e->name.len > 0;
}

static bool is_stream(const struct usock *u)
{
	return u->e->type != SOCK_DGRAM;
}

static struct sock_maker maker_of(struct restore *r, const struct usock *u)
{
	return sock_maker(r, json_object_get(u->x, "cred"));
}

/* The first task that has it. */
static struct sock_maker holder_of(struct restore *r, const struct usock *u)
{
	struct sock_maker m = sock_maker(r, NULL);

	for (unsigned i = 0; i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);
		const CredsEntry *c;

		for (unsigned j = 0; t->fds && j < t->fds->len; j++) {
			const FdinfoEntry *e = g_ptr_array_index(t->fds, j);

			if (e->id != u->file->id)
				continue;
			c = t->core->thread_core ? t->core->thread_core->creds : NULL;
			m.task = t;
			m.uid = c ? c->euid : 0;
			m.gid = c ? c->egid : 0;
			return m;
		}
	}
	return m;
}

static int collect(struct restore *r)
{
	GHashTableIter it;
	struct file *f;
	struct usock *u;

	g_hash_table_iter_init(&it, r->files);
	while (g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		if (f->kind != &fd_unix)
			continue;
		u = g_new0(struct usock, 1);
		u->file = f;
		u->e = f->entry->usk;
		u->x = sock_extra(r, f->id);
		u->fd = u->other = u->feed = -1;
		if (find(r, u->e->ino)) {
			g_free(u);
			return err_set(EBADMSG, "unix socket %u is there twice",
				       f->entry->usk->ino);
		}
		g_hash_table_insert(r->socks->all, GUINT_TO_POINTER(u->e->ino), u);
	}
	g_hash_table_iter_init(&it, r->socks->all);
	while (g_hash_table_iter_next(&it, NULL, (void **)&u)) {
		struct usock *p = find(r, u->e->peer);

		if (u->e->peer && !p)
			return err_set(ENOENT,
				       "the peer of unix socket %u is not in the checkpoint",
				       u->e->ino);
		if (p && p != u && p->e->peer == u->e->ino)
			u->peer = p;
		else if (p && !has_name(p))
			return err_set(EBADMSG, "the peer of unix socket %u has no name",
				       u->e->ino);
	}
	return 0;
}

/* 1. Connected ones. */

static bool same_name(const struct usock *a, const struct usock *b)
{
	return a->e->name.len == b->e->name.len &&
	       memcmp(a->e->name.data, b->e->name.data, a->e->name.len) == 0;
}

static bool has_listener(struct restore *r, const struct usock *u)
{
	GHashTableIter it;
	struct usock *l;

	g_hash_table_iter_init(&it, r->socks->all);
	while (g_hash_table_iter_next(&it, NULL, (void **)&l))
		if (l->e->state == TCP_LISTEN && same_name(l, u))
			return true;
	return false;
}

static int bind_one(struct restore *r, struct usock *u, int fd)
{
	struct sock_maker root = sock_maker(r, NULL);
	struct sockaddr_un a;
	socklen_t len = unix_name_addr(u->e, &a);
	int ret = sock_bind_by(&root, unix_name_dir(u->e), fd, &a, len);

	return ret < 0 ? err_wrap(ret, "unix socket %s", unix_name_show(u->e)) : 0;
}

static int connect_one(struct restore *r, const struct sock_maker *m, int fd,
		       const struct usock *to)
{
	struct sockaddr_un a;
	socklen_t len = unix_name_addr(to->e, &a);
	int ret;

	/* never waits for anybody */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno("O_NONBLOCK");
	ret = sock_connect_by(m, unix_name_dir(to->e), fd, &a, len);
	return ret < 0 ? err_wrap(ret, "unix socket %s", unix_name_show(to->e)) : 0;
}

/* CLIENT may be NULL: then our end is acc->other. */
static int accept_again(struct restore *r, struct usock *acc, struct usock *client)
{
	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
	struct sock_maker listener = client ? maker_of(r, client) : sock_maker(r, NULL);
	struct sock_maker connector = maker_of(r, acc);
	autoclose int l = -1, c = -1;
	int ret = unix_name_aside(r, acc->e, &n);

	if (ret == 0)
		ret = sock_make(&listener, AF_UNIX, (int)acc->e->type, 0, &l);
	if (ret == 0)
		ret = bind_one(r, acc, l);
	if (ret == 0)
		ret = sock_listen_by(&listener, l, 1);
	if (ret == 0)
		ret = sock_make(&connector, AF_UNIX, (int)acc->e->type, 0, &c);
	if (ret == 0 && client && has_name(client)) {
		ret = unix_name_free(r, client->e);
		if (ret == 0)
			ret = bind_one(r, client, c);
		if (ret == 0)
			ret = unix_name_own(r, client->e);
		client->named = true;
	}
	if (ret == 0)
		ret = connect_one(r, &connector, c, acc);
	if (ret < 0)
		return ret;
	acc->fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (acc->fd < 0)
		return err_errno("accept at %s", unix_name_show(acc->e));
	acc->named = true;
	*(client ? &client->fd : &acc->other) = take_fd(&c);
	return 0;
}

static int make_connected(struct restore *r, struct usock *u)
{
	struct usock *p = u->peer;
	/* both ends of a datagram connection are in this state, even where it goes one way */
	bool dead = !p && !u->e->peer && u->e->state == TCP_ESTABLISHED &&
		    (is_stream(u) || json_object_get(u->x, "connected"));
	struct sock_maker m = maker_of(r, u);
	int fds[2], ret;

	if (u->fd >= 0 || (!p && !dead))
		return 0;
	if (is_stream(u) && p && (has_name(u) || has_name(p))) {
		bool mine = has_name(u) && (!has_name(p) || has_listener(r, u));

		return mine ? accept_again(r, u, p) : accept_again(r, p, u);
	}
	if (is_stream(u) && has_name(u))
		return accept_again(r, u, NULL);
	ret = sock_make_pair(&m, (int)u->e->type, fds);
	if (ret < 0)
		return ret;
	u->fd = fds[0];
	*(p ? &p->fd : &u->other) = fds[1];
	return 0;
}

/* 2. */
static int make_other(struct restore *r, struct usock *u)
{
	struct sock_maker m = u->e->state == TCP_LISTEN ? maker_of(r, u) : holder_of(r, u);

	return u->fd >= 0 ? 0 : sock_make(&m, AF_UNIX, (int)u->e->type, 0, &u->fd);
}

/* 3. Names. */

static int connect_clients(struct restore *r, struct usock *u)
{
	struct sock_maker root = sock_maker(r, NULL);
	GHashTableIter it;
	struct usock *c;
	int ret = 0;

	g_hash_table_iter_init(&it, r->socks->all);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&c)) {
		struct sock_maker m;

		if (c->peer || c->e->peer != u->e->ino)
			continue;
		m = holder_of(r, c);
		ret = connect_one(r, &m, c->fd, u);
	}
	if (ret < 0 || is_stream(u) || u->peer || u->other >= 0 || !u->packets)
		return ret;
	ret = sock_make(&root, AF_UNIX, SOCK_DGRAM, 0, &u->feed);
	return ret < 0 ? ret : connect_one(r, &root, u->feed, u);
}

static int name_one(struct restore *r, struct usock *u)
{
	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
	struct sock_maker m = maker_of(r, u);
	int ret;

	ret = u->e->deleted ? unix_name_aside(r, u->e, &n) : unix_name_free(r, u->e);
	if (ret == 0)
		ret = bind_one(r, u, u->fd);
	if (ret == 0)
		ret = unix_name_own(r, u->e);
	if (ret == 0 && u->e->state == TCP_LISTEN)
		ret = sock_listen_by(&m, u->fd, (int)u->e->backlog);
	return ret < 0 ? ret : connect_clients(r, u);
}

static int name_all(struct restore *r, bool deleted)
{
	GHashTableIter it;
	struct usock *u;
	int ret = 0;

	g_hash_table_iter_init(&it, r->socks->all);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&u))
		if (has_name(u) && !u->named && u->e->deleted == deleted)
			ret = name_one(r, u);
	return ret;
}

/* 4. Queues. */

static size_t from_hex(const char *s, char *buf, size_t max)
{
	size_t n = 0;

	for (; s && n < max && g_ascii_isxdigit(s[0]) && g_ascii_isxdigit(s[1]); s += 2)
		buf[n++] = (char)(g_ascii_xdigit_value(s[0]) << 4 | g_ascii_xdigit_value(s[1]));
	return n;
}

/* Who sends U its packet: the peer, or whoever had the name that the packet came from. */
static int sender(struct restore *r, struct usock *u, json_t *packet)
{
	const char *hex = json_string_value(json_object_get(packet, "from"));
	char name[sizeof(struct sockaddr_un)];
	size_t len = from_hex(hex, name, sizeof(name));
	GHashTableIter it;
	struct usock *s;

	g_hash_table_iter_init(&it, r->socks->all);
	while (len && g_hash_table_iter_next(&it, NULL, (void **)&s))
		if (s->e->type == SOCK_DGRAM && s->e->peer == u->e->ino && s->e->name.len == len &&
		    memcmp(s->e->name.data, name, len) == 0)
			return s->fd;
	return u->peer ? u->peer->fd : u->other >= 0 ? u->other : u->feed;
}

static size_t put_cred(struct restore *r, json_t *packet, char *control)
{
	json_t *cred = json_object_get(packet, "cred");
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct sock_maker m = sock_maker(r, cred);
	struct ucred u;

	if (json_array_size(cred) != 3)
		return 0;
	u = (struct ucred){.pid = rtask_pid(m.task), .uid = users_outer_uid(r, m.uid), .gid = users_outer_gid(r, m.gid)};
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(u));
	memcpy(CMSG_DATA(c), &u, sizeof(u));
	return CMSG_SPACE(sizeof(u));
}

static int send_packet(struct restore *r, struct usock *u, const struct sock_packet *k,
		       json_t *packet)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
	struct iovec iov = {.iov_base = k->data, .iov_len = k->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = sender(r, u, packet), room = QUEUE_ROOM;
	ssize_t n;

	if (fd < 0)
		return err_set(EBADMSG, "nobody can have sent a packet to unix socket %u",
			       u->e->ino);
	m.msg_controllen = put_cred(r, packet, control);
	m.msg_control = m.msg_controllen ? control : NULL;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n != (ssize_t)k->len)
		return n < 0 ? err_errno("queue of unix socket %u", u->e->ino)
			     : err_set(EIO, "queue of unix socket %u takes %zd of %u bytes",
				       u->e->ino, n, k->len);
	return 0;
}

static struct usock *receiver(struct restore *r, uint32_t id)
{
	struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(id));

	return f && f->kind == &fd_unix ? find(r, f->entry->usk->ino) : NULL;
}

static int fill(struct restore *r, GPtrArray *queue)
{
	g_autoptr(GHashTable) counts = g_hash_table_new(NULL, NULL);

	for (unsigned i = 0; i < queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);
		struct usock *u = receiver(r, k->id);
		unsigned n;
		int ret;

		if (!u)
			continue;
		n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, u));
		g_hash_table_insert(counts, u, GUINT_TO_POINTER(n + 1));
		ret = send_packet(r, u, k, json_array_get(json_object_get(u->x, "packets"), n));
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Who receives credentials must say so before they are sent. */
static int pass_credentials(struct restore *r, struct usock *u)
{
	const SkOptsEntry *o = u->e->opts;

	return o->has_so_passcred && o->so_passcred
		       ? sock_set_int(u->fd, SOL_SOCKET, SO_PASSCRED, 1)
		       : 0;
}

static int options(struct restore *r, struct usock *u)
{
	json_t *off = json_object_get(u->x, "peek_off");
	int ret = sock_options_restore(u->fd, u->e->opts);

	if (ret == 0 && off)
		ret = sock_set_int(u->fd, SOL_SOCKET, SO_PEEK_OFF, (int)json_integer_value(off));
	return ret < 0 ? err_wrap(ret, "unix socket %u", u->e->ino) : 0;
}

/* 5. */
static int shut(struct restore *r, struct usock *u)
{
	if (u->other >= 0) {
		close(take_fd(&u->other));
	} else if (u->e->has_shutdown && u->e->shutdown &&
		   shutdown(u->fd, (int)u->e->shutdown - 1) < 0 && errno != ENOTCONN) {
		return err_errno("shutdown of unix socket %u", u->e->ino);
	}
	u->file->fd = u->fd;
	return 0;
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

static int make_all(struct restore *r)
{
	g_autoptr(GPtrArray) queue = NULL;
	int ret = collect(r);

	if (ret == 0)
		ret = sock_queues_load(r, &queue);
	for (unsigned i = 0; ret == 0 && i < queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);
		struct usock *u = receiver(r, k->id);

		if (u)
			u->packets = true;
	}
	if (ret == 0)
		ret = for_all(r, make_connected);
	if (ret == 0)
		ret = for_all(r, make_other);
	if (ret == 0)
		ret = name_all(r, true);
	if (ret == 0)
		ret = name_all(r, false);
	if (ret == 0)
		ret = for_all(r, pass_credentials);
	if (ret == 0)
		ret = fill(r, queue);
	if (ret == 0)
		ret = for_all(r, options);
	return ret < 0 ? ret : for_all(r, shut);
}

int unix_make_all(struct restore *r)
{
	if (r->socks)
		return 0;
	r->socks = g_new0(struct socks_restore, 1);
	r->socks->all = g_hash_table_new_full(NULL, NULL, NULL, usock_free);
	return make_all(r);
}
