/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of IPv4 and IPv6: tcp(7), udp(7), raw(7), and ICMP (icmp(7)).
 *
 * TCP connections are state/sock/tcp_*.c's, datagrams that wait state/sock/udp.c's, packets that
 * wait in raw sockets state/sock/raw_queue.c's.
 */
#include "state/sock/inet.h"
#include "base/file.h"
#include "kernel/peek.h"
#include "state/ns/ns.h"
#include "state/sock/tcp_unaccepted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool match(const struct dump *d, const struct fd_view *v)
{
	int family = sock_family(v);

	return family == AF_INET || family == AF_INET6;
}

void inet_show(const union inet_addr *a, char ret[static 80])
{
	char text[INET6_ADDRSTRLEN] = "";
	bool v6 = a->sa.sa_family == AF_INET6;
	bool mapped = v6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
	const void *addr = mapped ? &a->v6.sin6_addr.s6_addr[12]
			   : v6	  ? (const void *)&a->v6.sin6_addr
				  : (const void *)&a->v4.sin_addr;

	inet_ntop(v6 && !mapped ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	snprintf(ret, 80, v6 && !mapped ? "[%s]:%u" : "%s:%u", text, ntohs(a->v4.sin_port));
}

socklen_t inet_addr_len(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

bool inet_is_tcp(const struct sock_view *s)
{
	return s->type == SOCK_STREAM &&
	       (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_MPTCP);
}

static bool is_udp(const struct sock_view *s)
{
	return s->type == SOCK_DGRAM &&
	       (s->protocol == IPPROTO_UDP || s->protocol == IPPROTO_UDPLITE);
}

int inet_state(const struct sock_view *s)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	union inet_addr a;
	int listens;

	if (sock_get_int(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens) && listens)
		return TCP_LISTEN;
	if (s->protocol == IPPROTO_TCP &&
	    getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
		return info.tcpi_state;
	len = sizeof(a);
	return getpeername(s->fd, &a.sa, &len) == 0 ? TCP_ESTABLISHED : TCP_CLOSE;
}

/* Connections that wait, or the limit for them: tcp_get_info() of a listening socket. */
static unsigned backlog(const struct sock_view *s, unsigned *ret_waiting)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	*ret_waiting = 0;
	if (!inet_is_tcp(s) || getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 4096; /* somaxconn's default */
	*ret_waiting = info.tcpi_unacked;
	return info.tcpi_sacked;
}

#define PING_GROUPS "/proc/sys/net/ipv4/ping_group_range"

static int read_ping_groups(void *arg, int *ret_fd)
{
	g_autofree char *text = NULL;
	unsigned from, to;
	int r = file_read_at(AT_FDCWD, PING_GROUPS, 64, &text, NULL);

	if (r < 0)
		return r;
	return sscanf(text, "%u %u", &from, &to) == 2 && from == 0 && to != UINT32_MAX &&
	       from <= to;
}

/* Whoever makes one again is of group 0 (net/ipv4/ping.c: ping_init_sock()). */
static int check_ping(const struct dump *d, const struct sock_view *s)
{
	autoclose int ns = -1;
	int r;

	if (s->type != SOCK_DGRAM || d->frozen || d->own & CLONE_NEWUSER ||
	    (s->protocol != IPPROTO_ICMP && s->protocol != IPPROTO_ICMPV6))
		return 0;
	ns = ioctl(s->fd, SIOCGSKNS);
	r = ns < 0 ? err_errno("network namespace of %s", s->v->link)
		   : ns_run(&ns, 1, read_ping_groups, NULL, NULL);
	if (r != 0)
		return MIN(r, 0);
	return err_set(EOPNOTSUPP,
		       "%s: in its network namespace group 0 may not make sockets of ICMP by now; "
		       "let it (net.ipv4.ping_group_range)",
		       s->v->link);
}

static int check_kind(struct dump *d, const struct sock_view *s, int state)
{
	if (s->type == SOCK_STREAM && !inet_is_tcp(s))
		return err_set(EOPNOTSUPP, "%s: stream sockets of protocol %d cannot be saved",
			       s->v->link, s->protocol);
	if (s->protocol == IPPROTO_MPTCP && state != TCP_LISTEN && state != TCP_CLOSE)
		return err_set(EOPNOTSUPP,
			       "%s: MPTCP connections cannot be saved; close it, or use TCP",
			       s->v->link);
	return is_udp(s) ? udp_cork_check(d, s) : 0;
}

/* 1: connections wait that will be saved. */
static int check_backlog(struct dump *d, const struct sock_view *s)
{
	unsigned waiting;
	int r;

	backlog(s, &waiting);
	if (!waiting || d->o.skip_in_flight)
		return 0;
	r = tcp_unaccepted_check(d, s);
	return r == 1 ? tcp_check_backlog(d, s, waiting) : r < 0 ? r : 1;
}

static int check_state(struct dump *d, const struct sock_view *s, int state)
{
	int r = inet_is_tcp(s) ? tcp_keys_check(d, s) : 0;

	if (r < 0)
		return r;
	if (state == TCP_LISTEN)
		return check_backlog(d, s);
	if (!inet_is_tcp(s) || state == TCP_CLOSE)
		return 0;
	if (fd_view_in_flight(s->v)) /* the network was locked without it */
		return err_set(EAGAIN, "%s: a TCP connection is on its way; try again", s->v->link);
	return tcp_check(d, s, state);
}

static int check(struct dump *d, const struct fd_view *v)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	int r = fown_check(v), state;

	if (r == 0)
		r = sock_view_read(d, v, &s);
	if (r == 0)
		r = sock_options_check(&s);
	if (r < 0)
		return r;
	state = inet_state(&s);
	r = check_kind(d, &s, state);
	if (r == 0)
		r = check_ping(d, &s);
	if (r == 0)
		r = flowlabel_check(d, &s);
	if (r == 0)
		r = mroute_check(d, &s);
	if (r == 0)
		r = check_state(d, &s, state);
	if (r >= 0)
		r = reuseport_check(d, &s);
	if (r < 0)
		return r;
	r = multicast_dump(d, &s, NULL);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

static void put_addr(const union inet_addr *a, uint32_t *port, uint32_t **words, size_t *n)
{
	*n = a->sa.sa_family == AF_INET6 ? 4 : 1;
	*words = g_new0(uint32_t, *n);
	*port = ntohs(a->v4.sin_port);
	if (*n == 4)
		memcpy(*words, &a->v6.sin6_addr, 16);
	else
		memcpy(*words, &a->v4.sin_addr, 4);
}

/*
 * Raw sockets and those of ICMP are connected without a port, of which getpeername(2) says that
 * they are not (inet_getname()).
 */
static bool hidden_peer(struct dump *d, const struct sock_view *s, union inet_addr *ret)
{
	union inet_addr a = {.sa.sa_family = (sa_family_t)s->family};
	bool v6 = s->family == AF_INET6;
	socklen_t len = sizeof(a);
	struct peek *k;
	uint64_t sk, at;
	uint8_t state = 0;
	int r;

	if ((s->type != SOCK_RAW && s->protocol != IPPROTO_ICMP && s->protocol != IPPROTO_ICMPV6) ||
	    inet_is_tcp(s) || getpeername(s->fd, &a.sa, &len) == 0 || !dump_peek(d, &k))
		return false;
	r = peek_sock(k, s->fd, &sk);
	if (r == 0)
		r = peek_at(k, sk, "sock_common", "skc_state", &at);
	if (r == 0)
		r = peek_read(k, at, &state, sizeof(state));
	if (r == 0)
		r = peek_at(k, sk, "sock_common", v6 ? "skc_v6_daddr" : "skc_daddr", &at);
	if (r == 0)
		r = v6 ? peek_read(k, at, &a.v6.sin6_addr, sizeof(a.v6.sin6_addr))
		       : peek_read(k, at, &a.v4.sin_addr, sizeof(a.v4.sin_addr));
	if (r < 0)
		err_clear();
	*ret = a;
	return r == 0 && state == TCP_ESTABLISHED;
}

/* What poll(2) tells where sock_diag(7) is silent. */
static unsigned shutdown_of(const struct sock_view *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};

	if (poll(&p, 1, 0) != 1)
		return 0;
	return p.revents & POLLHUP ? 3 : p.revents & POLLRDHUP ? 1 : 0;
}

/*
 * Closed for reading without a connection: what --tcp-close has left of one, or shutdown(2) of a
 * new one, which sets that and says ENOTCONN (inet_shutdown()).  poll(2) tells nothing of writing.
 */
static unsigned shut_unconnected(struct dump *d, const struct sock_view *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};
	uint8_t how = 0;
	struct peek *k;
	uint64_t sk, at;
	int r;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLRDHUP))
		return 0;
	if (!dump_peek(d, &k))
		return 3;
	r = peek_sock(k, s->fd, &sk);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_shutdown", &at);
	if (r == 0)
		r = peek_read(k, at, &how, sizeof(how));
	if (r < 0)
		err_clear();
	return r == 0 && how & 1 ? how & 3u : 3;
}

