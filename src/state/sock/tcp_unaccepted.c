/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/tcp_unaccepted.h"

#include "base/log.h"
#include "kernel/born.h"
#include "kernel/ns.h"
#include "kernel/peek.h"
#include "state/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#define QUEUE_MAX      100000
#define STATES	       (1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT | 1 << TCP_CLOSE)
#define OPT_TIME_IN_US 64 /* TCPI_OPT_USEC_TS, Linux 6.7 */

/* struct tcp_sock */
struct child {
	uint64_t sk;
	struct diag_tcp t;
	uint32_t copied, rcv_nxt, snd_nxt, snd_wnd, max_window, rcv_wnd, rcv_wup, ts_off, ts_recent;
	uint16_t mss;
	bool fin;
	struct tcp_urgent urgent;
};

bool tcp_unaccepted_can(struct dump *d)
{
	CLEANUP(born_close) struct born *b = NULL;
	struct peek *k;

	if (!d->o.tcp_established || d->o.tcp_close)
		return false;
	if (!d->unaccepted) {
		d->unaccepted = dump_peek(d, &k) && born_open(peek_types(k), -1, &b) == 0 ? 1 : -1;
		if (d->unaccepted < 0 && !d->no_peek) {
			log_debug("dump: %s", err_message());
			err_clear();
		}
	}
	return d->unaccepted > 0;
}

/*
 * Segments of ours go to the root's network namespace, and to addresses that it has.  For a socket
 * that is on its way the network has not been locked.
 */
static bool is_usual(const struct dump *d, const struct sock_view *s)
{
	autoclose int ns = ioctl(s->fd, SIOCGSKNS);
	uint64_t ino;
	int transparent;

	if (ns < 0 || ns_ino(ns, &ino) < 0) {
		err_clear();
		return false;
	}
	return s->protocol == IPPROTO_TCP && !fd_view_in_flight(s->v) && ino == d->ns[NS_NET] &&
	       !(sock_get_int(s->fd, IPPROTO_IP, IP_TRANSPARENT, &transparent) && transparent);
}

struct part {
	const char *type, *field;
	size_t to, len;
};
#define PART(type, field, to)                                                                      \
	{                                                                                          \
		type, field, offsetof(struct child, to), sizeof(((struct child *)0)->to)           \
	}

static int read_parts(struct peek *k, struct child *c, const struct part *v, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		uint64_t at;

		r = peek_at(k, c->sk, v[i].type, v[i].field, &at);
		if (r == 0)
			r = peek_read(k, at, (char *)c + v[i].to, v[i].len);
	}
	return r;
}

/* An IPv6 socket's peer with an IPv4 address is one of IPv4 on the wire. */
static void unmap(struct diag_tcp *t)
{
	if (t->family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED((struct in6_addr *)t->src))
		return;
	t->family = AF_INET;
	memmove(t->src, t->src + 12, 4);
	memmove(t->dst, t->dst + 12, 4);
	memset(t->src + 4, 0, 12);
	memset(t->dst + 4, 0, 12);
}

static int read_address(struct peek *k, struct child *c)
{
	static const struct part v4[] = {
		{"sock_common", "skc_rcv_saddr", offsetof(struct child, t.src), 4},
		{"sock_common", "skc_daddr", offsetof(struct child, t.dst), 4},
	};
	static const struct part v6[] = {
		{"sock_common", "skc_v6_rcv_saddr", offsetof(struct child, t.src), 16},
		{"sock_common", "skc_v6_daddr", offsetof(struct child, t.dst), 16},
	};
	static const struct part ports[] = {
		/* skc_num is forgotten when it is closed: inet_put_port() */
		PART("inet_sock", "inet_sport", t.sport),
		PART("sock_common", "skc_dport", t.dport),
		PART("sock_common", "skc_state", t.state),
		PART("sock_common", "skc_bound_dev_if", t.device),
	};
	uint16_t family;
	uint64_t at;
	int r = peek_at(k, c->sk, "sock_common", "skc_family", &at);

	if (r == 0)
		r = peek_read(k, at, &family, sizeof(family));
	if (r < 0)
		return r;
	c->t.family = family;
	r = read_parts(k, c, family == AF_INET6 ? v6 : v4, 2);
	if (r == 0)
		r = read_parts(k, c, ports, ARRAY_SIZE(ports));
	c->t.sport = ntohs(c->t.sport);
	c->t.dport = ntohs(c->t.dport);
	unmap(&c->t);
	return r;
}

