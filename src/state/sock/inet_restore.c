/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/tcp_unaccepted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#define BACKLOG_MAX 65535

int inet_load(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	size_t words;

	if (!e)
		return 1;
	words = e->family == AF_INET6 ? 4 : 1;
	if ((e->family != AF_INET && e->family != AF_INET6) || e->src_port > 65535 ||
	    e->dst_port > 65535 || (e->n_src_addr && e->n_src_addr != words) ||
	    (e->n_dst_addr && e->n_dst_addr != words))
		return err_set(EBADMSG, "inet socket %u of family %u", f->id, e->family);
	return 0;
}

static void get_addr(uint32_t family, uint32_t port, const uint32_t *words, size_t n,
		     union inet_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = (sa_family_t)family;
	ret->v4.sin_port = htons((uint16_t)port);
	if (n == 4)
		memcpy(&ret->v6.sin6_addr, words, 16);
	else if (n == 1 && family == AF_INET)
		memcpy(&ret->v4.sin_addr, words, 4);
}

static bool is_bound(const InetSkEntry *e, const union inet_addr *a)
{
	static const uint32_t none[4];

	return a->v4.sin_port || (e->n_src_addr && memcmp(e->src_addr, none, e->n_src_addr * 4));
}

/* Connections that the tree has closed may hold it for a minute (inet_csk_bind_conflict()). */
static bool free_port(struct restore *r, const InetSkEntry *e)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int diag = -1;
	bool ok;

	if (e->type != SOCK_STREAM)
		return false;
	ok = proc_open(r->stub.pid, &p) == 0 && diag_open(p.dir, &diag) == 0 &&
	     diag_tcp_free_port(diag, (uint16_t)e->src_port) == 0;
	if (!ok) {
		err_clear();
		errno = EADDRINUSE;
	}
	return ok;
}

