/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fd/files.h"
#include "state/nft.h"
#include "state/sock/netlock.h"
#include "state/sock/tcp_urgent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define KEPT	 (1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_CLOSE_WAIT | TCP_OUR_FIN)
#define LIST_MAX 3 /* connections that are named */

static const char *const states[] = {
	[TCP_ESTABLISHED] = "established",
	[TCP_SYN_SENT] = "connecting",
	[TCP_SYN_RECV] = "being accepted",
	[TCP_FIN_WAIT1] = "half closed (FIN-WAIT-1)",
	[TCP_FIN_WAIT2] = "half closed (FIN-WAIT-2)",
	[TCP_TIME_WAIT] = "closed (TIME-WAIT)",
	[TCP_CLOSE_WAIT] = "closed by the peer (CLOSE-WAIT)",
	[TCP_LAST_ACK] = "closed by both (LAST-ACK)",
	[TCP_CLOSING] = "closed by both (CLOSING)",
};

/* Other than getpeername(2) also when it is closed; LEN must fit (sk_getsockopt(), SO_PEERNAME). */
bool tcp_peer(int fd, union inet_addr *ret)
{
	union inet_addr a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &a, &len) < 0 || !a.v4.sin_port)
		return false;
	*ret = a;
	return true;
}

/* "10.0.0.2:80 - 10.0.0.1:4711" */
static void show(const struct sock_view *s, char ret[static 170])
{
	union inet_addr a = {0}, b = {0};
	socklen_t len = sizeof(a);
	char from[80], to[80];

	getsockname(s->fd, &a.sa, &len);
	tcp_peer(s->fd, &b);
	inet_show(&a, from);
	inet_show(&b, to);
	snprintf(ret, 170, "%s - %s", from, to);
}

/* What goes beyond a stream of bytes. */
static int check_extras(struct dump *d, const struct sock_view *s, const char *name)
{
	const struct diag_tcp *t = socks_tcp(d, s->ino);
	char ulp[16] = "";
	socklen_t len = sizeof(ulp);

	if (getsockopt(s->fd, IPPROTO_TCP, TCP_ULP, ulp, &len) == 0 && len > 0 && ulp[0])
		return err_set(EOPNOTSUPP,
			       "%s: the TCP connection %s is the kernel's (TCP_ULP %.16s), whose "
			       "keys cannot be read",
			       s->v->link, name, ulp);
	if (t && t->md5)
		return err_set(EOPNOTSUPP,
			       "%s: the TCP connection %s is signed (TCP_MD5SIG); its keys cannot "
			       "be read",
			       s->v->link, name);
	return d->frozen ? 0 : tcp_urgent_check(d, s, name);
}

int tcp_check(struct dump *d, const struct sock_view *s, int state)
{
	const char *what = state > 0 && state < (int)ARRAY_SIZE(states) ? states[state] : NULL;
	char name[170];

	show(s, name);
	if (d->o.tcp_close)
		return 0;
	if (!(1 << state & KEPT))
		return err_set(EAGAIN,
			       "%s: the TCP connection %s is %s, which cannot be saved; try again, "
			       "or use --tcp-close",
			       s->v->link, name, what ? what : "in an unknown state");
	if (!d->o.tcp_established)
		return err_set(EOPNOTSUPP,
			       "%s: the TCP connection %s is %s; use --tcp-established to keep "
			       "such connections",
			       s->v->link, name, what);
	nft_load();
	return check_extras(d, s, name);
}

static void show_diag(const struct diag_tcp *t, char ret[static 170])
{
	union inet_addr a = {.sa.sa_family = (sa_family_t)t->family}, b = a;
	char from[80], to[80];

	memcpy(t->family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, t->src,
	       t->family == AF_INET ? 4 : 16);
	memcpy(t->family == AF_INET ? (void *)&b.v4.sin_addr : (void *)&b.v6.sin6_addr, t->dst,
	       t->family == AF_INET ? 4 : 16);
	a.v4.sin_port = htons(t->sport);
	b.v4.sin_port = htons(t->dport);
	inet_show(&a, from);
	inet_show(&b, to);
	snprintf(ret, 170, "%s - %s", from, to);
}

/* The other end of T is a socket of the tree. */
static bool is_inside(struct dump *d, const struct diag_tcp *t, const GArray *all)
{
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *o = &g_array_index(all, struct diag_tcp, i);

		if (o->sport == t->dport && o->dport == t->sport && o->family == t->family &&
		    !memcmp(o->src, t->dst, sizeof(o->src)) && socks_has(d, o->ino))
			return true;
	}
	return false;
}

/*
 * Nobody has them open yet: they have no inode.  Those of others are left to a tree that goes on.
 */
