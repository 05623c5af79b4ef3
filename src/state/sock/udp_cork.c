/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram that is being put together (UDP_CORK, MSG_MORE): it is in the socket's queue of what
 * is to be sent, which nobody can read, so it is read from the kernel's memory (kernel/peek.h).
 * net/ipv4/ip_output.c: __ip_append_data() leaves room for headers in front of each piece, and for
 * UDP's in the first.
 *
 * Beside the socket's record: {"cork": {"to": [address, port, scope], "data": base64}}.
 */
#include "kernel/peek.h"
#include "state/sock/inet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>

#define KEY	     "cork"
#define DATAGRAM_MAX 65535

struct walk {
	GByteArray *data;
	bool first;
};

static int add_piece(struct peek *k, uint64_t skb, void *arg)
{
	g_autoptr(GByteArray) piece = g_byte_array_new();
	struct walk *w = arg;
	uint64_t data, head, at;
	uint16_t transport;
	size_t skip;
	int r = peek_u64(k, skb, "sk_buff", "data", &data);

	if (r == 0)
		r = peek_u64(k, skb, "sk_buff", "head", &head);
	if (r == 0)
		r = peek_at(k, skb, "sk_buff", "transport_header", &at);
	if (r == 0)
		r = peek_read(k, at, &transport, sizeof(transport));
	if (r == 0)
		r = peek_skb_data(k, skb, piece);
	if (r < 0)
		return r;
	skip = (size_t)(head + transport - data) + (w->first ? sizeof(struct udphdr) : 0);
	w->first = false;
	if (skip > piece->len || w->data->len + piece->len - skip > DATAGRAM_MAX)
		return err_set(EOPNOTSUPP, "a datagram that is not complete is not as expected");
	g_byte_array_append(w->data, piece->data + skip, (guint)(piece->len - skip));
	return 0;
}

/* AF_INET, AF_INET6; 0: nothing is there. */
static int read_pending(struct peek *k, uint64_t sk, uint32_t *ret)
{
	return peek_u32(k, sk, "udp_sock", "pending", ret);
}

static int read_to(struct peek *k, uint64_t sk, uint32_t family, union inet_addr *to)
{
	bool v6 = family == AF_INET6;
	uint64_t at;
	int r = peek_at(k, sk, "inet_sock",
			v6 ? "cork.fl.u.ip6.uli.ports.dport" : "cork.fl.u.ip4.uli.ports.dport",
			&at);

	*to = (union inet_addr){.sa.sa_family = v6 ? AF_INET6 : AF_INET};
	if (r == 0)
		r = peek_read(k, at, &to->v4.sin_port, sizeof(to->v4.sin_port));
	if (r == 0)
		r = peek_at(k, sk, "inet_sock", v6 ? "cork.fl.u.ip6.daddr" : "cork.fl.u.ip4.daddr",
			    &at);
	if (r == 0)
		r = v6 ? peek_read(k, at, &to->v6.sin6_addr, sizeof(to->v6.sin6_addr))
		       : peek_read(k, at, &to->v4.sin_addr, sizeof(to->v4.sin_addr));
	if (r == 0 && v6)
		r = peek_u32(k, sk, "inet_sock", "cork.fl.u.ip6.__fl_common.flowic_oif",
			     &to->v6.sin6_scope_id);
	return r;
}

/* 1: nothing waits. */
static int look(struct dump *d, const struct sock_view *s, struct peek **ret, uint64_t *ret_sk,
		uint32_t *ret_family)
{
	int waits = 0, r;

	if (ioctl(s->fd, SIOCOUTQ, &waits) < 0 || waits <= 0)
		return 1;
	if (!dump_peek(d, ret))
		return err_set(EOPNOTSUPP,
			       "a datagram waits to be completed (UDP_CORK, MSG_MORE) or to be "
			       "sent, and this kernel does not let its memory be read; complete it "
			       "first");
	r = peek_sock(*ret, s->fd, ret_sk);
	if (r == 0)
		r = read_pending(*ret, *ret_sk, ret_family);
	return r < 0 ? r : !*ret_family; /* it is only on its way to a device */
}

int udp_cork_check(struct dump *d, const struct sock_view *s)
{
	uint32_t family;
	struct peek *k;
	uint64_t sk;
	int r = look(d, s, &k, &sk, &family);

	return r < 0 ? err_wrap(r, "%s", s->v->link) : 0;
}

int udp_cork_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	struct walk w = {.data = data, .first = true};
	g_autofree char *text = NULL;
	char addr[INET6_ADDRSTRLEN];
	union inet_addr to;
	uint32_t family;
	uint64_t sk, queue;
	struct peek *k;
	int r = look(d, s, &k, &sk, &family);

	if (r != 0)
		return MIN(r, 0);
	r = read_to(k, sk, family, &to);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_write_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add_piece, &w);
	if (r < 0)
		return err_wrap(r, "a datagram that waits to be completed");
	text = g_base64_encode(data->data, data->len);
	inet_ntop(to.sa.sa_family,
		  family == AF_INET6 ? (void *)&to.v6.sin6_addr : (void *)&to.v4.sin_addr, addr,
		  sizeof(addr));
	json_object_set_new(x, KEY,
			    json_pack("{s:[s,i,I],s:s}", "to", addr, ntohs(to.v4.sin_port),
				      family == AF_INET6 ? (json_int_t)to.v6.sin6_scope_id : 0,
				      "data", text));
	return 0;
}

static bool parse(const json_t *j, union inet_addr *to)
{
	const char *addr;
	int port, scope;

	*to = (union inet_addr){0};
	if (json_unpack((json_t *)j, "[s,i,i]", &addr, &port, &scope) < 0)
		return false;
	to->v4.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, addr, &to->v4.sin_addr) == 1) {
		to->sa.sa_family = AF_INET;
		return true;
	}
	to->sa.sa_family = AF_INET6;
	to->v6.sin6_scope_id = (uint32_t)scope;
	return inet_pton(AF_INET6, addr, &to->v6.sin6_addr) == 1;
}

int udp_cork_restore(int fd, const json_t *x)
{
	const json_t *j = json_object_get(x, KEY);
	const char *text = json_string_value(json_object_get(j, "data"));
	g_autofree uint8_t *data = NULL;
	union inet_addr to;
	size_t n;

	if (!j)
		return 0;
	if (!text || strlen(text) > 2 * DATAGRAM_MAX || !parse(json_object_get(j, "to"), &to))
		return err_set(EBADMSG, IMAGE_EXTRA ": a datagram that waits to be completed");
	data = g_base64_decode(text, &n);
	if (sendto(fd, data, n, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL, &to.sa,
		   inet_addr_len(&to)) != (ssize_t)n)
		return err_errno("a datagram that waits to be completed");
	return 0;
}
