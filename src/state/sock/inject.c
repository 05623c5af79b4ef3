/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets as from anybody, from a raw socket with headers of its own (raw(7), IP_HDRINCL).  A
 * packet to a local address goes over the loopback device with the route that it left by, so that
 * its source is not questioned (net/ipv4/ip_input.c: ip_rcv_finish_core(), skb_valid_dst()).  Its
 * mark lets it pass our lock of the network.
 */
#include "state/sock/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

/* RFC 1071 */
static uint32_t add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len % 2)
		sum += (uint32_t)p[len - 1] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* A connection may want none from farther away (IP_MINTTL). */
static uint8_t hops(const struct injected *p)
{
	return p->protocol == IPPROTO_TCP ? 255 : 64;
}

/* The kernel fills in the checksum: raw_send_hdrinc(). */
static size_t put_v4(const struct injected *p, struct iphdr *h, uint32_t *sum)
{
	*h = (struct iphdr){.version = 4, .ihl = 5, .protocol = (uint8_t)p->protocol};
	h->ttl = hops(p);
	h->tot_len = htons((uint16_t)(sizeof(*h) + p->len));
	h->saddr = p->from.v4.sin_addr.s_addr;
	h->daddr = p->to.v4.sin_addr.s_addr;
	*sum = add(0, &h->saddr, 8);
	return sizeof(*h);
}

static size_t put_v6(const struct injected *p, struct ip6_hdr *h, uint32_t *sum)
{
	*h = (struct ip6_hdr){.ip6_flow = htonl(6u << 28), .ip6_nxt = (uint8_t)p->protocol};
	h->ip6_plen = htons((uint16_t)p->len);
	h->ip6_hlim = hops(p);
	h->ip6_src = p->from.v6.sin6_addr;
	h->ip6_dst = p->to.v6.sin6_addr;
	*sum = add(0, &h->ip6_src, 32);
	return sizeof(*h);
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

int inet_inject(struct restore *r, const struct injected *packet)
{
	union {
		struct iphdr v4;
		struct ip6_hdr v6;
	} head;
	struct injected p = *packet;
	const char *device = p.device ? p.device : "";
	struct iovec iov[] = {{.iov_base = &head}, {.iov_base = p.data, .iov_len = p.len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	union inet_addr to;
	uint32_t sum;
	uint16_t check = 0;
	int raw, ret;

	unmap(&p.from);
	unmap(&p.to);
	ret = socks_raw(r, p.net, p.to.sa.sa_family, &raw);
	if (ret < 0)
		return ret;
	iov[0].iov_len = p.to.sa.sa_family == AF_INET6 ? put_v6(&p, &head.v6, &sum)
						       : put_v4(&p, &head.v4, &sum);
	memcpy(p.data + p.sum_at, &check, sizeof(check));
	check = fold(add(sum + (uint32_t)p.protocol + (uint32_t)p.len, p.data, p.len));
	if (!check && p.protocol != IPPROTO_TCP)
		check = 0xffff; /* none would be 0: RFC 768 */
	memcpy(p.data + p.sum_at, &check, sizeof(check));
	to = p.to;
	to.v4.sin_port = 0;
	m.msg_name = &to;
	m.msg_namelen = inet_addr_len(&to);
	if (setsockopt(raw, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		return err_errno("device %s", device);
	return sendmsg(raw, &m, 0) < 0 ? err_errno("send a packet") : 0;
}