int tcp_check_backlog(struct dump *d, const struct sock_view *s, unsigned waiting)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	g_autoptr(GString) names = g_string_new(NULL);
	union inet_addr me = {0};
	socklen_t len = sizeof(me);
	unsigned n = 0;
	int r = socks_list_tcp(d, AF_INET, all);

	if (r == 0 && s->family == AF_INET6)
		r = socks_list_tcp(d, AF_INET6, all);
	if (r < 0)
		return r;
	getsockname(s->fd, &me.sa, &len);
	for (unsigned i = 0; i < all->len; i++) {
		const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);
		char name[170];

		if (t->ino || t->sport != ntohs(me.v4.sin_port) ||
		    (t->state != TCP_ESTABLISHED && t->state != TCP_CLOSE_WAIT) ||
		    (d->o.leave_running && !is_inside(d, t, all)) || n++ >= LIST_MAX)
			continue;
		show_diag(t, name);
		g_string_append_printf(names, "%s%s", n > 1 ? ", " : "", name);
	}
	if (d->o.leave_running)
		waiting = n;
	if (!waiting)
		return 0;
	return err_set(EAGAIN,
		       "%s: %u TCP connection%s to be accepted (%s%s)%s; try again, or use "
		       "--skip-in-flight to drop such connections",
		       s->v->link, waiting, waiting == 1 ? " waits" : "s wait", names->str,
		       waiting > LIST_MAX ? ", ..." : "",
		       d->o.tcp_established ? ", which this kernel cannot be given again"
					    : "; use --tcp-established to keep them");
}

struct tcp_stream {
	TcpStreamEntry *e;
	uint8_t *in, *out;
	struct tcp_urgent urgent;
	bool walks; /* SO_PEEK_OFF goes along (Linux 6.9) */
};

/* Up to what is urgent, which is in line, and from there on. */
static ssize_t peek_in(int fd, uint8_t *buf, size_t len, bool walks)
{
	ssize_t n = recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT);
	size_t at = n > 0 ? (size_t)n : 0;

	while (walks && n > 0 && at < len) {
		n = recv(fd, buf + at, len - at, MSG_PEEK | MSG_DONTWAIT);
		at += n > 0 ? (size_t)n : 0;
	}
	return at ? (ssize_t)at : n;
}

/* PEEK reads the queue that was chosen, sent and unsent (tcp_peek_sndq()). */
static int read_queue(int fd, int queue, uint32_t len, bool walks, uint32_t *ret_seq, uint8_t **ret)
{
	socklen_t size = sizeof(*ret_seq);
	g_autofree uint8_t *buf = g_malloc(len + 1);
	ssize_t n;
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	if (r < 0)
		return r;
	if (getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, ret_seq, &size) < 0)
		return err_errno("TCP_QUEUE_SEQ");
	n = len ? peek_in(fd, buf, len, walks) : 0;
	if (n < 0)
		return err_errno("read queue %d", queue);
	if ((uint32_t)n != len)
		return err_set(EIO, "queue %d gives %zd of %u bytes", queue, n, len);
	*ret = g_steal_pointer(&buf);
	return 0;
}

static int read_lengths(int fd, int state, TcpStreamEntry *e)
{
	int in, out, unsent;

	if (ioctl(fd, SIOCINQ, &in) < 0 || ioctl(fd, SIOCOUTQ, &out) < 0 ||
	    ioctl(fd, SIOCOUTQNSD, &unsent) < 0)
		return err_errno("lengths of its queues");
	/* A reset has purged the queue (tcp_write_queue_purge()), and left the numbers alone. */
	if (state == TCP_CLOSE)
		out = unsent = 0;
	if (1 << state & TCP_OUR_FIN) {
		out = out > 0 ? out - 1 : 0;
		unsent = unsent > 0 ? unsent - 1 : 0;
	}
	if ((unsigned)in > TCP_QUEUE_MAX || (unsigned)out > TCP_QUEUE_MAX)
		return err_set(EFBIG, "its queues hold %d and %d bytes", in, out);
	e->inq_len = (uint32_t)in;
	e->outq_len = (uint32_t)out;
	e->has_unsq_len = true;
	e->unsq_len = (uint32_t)unsent;
	return 0;
}

