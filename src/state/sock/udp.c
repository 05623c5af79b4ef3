/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that wait in a UDP or UDP-Lite socket.  MSG_PEEK with SO_PEEK_OFF walks over them
 * (udp_set_peek_off()); IP_PKTINFO tells where each was sent to, also if the program never asked
 * (ip_cmsg_recv_pktinfo()).  They are sent again as from their senders: state/sock/inject.c.  What
 * cannot be is lost with a warning, as datagrams may be: what came by multicast or broadcast to a
 * socket that nothing else reaches, what a firewall drops, what another of a group gets.
 */
#include "state/sock/inet.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/udp.h>
#include <string.h>

#define PACKET_MAX 65536
#define COUNT_MAX  (1u << 20)
#define ERRORS_MAX 64 /* that come faster than they are read */

struct datagram {
	union inet_addr from, to; /* TO: no port; family 0: not known */
	size_t len, segment;	  /* SEGMENT: several of this size each (UDP_GRO) */
	int error;		  /* instead of one */
};

static void read_controls(struct msghdr *m, struct datagram *g)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
		int size;

		/* an IPv6 socket tells of IPv4 in both ways */
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
		    !g->to.sa.sa_family) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			g->to.v4 = (struct sockaddr_in){.sin_family = AF_INET,
							.sin_addr = v4.ipi_addr};
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			g->to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
							 .sin6_addr = v6.ipi6_addr,
							 .sin6_scope_id = v6.ipi6_ifindex};
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			g->segment = size > 0 ? (size_t)size : 0;
		}
	}
}

/* 1: nothing more. */
static int peek(int fd, uint8_t *buf, struct datagram *g)
{
	_Alignas(struct cmsghdr) char control[1024];
	struct iovec iov = {.iov_base = buf, .iov_len = PACKET_MAX};
	struct msghdr m = {.msg_name = &g->from,
			   .msg_namelen = sizeof(g->from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n < 0) { /* of an earlier send; it is taken by that */
		g->error = errno;
		return 0;
	}
	read_controls(&m, g);
	g->len = (size_t)n;
	return 0;
}

static json_t *show(const union inet_addr *a)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
		return json_null();
	inet_ntop(a->sa.sa_family,
		  a->sa.sa_family == AF_INET ? (const void *)&a->v4.sin_addr
					     : (const void *)&a->v6.sin6_addr,
		  text, sizeof(text));
	return json_pack("[s,i,i]", text, ntohs(a->v4.sin_port),
			 a->sa.sa_family == AF_INET6 ? (int)a->v6.sin6_scope_id : 0);
}

static int add(struct dump *d, uint32_t id, json_t *packets, const struct datagram *g,
	       const uint8_t *data)
{
	json_array_append_new(packets, json_pack("{s:o,s:o,s:i}", "from", show(&g->from), "to",
						 show(&g->to), "segment", (int)g->segment));
	return sock_queue_add(d, id, data, g->len);
}

/* The empty ones of ALL that come next; NULL: there are none that are not seen otherwise. */
static int add_empty(struct dump *d, uint32_t id, json_t *packets, const GArray *all, unsigned *at)
{
	int r = 0;

	for (; r == 0 && all && *at < all->len; ++*at) {
		const struct udp_waiting *w = &g_array_index(all, struct udp_waiting, *at);
		const struct datagram g = {.from = w->from, .to = w->to};

		if (!w->empty)
			break;
		r = add(d, id, packets, &g, (const uint8_t *)"");
	}
	return r;
}

static int walk(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets,
		int *ret_error)
{
	g_autofree uint8_t *buf = g_malloc(PACKET_MAX);
	g_autoptr(GArray) all = udp_empty_look(d, s);
	unsigned errors = 0, at = 0;
	int r = 0;

	*ret_error = 0;

	while (r == 0) {
		struct datagram g = {0};

		r = peek(s->fd, buf, &g);
		if (r == 1 || errors > ERRORS_MAX)
			return add_empty(d, id, packets, all, &at);
		if (g.error) {
			*ret_error = errors++ ? *ret_error : g.error;
			continue;
		}
		if (all && !g.len)
			continue;
		r = add_empty(d, id, packets, all, &at);
		if (r == 0)
			r = add(d, id, packets, &g, buf);
		at++;
	}
	return r;
}

static void tell_again(int fd, int protocol, int error)
{
	if (udp_error_raise(fd, protocol, error) == 0)
		return;
	log_warn("a UDP socket's error (%s) is lost: %s", strerror(error), err_message());
	err_clear();
}

int udp_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
{
	json_t *packets = json_array();
	int four, six = 0, was, zero = 0, one = 1, error, r = 0;

	json_object_set_new(x, "packets", packets);
	if (!sock_get_int(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was))
		was = -1;
	if (was >= 0)
		json_object_set_new(x, "peek_off", json_integer(was));
	r = udp_errors_dump(d, s, x);
	if (r != 1)
		return r;
	r = 0;
	sock_get_int(s->fd, IPPROTO_IP, IP_PKTINFO, &four);
	sock_get_int(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &six);
	if (setsockopt(s->fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0)
		return err_errno("SO_PEEK_OFF");
	setsockopt(s->fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	if (s->family == AF_INET6)
		setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	r = walk(d, s, id, packets, &error);
	if (error)
		json_object_set_new(x, "error", json_integer(error));
	setsockopt(s->fd, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four));
	if (s->family == AF_INET6)
		setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &six, sizeof(six));
	if (setsockopt(s->fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof(was)) < 0 && r == 0)
		r = err_errno("SO_PEEK_OFF");
	if (error && r == 0)
		tell_again(s->fd, s->protocol, error); /* it may go on */
	return r;
}

