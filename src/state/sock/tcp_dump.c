/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/inet.h"
#include "state/sock/netlock.h"
#include "state/sock/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#define QUEUE_MAX (256u << 20)

/* States in which our FIN has been sent counts as one more number; it is no data. */
#define SENT_FIN (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2)
#define KEPT	 (1 << TCP_ESTABLISHED | SENT_FIN)

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

int tcp_check(struct dump *d, const struct sock_view *s, int state)
{
	union inet_addr a = {0}, b = {0};
	socklen_t len = sizeof(a);
	const char *what = state > 0 && state < (int)ARRAY_SIZE(states) ? states[state] : NULL;
	char from[80], to[80];

	getsockname(s->fd, &a.sa, &len);
	len = sizeof(b);
	if (getpeername(s->fd, &b.sa, &len) < 0)
		b.sa.sa_family = a.sa.sa_family;
	inet_show(&a, from);
	inet_show(&b, to);
	if (!(1 << state & KEPT))
		return err_set(EOPNOTSUPP,
			       "%s: the TCP connection %s - %s is %s, which cannot be saved",
			       s->v->link, from, to, what ?: "in an unknown state");
	if (!d->o.tcp_established)
		return err_set(EOPNOTSUPP,
			       "%s: the TCP connection %s - %s is %s; use --tcp-established to "
			       "keep such connections",
			       s->v->link, from, to, what);
	netlock_load();
	return 0;
}

/* PEEK reads the queue that was chosen, sent and unsent (tcp_peek_sndq()). */
static int read_queue(int fd, int queue, uint32_t len, uint32_t *ret_seq, uint8_t **ret)
{
	socklen_t size = sizeof(*ret_seq);
	g_autofree uint8_t *buf = g_malloc(len + 1);
	ssize_t n;
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	if (r < 0)
		return r;
	if (getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, ret_seq, &size) < 0)
		return err_errno("TCP_QUEUE_SEQ");
	n = len ? recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT) : 0;
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
	if (1 << state & SENT_FIN) {
		out = out > 0 ? out - 1 : 0;
		unsent = unsent > 0 ? unsent - 1 : 0;
	}
	if ((unsigned)in > QUEUE_MAX || (unsigned)out > QUEUE_MAX)
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
		r = read_queue(fd, TCP_RECV_QUEUE, t->e->inq_len, &t->e->inq_seq, &t->in);
	if (r == 0)
		r = read_queue(fd, TCP_SEND_QUEUE, t->e->outq_len, &t->e->outq_seq, &t->out);
	return r;
}

/*
 * In repair only as long as we read: should we die, the connection is as it was.  Leaving repair
 * forgets SO_REUSEADDR (SK_NO_REUSE).
 */
static int read_stream(int fd, int state, struct tcp_stream *t)
{
	int reuse, off = TCP_REPAIR_OFF_NO_WP, r, undo;

	sock_get_int(fd, SOL_SOCKET, SO_REUSEADDR, &reuse);
	r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	if (r < 0)
		return r;
	r = read_all(fd, state, t);
	undo = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0 ||
	       setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) < 0;
	return r == 0 && undo ? err_errno("leave TCP_REPAIR") : r;
}

int tcp_dump(struct dump *d, const struct sock_view *s, int state)
{
	TcpStreamEntry e = TCP_STREAM_ENTRY__INIT;
	struct tcp_stream t = {.e = &e};
	int r = read_stream(s->fd, state, &t);

	if (r == 0)
		r = image_write(&d->w, IMG_TCP_STREAM, s->ino, &e.base);
	if (r == 0 && e.inq_len)
		r = image_write_raw(&d->w, IMG_TCP_STREAM, s->ino, t.in, e.inq_len);
	if (r == 0 && e.outq_len)
		r = image_write_raw(&d->w, IMG_TCP_STREAM, s->ino, t.out, e.outq_len);
	g_free(t.in);
	g_free(t.out);
	return r < 0 ? err_wrap(r, "TCP connection") : socks_keep(d, s->fd);
}
