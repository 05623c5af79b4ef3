/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that sign what a TCP socket sends, and that it demands of others (TCP_MD5SIG, RFC 2385).
 * Nobody is told them; they are read from the kernel's memory (kernel/peek.h): include/net/tcp.h:
 * struct tcp_md5sig_key.
 *
 * Beside the socket's record: {"md5": [[family, prefix, address, key], ...]}, both in hexadecimal.
 */
#include "kernel/peek.h"
#include "state/sock/inet.h"

#include <errno.h>
#include <string.h>

#define KEY	    "md5"
#define KEYS_MAX    4096
#define HAS_DEVICE  2  /* TCP_MD5SIG_FLAG_IFINDEX */
#define AO_INFO	    40 /* TCP_AO_INFO, Linux 6.7 */
#define ADDR_BYTES  16
#define MD5SIG_EXT  32 /* TCP_MD5SIG_EXT */
#define PREFIX_FLAG 1

struct key {
	uint8_t len, family, prefix, flags, addr[ADDR_BYTES], key[TCP_MD5SIG_MAXKEYLEN];
};

/* sock_diag says so of those that listen; others it does not list, or tcp_check() has refused. */
static bool may_sign(struct dump *d, const struct sock_view *s, bool *ret_sure)
{
	unsigned how =
		GPOINTER_TO_UINT(g_hash_table_lookup(d->socks->shut, GUINT_TO_POINTER(s->ino)));
	int state = inet_state(s);

	*ret_sure = (how & DIAG_SIGNS) != 0;
	if (s->protocol != IPPROTO_TCP) /* MPTCP's is another struct, and takes none */
		return false;
	return state == TCP_LISTEN ? *ret_sure : state == TCP_CLOSE;
}

/* 1: it has none.  *RET_FIRST is the first of a list. */
static int find(struct dump *d, const struct sock_view *s, struct peek **ret, uint64_t *ret_first)
{
	uint64_t sk, info, head;
	bool sure;
	int r;

	if (!may_sign(d, s, &sure))
		return 1;
	if (!dump_peek(d, ret))
		return sure ? err_set(EOPNOTSUPP, "its keys (TCP_MD5SIG) cannot be read, as this "
						  "kernel does not let its memory be read")
			    : 1;
	r = peek_sock(*ret, s->fd, &sk);
	if (r == 0)
		r = peek_u64(*ret, sk, "tcp_sock", "md5sig_info", &info);
	if (r == -EOPNOTSUPP) { /* without CONFIG_TCP_MD5SIG */
		err_clear();
		return 1;
	}
	if (r < 0 || !info)
		return r < 0 ? r : 1;
	r = peek_at(*ret, info, "tcp_md5sig_info", "head", &head);
	if (r == 0)
		r = peek_read(*ret, head, ret_first, sizeof(*ret_first));
	return r < 0 ? r : !*ret_first;
}

static int read_key(struct peek *k, uint64_t at, struct key *ret)
{
	const struct {
		const char *field;
		void *to;
		size_t bytes;
	} parts[] = {
		{"keylen", &ret->len, 1},	 {"family", &ret->family, 1},
		{"prefixlen", &ret->prefix, 1},	 {"flags", &ret->flags, 1},
		{"addr", ret->addr, ADDR_BYTES}, {"key", ret->key, sizeof(ret->key)},
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
		uint64_t where;

		r = peek_at(k, at, "tcp_md5sig_key", parts[i].field, &where);
		if (r == 0)
			r = peek_read(k, where, parts[i].to, parts[i].bytes);
	}
	if (r == 0 && (ret->len > sizeof(ret->key) || ret->flags & HAS_DEVICE))
		r = err_set(EOPNOTSUPP, "a key (TCP_MD5SIG) is for one device only, which cannot "
					"be saved");
	return r;
}