static int read_child(struct peek *k, struct child *c)
{
	static const struct part numbers[] = {
		PART("tcp_sock", "copied_seq", copied),
		PART("tcp_sock", "rcv_nxt", rcv_nxt),
		PART("tcp_sock", "snd_nxt", snd_nxt),
		PART("tcp_sock", "snd_wnd", snd_wnd),
		PART("tcp_sock", "max_window", max_window),
		PART("tcp_sock", "rcv_wnd", rcv_wnd),
		PART("tcp_sock", "rcv_wup", rcv_wup),
		PART("tcp_sock", "tsoffset", ts_off),
		PART("tcp_sock", "rx_opt.ts_recent", ts_recent),
		PART("tcp_sock", "rx_opt.mss_clamp", mss),
	};
	int r = read_address(k, c);

	if (r == 0)
		r = read_parts(k, c, numbers, ARRAY_SIZE(numbers));
	return r < 0 ? r : tcp_urgent_peek(k, c->sk, &c->urgent);
}

static void show(const struct diag_tcp *t, char ret[static 170])
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	bool v6 = t->family == AF_INET6;

	inet_ntop(t->family, t->src, src, sizeof(src));
	inet_ntop(t->family, t->dst, dst, sizeof(dst));
	g_snprintf(ret, 170, v6 ? "[%s]:%u - [%s]:%u" : "%s:%u - %s:%u", src, t->sport, dst,
		   t->dport);
}

/* All of these pass when it is accepted. */
static const char *unfit(const struct child *c)
{
	const struct in6_addr *a = (const void *)c->t.dst;

	if (!(1 << c->t.state & STATES))
		return "it is being accepted before its handshake is over (TCP Fast Open)";
	if (c->urgent.in == TCP_URGENT_TO_COME)
		return "urgent data (MSG_OOB) are to come";
	if (c->t.state == TCP_CLOSE)
		return NULL;
	if (c->t.md5 || c->t.ulp)
		return "it is signed (TCP_MD5SIG)";
	if (c->t.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(a))
		return "its address is of one link only";
	if (c->mss < BORN_MSS_MIN(c->t.family))
		return "its peer wants smaller segments than the kernel gives to one that is made "
		       "again";
	return c->t.options & OPT_TIME_IN_US ? "its timestamps are in microseconds" : NULL;
}

struct walk {
	struct dump *d;
	const struct sock_view *s;
	json_t *list; /* NULL: it is only looked at */
	uint32_t now; /* of timestamps */
};

/* What sock_diag says of it; closed ones are not listed. */
static int ask(const struct walk *w, struct child *c)
{
	struct diag_tcp t;
	int r;

	if (c->t.state == TCP_CLOSE)
		return 0;
	r = diag_tcp_find(g_array_index(w->d->socks->diags, int, 0), &c->t, &t);
	if (r == 0 && t.state == c->t.state) {
		c->t.options = t.options;
		c->t.snd_wscale = t.snd_wscale;
		c->t.rcv_wscale = t.rcv_wscale;
		c->t.md5 = t.md5;
		c->t.ulp = t.ulp;
		return 0;
	}
	if (r < 0 || !w->d->frozen) /* it changes while we look */
		return r < 0 ? r : 0;
	return err_set(EAGAIN,
		       "%s: a TCP connection that nobody has accepted yet is changing; "
		       "try again",
		       w->s->v->link);
}

struct data {
	const struct child *c;
	GByteArray *all;
	bool fin;
};

