/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of unix sockets that are made again: first those that are deleted again, then those that
 * stay.  While a name is there its clients connect: datagram sockets, and streams that wait to be
 * accepted.
 */
#include "state/sock/unix_names.h"
#include "state/sock/unix_restore.h"

#include "base/log.h"

#include <errno.h>
#include <netinet/tcp.h>

/* Somebody outside: if it is not there (any more), the client hears of it when it sends. */
static int connect_outside(struct restore *r, const struct sock_maker *m, struct usock *c,
			   struct usock *to)
{
	int ret = unix_connect_by(r, m, c->fd, to);

	if (ret == -ENOENT || ret == -ECONNREFUSED || ret == -EACCES) {
		log_warn("%s: a client of it is not connected any more", err_message());
		err_clear();
		ret = 0;
	}
	return ret;
}

static int connect_client(struct restore *r, struct usock *c, struct usock *u)
{
	struct sock_maker m = usock_holder(r, c);

	return usock_is_external(u) ? connect_outside(r, &m, c, u)
				    : unix_connect_by(r, &m, c->fd, u);
}

static int name_one(struct restore *r, struct usock *u);

static int make_feed(struct restore *r, struct usock *u)
{
	struct sock_maker root = sock_maker_in(r, usock_net_of(u));
	int ret;

	if (usock_is_stream(u) || u->peer || u->other >= 0 || !u->packets)
		return 0;
	ret = sock_make(&root, AF_UNIX, SOCK_DGRAM, 0, &u->feed);
	return ret < 0 ? ret : unix_connect_by(r, &root, u->feed, u);
}

/*
 * Nobody can send to a datagram socket that is connected to somebody else (net/unix/af_unix.c:
 * unix_may_send()), nor be connected to it: who has something in its queue, or a client that is
 * connected late, is connected late.
 */
static bool is_late(const struct usock *c, const struct usock *u)
{
	return !usock_is_stream(c) && !u->e->deleted && (c->packets || c->late);
}

static int connect_client_in_turn(struct restore *r, struct usock *c, struct usock *u)
{
	if (!is_late(c, u))
		return connect_client(r, c, u);
	if (!r->socks->late)
		r->socks->late = g_ptr_array_new();
	c->late = u->late = true;
	g_ptr_array_add(r->socks->late, c);
	return 0;
}

int unix_connect_late(struct restore *r)
{
	const GPtrArray *late = r->socks->late;
	int ret = 0;

	for (unsigned i = 0; late && ret == 0 && i < late->len; i++) {
		struct usock *c = g_ptr_array_index(late, i);

		ret = connect_client(r, c, unix_find(r, c->e->peer));
	}
	return ret;
}

/* Whoever is connected to C is so before C is; U itself comes last. */
static int connect_clients(struct restore *r, struct usock *u)
{
	const GPtrArray *all = g_hash_table_lookup(r->socks->clients, GUINT_TO_POINTER(u->e->ino));
	int ret = u->e->state == TCP_LISTEN ? unix_waiting_connect(r, u, connect_client) : 0;
	bool self = false;

	if (ret == 0)
		ret = make_feed(r, u);
	for (unsigned i = 0; all && ret == 0 && i < all->len; i++) {
		struct usock *c = g_ptr_array_index(all, i);

		self |= c == u;
		if (c == u || c->waited)
			continue;
		if (!usock_is_stream(c) && usock_has_name(c) && !usock_is_external(c))
			ret = name_one(r, c);
		if (ret == 0)
			ret = connect_client_in_turn(r, c, u);
	}
	return ret == 0 && self ? connect_client_in_turn(r, u, u) : ret;
}

/* Once; those that are connected to it, too. */
static int name_one(struct restore *r, struct usock *u)
{
	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
	struct sock_maker m = usock_maker(r, u);
	int ret;

	if (u->named)
		return 0;
	u->named = true;
	ret = u->e->deleted ? unix_name_aside(r, u->e, &n) : unix_name_free(r, u->e);
	if (ret == 0)
		ret = usock_bind(r, u, u->fd);
	if (ret == 0)
		ret = unix_name_own(r, u->e);
	if (ret == 0 && u->e->state == TCP_LISTEN)
		ret = sock_listen_by(&m, u->fd, (int)u->e->backlog);
	if (ret == 0)
		ret = connect_clients(r, u);
	if (ret == 0 && u->e->deleted)
		ret = unix_name_move(r, u->e, &n,
				     json_string_value(json_object_get(u->x, "moved")));
	return ret;
}

int unix_name_all(struct restore *r, bool deleted)
{
	GHashTableIter it;
	struct usock *u;
	int ret = 0;

	g_hash_table_iter_init(&it, r->socks->all);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&u))
		if (usock_is_external(u))
			ret = deleted ? 0 : connect_clients(r, u);
		else if (usock_has_name(u) && u->e->deleted == deleted)
			ret = name_one(r, u);
	return ret;
}