int inet_bind(struct restore *r, struct file *f, bool in_repair)
{
	const InetSkEntry *e = f->entry->isk;
	json_t *x = sock_extra(r, f->id);
	union inet_addr a;
	char text[80];
	int ret;

	get_addr(e->family, e->src_port, e->src_addr, e->n_src_addr, &a);
	if (e->family == AF_INET6)
		a.v6.sin6_scope_id = (uint32_t)json_integer_value(json_object_get(x, "scope"));
	if (!is_bound(e, &a))
		return 0;
	/* several of the tree's may have one port, as accepted connections and their listener do */
	ret = in_repair ? 0 : sock_set_int(f->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (ret < 0)
		return ret;
	if (inet_freebind(f->fd, x, &a) == 0 ||
	    (errno == EADDRINUSE && free_port(r, e) && inet_freebind(f->fd, x, &a) == 0))
		return 0;
	inet_show(&a, text);
	if (errno == EADDRNOTAVAIL)
		return err_set(EADDRNOTAVAIL, "bind to %s: no interface has this address here",
			       text);
	return err_errno("bind to %s", text);
}

int inet_connect(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	union inet_addr a;
	char text[80];

	get_addr(e->family, e->dst_port, e->dst_addr, e->n_dst_addr, &a);
	if (e->family == AF_INET6)
		a.v6.sin6_flowinfo = htonl((uint32_t)json_integer_value(
			json_object_get(sock_extra(r, f->id), "flow")));
	if (connect(f->fd, &a.sa, inet_addr_len(&a)) == 0 ||
	    (errno == EADDRNOTAVAIL && free_port(r, e) &&
	     connect(f->fd, &a.sa, inet_addr_len(&a)) == 0) ||
	    (e->type != SOCK_STREAM && inet_connect_without_route(f->fd, &a) == 0))
		return 0;
	inet_show(&a, text);
	return err_errno("connect to %s", text);
}

static bool is_connection(const InetSkEntry *e)
{
	return e->type == SOCK_STREAM && e->state != TCP_CLOSE && e->state != TCP_LISTEN;
}

static bool is_udp(const InetSkEntry *e)
{
	return e->type == SOCK_DGRAM && (e->proto == IPPROTO_UDP || e->proto == IPPROTO_UDPLITE);
}

/* One that has ended has no data for anybody but its program. */
static bool was_connection(const InetSkEntry *e)
{
	return e->type == SOCK_STREAM && e->state == TCP_CLOSE && e->dst_port;
}

static int open_connection(struct restore *r, struct file *f)
{
	if (!r->o.tcp_established && is_connection(f->entry->isk))
		return err_set(EOPNOTSUPP, "it was connected; use --tcp-established to have the "
					   "connection go on, or --tcp-close to have it closed");
	return tcp_restore(r, f);
}

/* In the order in which those of one port were bound. */
static int bind_in_order(struct restore *r, struct file *f)
{
	bool packets = f->entry->isk->type == SOCK_DGRAM;
	struct file *before = packets ? reuseport_before(r, f) : NULL;
	int ret = before ? restore_file(r, before->id, &before) : 0;

	if (ret == 0 && socks_shares_port(r, f->entry->isk))
		ret = sock_set_int(f->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (ret == 0)
		ret = inet_bind(r, f, false);
	return ret == 0 && packets ? reuseport_attach(f->fd, sock_extra(r, f->id)) : ret;
}

int inet_open(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	struct sock_maker root = sock_maker_in(r, e->has_ns_id ? e->ns_id : 0);
	json_t *x = sock_extra(r, f->id);
	int ret = socks_fill_once(r) ? raw_fill_all(r) : 0;
	bool made = f->fd >= 0; /* with what waits in it */

	if (ret == 0)
		ret = made ? raw_let_in(f->fd)
			   : sock_make(&root, (int)e->family, (int)e->type, (int)e->proto, &f->fd);
	/* not to be set where a number is bound, which a raw socket has from the beginning */
	if (ret == 0 && e->has_v6only && e->family == AF_INET6 && e->type != SOCK_RAW && !made)
		ret = sock_set_int(f->fd, IPPROTO_IPV6, IPV6_V6ONLY, e->v6only);
	if (ret == 0)
		ret = sock_options_restore(f->fd, e->opts);
	if (ret == 0)
		ret = inet_record_restore(f->fd, e);
	if (ret == 0)
		ret = sock_more_restore(f->fd, x);
	if (ret == 0)
		ret = inet_options_restore(f->fd, x);
	if (ret == 0 && e->type == SOCK_STREAM)
		ret = tcp_keys_restore(f->fd, (int)e->family, x);
	if (ret == 0 && (is_connection(e) || was_connection(e))) {
		ret = r->o.tcp_close ? 0 : open_connection(r, f);
		return ret < 0 ? err_wrap(ret, "inet socket %u", f->id) : 0;
	}
	if (ret == 0 && (!made || e->type == SOCK_RAW))
		ret = bind_in_order(r, f);
	if (ret == 0 && e->state == TCP_ESTABLISHED)
		ret = inet_connect(r, f);
	if (ret == 0)
		ret = multicast_restore(f->fd, x);
	return ret < 0 ? err_wrap(ret, "inet socket %u", f->id) : 0;
}

/* In the order in which those of one port have begun to. */
static int listen_in_order(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	json_t *x = sock_extra(r, f->id);
	struct file *before = reuseport_before(r, f);
	int ret = 0;

	if (json_object_get(x, "listens"))
		return 0;
	json_object_set_new(x, "listens", json_true());
	if (before && before->entry->isk->state == TCP_LISTEN && before->fd >= 0)
		ret = listen_in_order(r, before);
	if (ret == 0 && listen(f->fd, (int)MIN(e->backlog, BACKLOG_MAX)) < 0)
		ret = err_errno("listen at port %u", e->src_port);
	return ret < 0 ? ret : reuseport_attach(f->fd, x);
}

static int listen_all(struct restore *r)
{
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f))
		if (f->kind == &fd_inet && f->fd >= 0 && f->entry->isk->state == TCP_LISTEN)
			ret = listen_in_order(r, f);
	return ret < 0 ? ret : tcp_unaccepted_restore(r);
}

/* Listening comes when all are bound: it keeps others from the port. */
int inet_finish(struct restore *r, struct file *f)
{
	const InetSkEntry *e = f->entry->isk;
	bool connection = is_connection(e) || was_connection(e);
	unsigned how = e->has_shutdown ? e->shutdown : 0;
	const json_t *off = json_object_get(sock_extra(r, f->id), "peek_off");
	int ret = 0;

	/* with TCP_CLOSE both ends of it are closed for ever; else tcp_restore() has sent our FIN
	 */
	if (connection)
		how = r->o.tcp_close ? 3 : how & 1;
	if (socks_listen_once(r))
		ret = listen_all(r);
	if (ret == 0 && !connection && socks_shares_port(r, e))
		ret = sock_set_int(f->fd, SOL_SOCKET, SO_REUSEPORT, 0);
	if (ret < 0)
		return ret;
	if (how && shutdown(f->fd, (int)how - 1) < 0 && errno != ENOTCONN)
		return err_errno("shutdown of inet socket %u", f->id);
	if (!connection && e->opts->has_reuseaddr)
		ret = sock_set_int(f->fd, SOL_SOCKET, SO_REUSEADDR, e->opts->reuseaddr);
	if (ret == 0 && e->type == SOCK_STREAM && off)
		ret = sock_set_int(f->fd, SOL_SOCKET, SO_PEEK_OFF, (int)json_integer_value(off));
	if (ret == 0 && is_udp(e) && !how)
		ret = udp_restore(r, f);
	if (ret == 0 && is_udp(e))
		ret = udp_cork_restore(f->fd, sock_extra(r, f->id));
	return ret < 0 ? ret : sock_flags_restore(r, f, e->fown, e->flags);
}