/* Restore. */

static bool parse(const json_t *j, union inet_addr *ret)
{
	const char *text = json_string_value(json_array_get(j, 0));
	json_int_t port = json_integer_value(json_array_get(j, 1));

	*ret = (union inet_addr){0};
	if (!text || port < 0 || port > 65535)
		return false;
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->sa.sa_family = AF_INET;
	} else if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
		ret->sa.sa_family = AF_INET6;
		ret->v6.sin6_scope_id = (uint32_t)json_integer_value(json_array_get(j, 2));
	} else {
		return false;
	}
	ret->v4.sin_port = htons((uint16_t)port);
	return true;
}

static bool is_group(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET ? IN_MULTICAST(ntohl(a->v4.sin_addr.s_addr)) ||
						    a->v4.sin_addr.s_addr == htonl(INADDR_BROADCAST)
					  : IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr);
}

static bool is_v4(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

/* To many it is not sent again: to the loopback address instead, if the socket hears that. */
static bool receiver(int fd, const json_t *packet, const union inet_addr *from,
		     union inet_addr *ret)
{
	union inet_addr me;
	socklen_t len = sizeof(me);

	if (getsockname(fd, &me.sa, &len) < 0 || !me.v4.sin_port)
		return false;
	if (!parse(json_object_get(packet, "to"), ret) || is_group(ret)) {
		*ret = (union inet_addr){.sa.sa_family = from->sa.sa_family};
		if (is_v4(from))
			ret->v4 = (struct sockaddr_in){.sin_family = AF_INET,
						       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		else
			ret->v6.sin6_addr = in6addr_loopback;
	}
	ret->v4.sin_port = me.v4.sin_port;
	return true;
}

uint32_t inet_memory(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len);
	return info[SK_MEMINFO_RMEM_ALLOC];
}

static int send_one(struct restore *r, struct file *f, struct injected *p, const uint8_t *data,
		    size_t len)
{
	uint32_t before = inet_memory(f->fd);
	struct udphdr h = {.source = p->from.v4.sin_port, .dest = p->to.v4.sin_port};
	int ret;

	h.len = htons((uint16_t)(sizeof(h) + len));
	if (p->protocol == IPPROTO_UDPLITE)
		h.len = 0; /* all of it is covered by the checksum */
	memcpy(p->data, &h, sizeof(h));
	memcpy(p->data + sizeof(h), data, len);
	p->len = sizeof(h) + len;
	ret = inet_inject(r, p);
	if (ret == 0 && inet_memory(f->fd) <= before)
		ret = err_set(EIO, "it does not arrive");
	return ret;
}

static int send_again(struct restore *r, struct file *f, const struct sock_packet *k,
		      const json_t *packet)
{
	const InetSkEntry *e = f->entry->isk;
	size_t segment = (size_t)json_integer_value(json_object_get(packet, "segment"));
	g_autofree uint8_t *data = g_malloc(sizeof(struct udphdr) + k->len);
	struct injected p = {.protocol = (int)e->proto,
			     .data = data,
			     .sum_at = offsetof(struct udphdr, check),
			     .device = e->opts->so_bound_dev,
			     .net = inet_net(e)};
	int ret = 0;

	if (k->len > PACKET_MAX || !parse(json_object_get(packet, "from"), &p.from) ||
	    !receiver(f->fd, packet, &p.from, &p.to) || is_v4(&p.from) != is_v4(&p.to))
		return err_set(EADDRNOTAVAIL, "nobody can send it again");
	if (!segment || segment > k->len)
		segment = k->len;
	for (size_t at = 0; ret == 0 && (at < k->len || !k->len); at += segment) {
		ret = send_one(r, f, &p, k->data + at, MIN(segment, k->len - at));
		if (!k->len)
			break;
	}
	return ret;
}

static void tell_all_again(int fd, int protocol, const json_t *x)
{
	const json_t *errors = json_object_get(x, "errors"), *error = json_object_get(x, "error");
	size_t n = MIN(json_array_size(errors), ERRORS_MAX);
	int taken;

	for (size_t i = 0; i < n; i++)
		tell_again(fd, protocol, (int)json_integer_value(json_array_get(errors, i)));
	if (error && !n)
		tell_again(fd, protocol, (int)json_integer_value(error));
	else if (!error && n) /* whoever has been told already does not hear of it again */
		sock_get_int(fd, SOL_SOCKET, SO_ERROR, &taken);
}

int udp_restore(struct restore *r, struct file *f)
{
	json_t *x = sock_extra(r, f->id), *packets = json_object_get(x, "packets");
	json_t *off = json_object_get(x, "peek_off");
	g_autoptr(GPtrArray) queue = NULL;
	size_t n = 0;
	int ret = json_array_size(packets) ? sock_queues_load(r, &queue) : 0;

	for (unsigned i = 0; ret == 0 && queue && i < queue->len; i++) {
		const struct sock_packet *k = g_ptr_array_index(queue, i);

		if (k->id != f->id)
			continue;
		if (send_again(r, f, k, json_array_get(packets, n++)) < 0) {
			log_warn("inet socket %u: a datagram of %u bytes is lost: %s", f->id,
				 k->len, err_message());
			err_clear();
		}
	}
	if (ret == 0 && off)
		ret = sock_set_int(f->fd, SOL_SOCKET, SO_PEEK_OFF, (int)json_integer_value(off));
	if (ret == 0)
		tell_all_again(f->fd, (int)f->entry->isk->proto, x);
	return ret;
}