static void dump_addrs(struct dump *d, const struct sock_view *s, InetSkEntry *e, json_t *x)
{
	union inet_addr src = {.sa.sa_family = (sa_family_t)s->family}, dst = src;
	socklen_t len = sizeof(src);

	getsockname(s->fd, &src.sa, &len);
	len = sizeof(dst);
	if (hidden_peer(d, s, &dst))
		e->state = TCP_ESTABLISHED;
	else if (getpeername(s->fd, &dst.sa, &len) < 0 &&
		 !(s->protocol == IPPROTO_TCP && tcp_peer(s->fd, &dst)))
		dst.sa.sa_family = src.sa.sa_family;
	put_addr(&src, &e->src_port, &e->src_addr, &e->n_src_addr);
	put_addr(&dst, &e->dst_port, &e->dst_addr, &e->n_dst_addr);
	if (s->family == AF_INET6 && src.v6.sin6_scope_id)
		json_object_set_new(x, "scope", json_integer(src.v6.sin6_scope_id));
	if (s->family == AF_INET6 && dst.v6.sin6_flowinfo)
		json_object_set_new(x, "flow", json_integer(ntohl(dst.v6.sin6_flowinfo)));
}

static void dump_parts(struct dump *d, const struct sock_view *s, InetSkEntry *e)
{
	unsigned how =
		GPOINTER_TO_UINT(g_hash_table_lookup(d->socks->shut, GUINT_TO_POINTER(s->ino)));
	int v;

	if (s->family == AF_INET6 && sock_get_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v)) {
		e->has_v6only = true;
		e->v6only = v != 0;
	}
	how &= ~DIAG_SIGNS;
	if (!how && !inet_is_tcp(s) && !is_udp(s))
		how = shutdown_of(s);
	if (!how && inet_is_tcp(s) && e->state == TCP_CLOSE && !e->dst_port)
		how = shut_unconnected(d, s);
	if (how) {
		e->has_shutdown = true;
		e->shutdown = (SkShutdown)how;
	}
}

