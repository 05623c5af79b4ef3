/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error of an earlier datagram, which whoever calls next is told of.  To look at the queue is
 * to take it (__skb_recv_udp(), sock_error()), so it is made again as it came: by an ICMP message,
 * from the machine itself, that quotes what the socket had sent (__udp4_lib_err(),
 * __udp6_lib_err()).
 */
#include "state/sock/inet.h"
#include "state/sock/netlock.h"

#include "kernel/ns.h"
#include "kernel/peek.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

#define PATIENCE_MS 500

/* net/ipv4/icmp.c: icmp_err_convert[]; net/ipv6/icmp.c: tab_unreach[] */
static const struct {
	int error;
	uint8_t v4, v6;
} codes[] = {
	{ECONNREFUSED, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT},
	{EHOSTUNREACH, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR},
};

struct quote4 {
	struct icmphdr icmp;
	struct iphdr ip;
	struct udphdr udp;
};

struct quote6 {
	struct icmp6_hdr icmp;
	struct ip6_hdr ip;
	struct udphdr udp;
};

struct message {
	union inet_addr to;
	int family, protocol;
	union {
		struct quote4 v4;
		struct quote6 v6;
	} quote;
	size_t len;
};

static uint16_t sum_of(const void *data, size_t len)
{
	const uint16_t *v = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += v[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void quote_v4(struct message *m, const union inet_addr *me, const union inet_addr *peer,
		     int protocol, uint8_t code)
{
	struct quote4 *q = &m->quote.v4;
	bool mapped = me->sa.sa_family == AF_INET6;

	*q = (struct quote4){
		.icmp = {.type = ICMP_DEST_UNREACH, .code = code},
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = (uint8_t)protocol},
		.udp = {.source = me->v4.sin_port, .dest = peer->v4.sin_port},
	};
	q->ip.tot_len = htons(sizeof(q->ip) + sizeof(q->udp));
	q->udp.len = htons(sizeof(q->udp));
	memcpy(&q->ip.saddr, mapped ? &me->v6.sin6_addr.s6_addr[12] : (void *)&me->v4.sin_addr, 4);
	memcpy(&q->ip.daddr, mapped ? &peer->v6.sin6_addr.s6_addr[12] : (void *)&peer->v4.sin_addr,
	       4);
	q->ip.check = sum_of(&q->ip, sizeof(q->ip));
	q->icmp.checksum = sum_of(q, sizeof(*q));
	m->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = q->ip.saddr};
	m->family = AF_INET;
	m->protocol = IPPROTO_ICMP;
	m->len = sizeof(*q);
}

/* The kernel fills in the checksum: rawv6_push_pending_frames(). */
static void quote_v6(struct message *m, const union inet_addr *me, const union inet_addr *peer,
		     int protocol, uint8_t code)
{
	struct quote6 *q = &m->quote.v6;

	*q = (struct quote6){
		.icmp = {.icmp6_type = ICMP6_DST_UNREACH, .icmp6_code = code},
		.udp = {.source = me->v6.sin6_port, .dest = peer->v6.sin6_port},
	};
	q->ip.ip6_flow = htonl(6u << 28);
	q->ip.ip6_plen = htons(sizeof(q->udp));
	q->ip.ip6_nxt = (uint8_t)protocol;
	q->ip.ip6_hlim = 64;
	q->ip.ip6_src = me->v6.sin6_addr;
	q->ip.ip6_dst = peer->v6.sin6_addr;
	q->udp.len = htons(sizeof(q->udp));
	m->to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					 .sin6_addr = me->v6.sin6_addr,
					 .sin6_scope_id = me->v6.sin6_scope_id};
	m->family = AF_INET6;
	m->protocol = IPPROTO_ICMPV6;
	m->len = sizeof(*q);
}

static int send_it(void *arg, int *ret_fd)
{
	struct message *m = arg;
	autoclose int fd = socket(m->family, SOCK_RAW | SOCK_CLOEXEC, m->protocol);

	if (fd < 0 || sock_set_int(fd, SOL_SOCKET, SO_MARK, NETLOCK_MARK) < 0 ||
	    sendto(fd, &m->quote, m->len, 0, &m->to.sa, inet_addr_len(&m->to)) < 0)
		return err_errno("send an ICMP message");
	return 0;
}

static bool has_error(int fd)
{
	struct pollfd p = {.fd = fd};

	/* ksoftirqd may have to bring it */
	return poll(&p, 1, PATIENCE_MS) == 1 && p.revents & POLLERR;
}

/* Those of IP_RECVERR that came by ICMP, in their order: struct sock_exterr_skb. */
static int add_queued(struct peek *k, uint64_t skb, void *arg)
{
	uint64_t cb, ee;
	struct sock_extended_err e;
	int r = peek_at(k, skb, "sk_buff", "cb", &cb);

	if (r == 0)
		r = peek_at(k, cb, "sock_exterr_skb", "ee", &ee);
	if (r == 0)
		r = peek_read(k, ee, &e, sizeof(e));
	if (r == 0 && (e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6))
		json_array_append_new(arg, json_integer(e.ee_errno));
	return r;
}

int udp_errors_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	json_t *list;
	struct peek *k;
	uint64_t sk, queue;
	uint32_t error;
	int r;

	/* to look for datagrams is to take it */
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR) || p.revents & POLLIN ||
	    !dump_peek(d, &k))
		return 1;
	list = json_array();
	r = peek_sock(k, s->fd, &sk);
	if (r == 0)
		r = peek_u32(k, sk, "sock", "sk_err", &error);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_error_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add_queued, list);
	if (r == 0 && json_array_size(list))
		json_object_set(x, "errors", list);
	if (r == 0 && error)
		json_object_set_new(x, "error", json_integer(error));
	json_decref(list);
	if (r < 0)
		err_clear(); /* another kernel's */
	return r < 0;
}

int udp_error_raise(int fd, int protocol, int error)
{
	union inet_addr me, peer;
	socklen_t len = sizeof(me), peer_len = sizeof(peer);
	autoclose int ns = -1;
	struct message m = {0};
	unsigned i = 0;
	int r;

	while (i < ARRAY_SIZE(codes) && codes[i].error != error)
		i++;
	if (i == ARRAY_SIZE(codes) || getsockname(fd, &me.sa, &len) < 0 ||
	    getpeername(fd, &peer.sa, &peer_len) < 0)
		return err_set(EOPNOTSUPP, "nothing would cause it again");
	if (me.sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&me.v6.sin6_addr))
		quote_v4(&m, &me, &peer, protocol, codes[i].v4);
	else
		quote_v6(&m, &me, &peer, protocol, codes[i].v6);
	ns = ioctl(fd, SIOCGSKNS);
	if (ns < 0)
		return err_errno("network namespace of a socket");
	r = ns_run(&ns, 1, send_it, &m, NULL);
	return r == 0 && !has_error(fd) ? err_set(EIO, "the message does not arrive") : r;
}