/* A segment may begin with what has been in the one before: tcp_queue_rcv(). */
static int add_segment(struct peek *k, uint64_t skb, void *arg)
{
	g_autoptr(GByteArray) part = g_byte_array_new();
	struct data *d = arg;
	uint64_t cb, flags_at;
	uint32_t seq, from;
	uint8_t flags;
	int r = peek_at(k, skb, "sk_buff", "cb", &cb);

	if (r == 0)
		r = peek_u32(k, cb, "tcp_skb_cb", "seq", &seq);
	if (r == 0)
		r = peek_at(k, cb, "tcp_skb_cb", "tcp_flags", &flags_at);
	if (r == 0)
		r = peek_read(k, flags_at, &flags, sizeof(flags));
	if (r == 0)
		r = peek_skb_data(k, skb, part);
	if (r < 0)
		return r;
	d->fin |= (flags & TH_FIN) != 0;
	from = d->c->copied + d->all->len - seq;
	if (from < part->len)
		g_byte_array_append(d->all, part->data + from, part->len - from);
	return 0;
}

static int read_data(struct peek *k, struct child *c, GByteArray *all)
{
	struct data d = {.c = c, .all = all};
	uint64_t queue;
	int r = peek_at(k, c->sk, "sock", "sk_receive_queue", &queue);

	if (r == 0)
		r = peek_skbs(k, queue, add_segment, &d);
	c->fin = d.fin;
	if (r == 0 && all->len + d.fin != c->rcv_nxt - c->copied)
		r = err_set(EAGAIN, "%u of %u bytes are there; try again", all->len,
			    c->rcv_nxt - c->copied - d.fin);
	return r;
}

static void describe(const struct walk *w, const struct child *c, uint32_t len, TcpStreamEntry *e)
{
	e->inq_len = len;
	e->inq_seq = c->rcv_nxt;
	e->outq_seq = c->snd_nxt;
	e->has_unsq_len = true;
	e->opt_mask = c->t.options &
		      (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE | TCPI_OPT_ECN);
	e->snd_wscale = c->t.snd_wscale;
	e->has_rcv_wscale = true;
	e->rcv_wscale = c->t.rcv_wscale;
	e->mss_clamp = c->mss;
	e->has_timestamp = (c->t.options & TCPI_OPT_TIMESTAMPS) != 0;
	e->timestamp = w->now + c->ts_off;
	e->has_snd_wl1 = e->has_snd_wnd = e->has_max_window = e->has_rcv_wnd = e->has_rcv_wup =
		true;
	e->snd_wl1 = c->rcv_nxt;
	e->snd_wnd = c->snd_wnd;
	e->max_window = c->max_window;
	e->rcv_wnd = c->rcv_wnd;
	e->rcv_wup = c->rcv_wup;
}

static json_t *show_end(const struct diag_tcp *t, const uint8_t *addr, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(t->family, addr, text, sizeof(text));
	return json_pack("[s,i]", text, port);
}

static int write_child(const struct walk *w, struct peek *k, struct child *c)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	TcpStreamEntry e = TCP_STREAM_ENTRY__INIT;
	uint32_t id = socks_stream_id(w->d);
	json_t *one;
	int r = read_data(k, c, data);

	describe(w, c, data->len, &e);
	if (r == 0)
		r = image_write(&w->d->w, IMG_TCP_STREAM, id, &e.base);
	if (r == 0 && data->len)
		r = image_write_raw(&w->d->w, IMG_TCP_STREAM, id, data->data, data->len);
	if (r < 0)
		return r;
	one = json_pack("{s:I,s:o,s:o,s:I,s:b,s:b}", "stream", (json_int_t)id, "from",
			show_end(&c->t, c->t.dst, c->t.dport), "to",
			show_end(&c->t, c->t.src, c->t.sport), "time", (json_int_t)c->ts_recent,
			"fin", c->fin, "reset", c->t.state == TCP_CLOSE);
	tcp_urgent_dump(&c->urgent, one);
	json_array_append_new(w->list, one);
	return 0;
}