static bool has_stream(const struct dump *d, const struct sock_view *s, int state)
{
	union inet_addr peer;

	if (state == TCP_CLOSE)
		return s->protocol == IPPROTO_TCP && tcp_peer(s->fd, &peer);
	return state != TCP_LISTEN && !d->o.tcp_close;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	CLEANUP(sock_view_clear) struct sock_view s = SOCK_VIEW_NONE;
	InetSkEntry *e = file->isk = g_new0(InetSkEntry, 1);
	json_t *x = sock_extra_new(d, file->id);
	unsigned waiting;
	int r, state, off;

	inet_sk_entry__init(e);
	r = sock_view_read(d, v, &s);
	if (r < 0)
		return r;
	state = inet_state(&s);
	r = check_kind(d, &s, state);
	if (r == 0)
		r = check_state(d, &s, state);
	if (r > 0)
		r = tcp_unaccepted_dump(d, &s, x);
	if (r < 0)
		return r;
	e->id = file->id;
	e->ino = s.ino;
	e->has_ns_id = true;
	e->ns_id = s.ns;
	e->family = (uint32_t)s.family;
	e->type = (uint32_t)s.type;
	e->proto = (uint32_t)s.protocol;
	e->state = (uint32_t)state;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	e->backlog = state == TCP_LISTEN ? backlog(&s, &waiting) : 0;
	dump_addrs(d, &s, e, x);
	inet_freebind_dump(&s, x);
	dump_parts(d, &s, e);
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = sock_options_dump(&s, &e->opts);
	if (r == 0)
		inet_record_dump(&s, e);
	sock_more_dump(&s, x);
	if (r == 0)
		r = inet_options_dump(&s, x);
	if (r == 0)
		r = multicast_dump(d, &s, x);
	if (r == 0)
		r = reuseport_dump(d, &s, x);
	if (inet_is_tcp(&s) && sock_get_int(s.fd, SOL_SOCKET, SO_PEEK_OFF, &off) && off >= 0)
		json_object_set_new(x, "peek_off", json_integer(off));
	if (r == 0 && inet_is_tcp(&s) && !has_stream(d, &s, state))
		r = tcp_keys_dump(d, &s, x);
	if (r == 0 && inet_is_tcp(&s) && has_stream(d, &s, state))
		r = tcp_dump(d, &s, state, x);
	if (r == 0 && is_udp(&s))
		r = udp_dump(d, &s, file->id, x);
	if (r == 0 && is_udp(&s))
		r = udp_cork_dump(d, &s, x);
	if (r == 0 && !inet_is_tcp(&s) && !is_udp(&s))
		r = raw_dump(d, &s, file->id, x);
	return r < 0 ? err_wrap(r, "%s", v->link) : 0;
}

const struct fd_kind fd_inet = {
	.name = "inet socket",
	.type = FD_TYPES__INETSK,
	.match = match,
	.check = check,
	.dump = dump,
	.load = inet_load,
	.open = inet_open,
	.finish = inet_finish,
	.settle = fown_settle,
};