static int read_options(int fd, TcpStreamEntry *e)
{
	struct tcp_repair_window w;
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	int v;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_errno("TCP_INFO");
	len = sizeof(w);
	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) < 0)
		return err_errno("TCP_REPAIR_WINDOW");
	e->opt_mask = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	e->snd_wscale = info.tcpi_snd_wscale;
	e->has_rcv_wscale = true;
	e->rcv_wscale = info.tcpi_rcv_wscale;
	sock_get_int(fd, IPPROTO_TCP, TCP_MAXSEG, &v); /* in repair: what was agreed upon */
	e->mss_clamp = (uint32_t)v;
	if (sock_get_int(fd, IPPROTO_TCP, TCP_TIMESTAMP, &v)) {
		e->has_timestamp = true;
		e->timestamp = (uint32_t)v;
	}
	e->has_nodelay = sock_get_int(fd, IPPROTO_TCP, TCP_NODELAY, &v);
	e->nodelay = v != 0;
	e->has_cork = sock_get_int(fd, IPPROTO_TCP, TCP_CORK, &v);
	e->cork = v != 0;
	e->has_snd_wl1 = e->has_snd_wnd = e->has_max_window = e->has_rcv_wnd = e->has_rcv_wup =
		true;
	e->snd_wl1 = w.snd_wl1;
	e->snd_wnd = w.snd_wnd;
	e->max_window = w.max_window;
	e->rcv_wnd = w.rcv_wnd;
	e->rcv_wup = w.rcv_wup;
	return 0;
}

static int read_all(int fd, int state, struct tcp_stream *t)
{
	int r = read_lengths(fd, state, t->e);

	if (r == 0)
		r = read_options(fd, t->e);
	if (r == 0)
		r = read_queue(fd, TCP_RECV_QUEUE, t->e->inq_len, t->walks, &t->e->inq_seq, &t->in);
	if (r == 0)
		r = read_queue(fd, TCP_SEND_QUEUE, t->e->outq_len, false, &t->e->outq_seq, &t->out);
	return r;
}

/* Options that change how a queue is read, and as which leaving repair leaves them (SK_NO_REUSE).
 */
struct usual {
	int reuse, in_line, peek_off;
	bool has_peek_off;
};

static void unusual(int fd, struct tcp_stream *t, struct usual *ret)
{
	int one = 1, zero = 0;

	sock_get_int(fd, SOL_SOCKET, SO_REUSEADDR, &ret->reuse);
	sock_get_int(fd, SOL_SOCKET, SO_OOBINLINE, &ret->in_line);
	ret->has_peek_off = sock_get_int(fd, SOL_SOCKET, SO_PEEK_OFF, &ret->peek_off);
	t->walks = ret->has_peek_off &&
		   setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0;
	if (t->urgent.in)
		setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
}

static int as_usual(int fd, const struct tcp_stream *t, const struct usual *u)
{
	if ((t->walks &&
	     setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &u->peek_off, sizeof(u->peek_off)) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &u->in_line, sizeof(u->in_line)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &u->reuse, sizeof(u->reuse)) < 0)
		return err_errno("options of a TCP socket");
	return 0;
}

/* In repair only as long as we read: should we die, the connection is as it was. */
static int read_stream(int fd, int state, struct tcp_stream *t)
{
	int off = TCP_REPAIR_OFF_NO_WP, r, undo;
	struct usual usual;

	r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	if (r < 0)
		return r;
	unusual(fd, t, &usual);
	r = read_all(fd, state, t);
	undo = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0
		       ? err_errno("leave TCP_REPAIR")
		       : 0;
	if (undo == 0)
		undo = as_usual(fd, t, &usual);
	return r < 0 ? r : undo;
}

/* Reading SO_ERROR would take it away; that there is one is seen. */
static bool has_error(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

int tcp_dump(struct dump *d, const struct sock_view *s, int state, json_t *x)
{
	TcpStreamEntry e = TCP_STREAM_ENTRY__INIT;
	struct tcp_stream t = {.e = &e};
	int clamp, r = tcp_urgent_read(d, s, &t.urgent);

	if (r == 0)
		r = read_stream(s->fd, state, &t);
	if (r == 0)
		r = image_write(&d->w, IMG_TCP_STREAM, s->ino, &e.base);
	if (r == 0 && e.inq_len)
		r = image_write_raw(&d->w, IMG_TCP_STREAM, s->ino, t.in, e.inq_len);
	if (r == 0 && e.outq_len)
		r = image_write_raw(&d->w, IMG_TCP_STREAM, s->ino, t.out, e.outq_len);
	g_free(t.in);
	g_free(t.out);
	if (r < 0)
		return err_wrap(r, "TCP connection");
	tcp_urgent_dump(&t.urgent, x);
	if (sock_get_int(s->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp))
		json_object_set_new(x, "window_clamp", json_integer(clamp));
	if (state == TCP_CLOSE && has_error(s->fd))
		json_object_set_new(x, "error", json_true());
	files_need(d, 1); /* the one that ends its repair: tcp_restore.c */
	return state == TCP_CLOSE ? 0 : socks_keep(d, s->fd);
}