static int visit(const struct walk *w, struct peek *k, uint64_t sk)
{
	struct child c = {.sk = sk};
	const char *why;
	char name[170];
	int r = read_child(k, &c);

	if (r == 0)
		r = ask(w, &c);
	/* whoever came after the network was locked goes on with a tree that does */
	if (r < 0 || (w->d->frozen && w->d->o.leave_running && c.t.state != TCP_CLOSE &&
		      !socks_locked(w->d, &c.t)))
		return r;
	show(&c.t, name);
	why = unfit(&c);
	if (why)
		return err_set(EAGAIN,
			       "%s: the TCP connection %s waits to be accepted, and cannot be "
			       "saved before: %s; try again, or use --skip-in-flight to drop such "
			       "connections",
			       w->s->v->link, name, why);
	if (!w->list)
		return 0;
	r = write_child(w, k, &c);
	return r < 0 ? err_wrap(r, "%s: the TCP connection %s", w->s->v->link, name) : 0;
}

/* include/net/request_sock.h: struct request_sock_queue; reqsk_queue_remove() */
static int walk(const struct walk *w)
{
	uint64_t at, sk;
	struct peek *k;
	int r;

	if (!dump_peek(w->d, &k))
		return 1;
	r = peek_sock(k, w->s->fd, &sk);
	if (r == 0)
		r = peek_u64(k, sk, "inet_connection_sock", "icsk_accept_queue.rskq_accept_head",
			     &at);
	for (unsigned i = 0; r == 0 && at && i < QUEUE_MAX; i++) {
		r = peek_u64(k, at, "request_sock", "sk", &sk);
		if (r == 0)
			r = visit(w, k, sk);
		if (r == 0)
			r = peek_u64(k, at, "request_sock", "dl_next", &at);
	}
	return r;
}

int tcp_unaccepted_check(struct dump *d, const struct sock_view *s)
{
	int r;

	if (!tcp_unaccepted_can(d) || !is_usual(d, s))
		return 1;
	nft_load(); /* not while the tree stands still */
	r = walk(&(struct walk){.d = d, .s = s});
	if (r == -EOPNOTSUPP || (r == -EFAULT && !d->frozen)) {
		err_clear(); /* another kernel's; it changes while we look */
		return r == -EOPNOTSUPP;
	}
	return r;
}

/* What the timestamp of a connection would be that had no offset: TCP_TIMESTAMP */
static int read_clock(int family, uint32_t *ret)
{
	autoclose int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int now;

	if (fd < 0 || !sock_get_int(fd, IPPROTO_TCP, TCP_TIMESTAMP, &now))
		return err_errno("TCP_TIMESTAMP");
	*ret = (uint32_t)now;
	return 0;
}

int tcp_unaccepted_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	struct walk w = {.d = d, .s = s, .list = json_array()};
	int r = read_clock(s->family, &w.now);

	json_object_set_new(x, "unaccepted", w.list);
	return r < 0 ? r : walk(&w);
}

static bool load_end(const json_t *end, uint8_t addr[static 16], uint16_t *port, int *family)
{
	const char *text = json_string_value(json_array_get(end, 0));

	*port = (uint16_t)json_integer_value(json_array_get(end, 1));
	*family = text && strchr(text, ':') ? AF_INET6 : AF_INET;
	return text && inet_pton(*family, text, addr) == 1;
}

bool tcp_unaccepted_list(const json_t *x, GArray *list)
{
	json_t *one;
	size_t i = 0;

	json_array_foreach(json_object_get(x, "unaccepted"), i, one)
	{
		struct diag_tcp t = {.state = TCP_ESTABLISHED};
		int other;

		if (load_end(json_object_get(one, "from"), t.dst, &t.dport, &t.family) &&
		    load_end(json_object_get(one, "to"), t.src, &t.sport, &other) &&
		    t.family == other)
			g_array_append_val(list, t);
	}
	return i > 0;
}