static char *hex(const uint8_t *v, size_t n)
{
	GString *s = g_string_new(NULL);

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(s, "%02x", v[i]);
	return g_string_free(s, FALSE);
}

/* Calls nobody when there are none; X may be NULL. */
static int walk(struct dump *d, const struct sock_view *s, json_t *x)
{
	json_t *all = NULL;
	struct peek *k;
	uint64_t at;
	int r = find(d, s, &k, &at);

	for (unsigned n = 0; r == 0 && at && n < KEYS_MAX; n++) {
		g_autofree char *addr = NULL, *secret = NULL;
		struct key key;

		r = read_key(k, at, &key);
		if (r == 0)
			r = peek_read(k, at, &at, sizeof(at)); /* node is the first field */
		if (r < 0 || !x)
			continue;
		if (!all)
			json_object_set_new(x, KEY, all = json_array());
		addr = hex(key.addr, ADDR_BYTES);
		secret = hex(key.key, key.len);
		/* the last is the first again when all are set in this order */
		json_array_insert_new(all, 0,
				      json_pack("[i,i,s,s]", key.family, key.prefix, addr, secret));
	}
	return r < 0 ? err_wrap(r, "%s", s->v->link) : 0;
}

int tcp_keys_check(struct dump *d, const struct sock_view *s)
{
	uint8_t info[256] = {0};
	socklen_t len = 56; /* struct tcp_ao_info_opt */

	if (getsockopt(s->fd, IPPROTO_TCP, AO_INFO, info, &len) == 0)
		return err_set(EOPNOTSUPP,
			       "%s: it signs what it sends (TCP_AO), which cannot be "
			       "saved; close it first",
			       s->v->link);
	return walk(d, s, NULL);
}

int tcp_keys_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	return walk(d, s, x);
}

static bool unhex(const char *text, uint8_t *to, size_t max, size_t *ret_n)
{
	size_t n = text ? strlen(text) / 2 : 0;

	for (size_t i = 0; i < n && n <= max; i++) {
		int hi = g_ascii_xdigit_value(text[2 * i]), lo;

		lo = g_ascii_xdigit_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret_n = n;
	return text && n <= max;
}

/* A socket of IPv6 takes one for an IPv4 address as mapped, with IPv4's prefix. */
static void put_addr(struct tcp_md5sig *m, int family, int of_key, const uint8_t *addr)
{
	struct sockaddr_in6 *v6 = (void *)&m->tcpm_addr;
	struct sockaddr_in *v4 = (void *)&m->tcpm_addr;

	if (family == AF_INET) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, addr, 4);
		return;
	}
	v6->sin6_family = AF_INET6;
	if (of_key == AF_INET6) {
		memcpy(&v6->sin6_addr, addr, ADDR_BYTES);
		return;
	}
	v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&v6->sin6_addr.s6_addr[12], addr, 4);
}

int tcp_keys_restore(int fd, int family, const json_t *x)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(x, KEY), i, one)
	{
		struct tcp_md5sig m = {.tcpm_flags = PREFIX_FLAG};
		const char *addr_text, *key_text;
		uint8_t addr[ADDR_BYTES] = {0};
		size_t n, addr_n;
		int of_key, prefix;

		if (json_unpack(one, "[i,i,s,s]", &of_key, &prefix, &addr_text, &key_text) < 0 ||
		    !unhex(addr_text, addr, sizeof(addr), &addr_n) ||
		    !unhex(key_text, m.tcpm_key, sizeof(m.tcpm_key), &n))
			return err_set(EBADMSG, IMAGE_EXTRA ": a key of a TCP socket");
		m.tcpm_keylen = (uint16_t)n;
		m.tcpm_prefixlen = (uint8_t)prefix;
		put_addr(&m, family, of_key, addr);
		if (setsockopt(fd, IPPROTO_TCP, MD5SIG_EXT, &m, sizeof(m)) < 0)
			return err_errno("TCP_MD5SIG");
	}
	return 0;
}
