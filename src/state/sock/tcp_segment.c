/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of a connection's peer, sent by ourselves, from a raw socket with headers of its own
 * (raw(7), IP_HDRINCL).  A packet to a local address goes over the loopback device with the route
 * that it left by, so that its source is not questioned (net/ipv4/ip_input.c:
 * ip_rcv_finish_core(), skb_valid_dst()).  Its mark lets it pass our lock of the network.
 */
#include "state/sock/netlock.h"
#include "state/sock/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 2000

struct v4 {
	struct iphdr ip;
	struct tcphdr tcp;
};

struct v6 {
	struct ip6_hdr ip;
	struct tcphdr tcp;
};

/* RFC 1071 */
static uint32_t add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void put_tcp(struct tcphdr *h, const struct tcp_segment *s, uint32_t sum)
{
	*h = (struct tcphdr){0};
	h->th_sport = s->from.v4.sin_port; /* at the same place in both families */
	h->th_dport = s->to.v4.sin_port;
	h->th_seq = htonl(s->seq);
	h->th_ack = htonl(s->ack);
	h->th_off = sizeof(*h) / 4;
	h->th_flags = s->flags;
	h->th_win = htons(s->window);
	sum += IPPROTO_TCP + sizeof(*h);
	h->th_sum = fold(add(sum, h, sizeof(*h)));
}

static size_t put_v4(const struct tcp_segment *s, struct v4 *p)
{
	p->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	p->ip.tot_len = htons(sizeof(*p));
	p->ip.saddr = s->from.v4.sin_addr.s_addr;
	p->ip.daddr = s->to.v4.sin_addr.s_addr;
	put_tcp(&p->tcp, s, add(0, &p->ip.saddr, 8));
	return sizeof(*p); /* the kernel fills in the checksum: raw_send_hdrinc() */
}

static size_t put_v6(const struct tcp_segment *s, struct v6 *p)
{
	p->ip = (struct ip6_hdr){.ip6_flow = htonl(6u << 28), .ip6_nxt = IPPROTO_TCP};
	p->ip.ip6_plen = htons(sizeof(p->tcp));
	p->ip.ip6_hlim = 64;
	p->ip.ip6_src = s->from.v6.sin6_addr;
	p->ip.ip6_dst = s->to.v6.sin6_addr;
	put_tcp(&p->tcp, s, add(0, &p->ip.ip6_src, 32));
	return sizeof(*p);
}

/* Mapped addresses are those of IPv4 on the wire. */
static void unmap(union inet_addr *a)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = a->v4.sin_port};

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return;
	memcpy(&v4.sin_addr, &a->v6.sin6_addr.s6_addr[12], 4);
	a->v4 = v4;
}

static int put(struct restore *r, const struct tcp_segment *s)
{
	union {
		struct v4 v4;
		struct v6 v6;
	} p;
	bool v6 = s->to.sa.sa_family == AF_INET6;
	size_t len = v6 ? put_v6(s, &p.v6) : put_v4(s, &p.v4);
	union inet_addr to = s->to;
	const char *device = s->device ? s->device : "";
	int raw, ret = socks_raw(r, s->to.sa.sa_family, &raw);

	if (ret < 0)
		return ret;
	to.v4.sin_port = 0;
	if (setsockopt(raw, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		return err_errno("device %s", device);
	if (sendto(raw, &p, len, 0, &to.sa, inet_addr_len(&to)) < 0)
		return err_errno("a segment of its peer");
	return 0;
}

static int state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_errno("TCP_INFO");
	return info.tcpi_state;
}

int tcp_segment(struct restore *r, int fd, const struct tcp_segment *segment, int state)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct tcp_segment s = *segment;
	int now;

	unmap(&s.from);
	unmap(&s.to);
	now = put(r, &s);
	if (now < 0)
		return now;
	for (int i = 0; i < PATIENCE_MS; i++) {
		now = state_of(fd);
		if (now < 0 || now == state)
			return now < 0 ? now : 0;
		nanosleep(&ms, NULL); /* the loopback's queue is another task's */
	}
	return err_set(EIO,
		       "it is in TCP state %d instead of %d; does a firewall drop packets of the "
		       "loopback device?",
		       now, state);
}
