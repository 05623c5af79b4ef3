/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Empty datagrams: to peek at one is to hide it from those who peek later
 * (__skb_try_recv_from_queue()), so that the next dump would not find it, be it only the second try
 * of this one.  They are seen in the kernel's memory.
 */
#include "state/sock/inet.h"

#include "kernel/peek.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>

struct look {
	GArray *all; /* struct udp_waiting */
	bool empty;
};

/* AT of the packet's buffer, where its header field FIELD says. */
static int read_header(struct peek *k, uint64_t skb, const char *field, void *buf, size_t len)
{
	uint64_t head, at;
	uint16_t offset;
	int r = peek_u64(k, skb, "sk_buff", "head", &head);

	if (r == 0)
		r = peek_at(k, skb, "sk_buff", field, &at);
	if (r == 0)
		r = peek_read(k, at, &offset, sizeof(offset));
	return r < 0 ? r : peek_read(k, head + offset, buf, len);
}

static int read_v4(struct peek *k, uint64_t skb, struct udp_waiting *w)
{
	struct iphdr ip;
	int r = read_header(k, skb, "network_header", &ip, sizeof(ip));

	w->from.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = ip.saddr};
	w->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = ip.daddr};
	return r;
}

static int read_v6(struct peek *k, uint64_t skb, struct udp_waiting *w)
{
	struct ip6_hdr ip;
	uint64_t cb;
	uint32_t device = 0;
	int r = read_header(k, skb, "network_header", &ip, sizeof(ip));

	if (r == 0)
		r = peek_at(k, skb, "sk_buff", "cb", &cb);
	if (r == 0)
		r = peek_u32(k, cb, "inet6_skb_parm", "iif", &device);
	if (!IN6_IS_ADDR_LINKLOCAL(&ip.ip6_src)) /* ipv6_iface_scope_id() */
		device = 0;
	w->from.v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_addr = ip.ip6_src, .sin6_scope_id = device};
	w->to.v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_addr = ip.ip6_dst, .sin6_scope_id = device};
	return r;
}

static int add(struct peek *k, uint64_t skb, void *arg)
{
	struct look *l = arg;
	struct udp_waiting w = {0};
	uint64_t at;
	uint16_t protocol;
	uint32_t len;
	int r = peek_u32(k, skb, "sk_buff", "len", &len);

	w.empty = !len;
	if (r == 0 && w.empty)
		r = peek_at(k, skb, "sk_buff", "protocol", &at);
	if (r == 0 && w.empty)
		r = peek_read(k, at, &protocol, sizeof(protocol));
	if (r == 0 && w.empty)
		r = protocol == htons(0x86dd) ? read_v6(k, skb, &w) : read_v4(k, skb, &w);
	if (r == 0 && w.empty)
		r = read_header(k, skb, "transport_header", &w.from.v4.sin_port,
				sizeof(w.from.v4.sin_port));
	l->empty |= w.empty;
	g_array_append_val(l->all, w);
	return r;
}

GArray *udp_empty_look(struct dump *d, const struct sock_view *s)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct udp_waiting));
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	struct look l = {.all = all};
	uint64_t sk, queue;
	struct peek *k;
	int r;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLIN) || !dump_peek(d, &k))
		return NULL;
	r = peek_sock(k, s->fd, &sk);
	/* the one that readers take from: __skb_recv_udp() */
	if (r == 0)
		r = peek_at(k, sk, "udp_sock", "reader_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add, &l);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add, &l);
	if (r < 0)
		err_clear(); /* another kernel's */
	return r == 0 && l.empty ? g_steal_pointer(&all) : NULL;
}
