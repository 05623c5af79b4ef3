/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/tcp_urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* net/tcp.h: what TCP_MAXSEG takes */
#define TCP_MIN_MSS    88
#define MAX_TCP_WINDOW 32767

struct tcp_stream {
	TcpStreamEntry *e;
	uint8_t *in, *out;
	int state;
	/* where the data begins, and behind its end */
	uint32_t in_first, in_end, out_first, out_end;
	struct tcp_urgent urgent;
};

static void stream_clear(struct tcp_stream *t)
{
	if (t->e)
		tcp_stream_entry__free_unpacked(t->e, NULL);
	g_free(t->in);
	g_free(t->out);
}

static int load(struct restore *r, const InetSkEntry *sk, struct tcp_stream *t)
{
	CLEANUP(image_close) struct image *img = NULL;
	TcpStreamEntry *e;
	int err = image_open_needed(r->o.images, IMG_TCP_STREAM, sk->ino, &img);

	if (err == 0)
		err = image_read(img, &t->e);
	e = t->e;
	if (err != 0)
		return err < 0 ? err : err_set(EBADMSG, "tcp-stream-%x.img is empty", sk->ino);
	if (e->inq_len > TCP_QUEUE_MAX || e->outq_len > TCP_QUEUE_MAX ||
	    e->unsq_len > e->outq_len || (uint64_t)e->inq_len + e->outq_len > image_rest(img))
		return err_set(EBADMSG, "%s: queues of %u and %u bytes", img->name, e->inq_len,
			       e->outq_len);
	t->in = g_malloc(e->inq_len + 1);
	t->out = g_malloc(e->outq_len + 1);
	err = image_read_raw(img, t->in, e->inq_len);
	if (err == 0)
		err = image_read_raw(img, t->out, e->outq_len);
	t->state = (int)sk->state;
	t->in_end = e->inq_seq - ((1 << t->state & TCP_THEIR_FIN) != 0);
	t->out_end = e->outq_seq - ((1 << t->state & TCP_OUR_FIN) != 0);
	t->in_first = t->in_end - e->inq_len;
	t->out_first = t->out_end - e->outq_len;
	return err;
}

static int set_seq(int fd, int queue, uint32_t seq)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return r < 0 ? r : sock_set_int(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq);
}

static int repair(int fd, bool on)
{
	/* no window probe (Linux 4.19): that is for the end */
	return sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR, on ? TCP_REPAIR_ON : TCP_REPAIR_OFF_NO_WP);
}

static int begin(int fd, uint32_t in, uint32_t out)
{
	int r = repair(fd, true);

	if (r == 0)
		r = set_seq(fd, TCP_RECV_QUEUE, in);
	return r < 0 ? r : set_seq(fd, TCP_SEND_QUEUE, out);
}

static int set_options(int fd, const TcpStreamEntry *e)
{
	struct tcp_repair_opt v[4];
	unsigned n = 0;

	if (e->opt_mask & TCPI_OPT_SACK)
		v[n++] = (struct tcp_repair_opt){.opt_code = TCPOPT_SACK_PERMITTED};
	if (e->opt_mask & TCPI_OPT_WSCALE)
		v[n++] = (struct tcp_repair_opt){.opt_code = TCPOPT_WINDOW,
						 .opt_val = e->snd_wscale | e->rcv_wscale << 16};
	if (e->opt_mask & TCPI_OPT_TIMESTAMPS)
		v[n++] = (struct tcp_repair_opt){.opt_code = TCPOPT_TIMESTAMP};
	v[n++] = (struct tcp_repair_opt){.opt_code = TCPOPT_MAXSEG, .opt_val = e->mss_clamp};
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, v, n * sizeof(v[0])) < 0)
		return err_errno("TCP_REPAIR_OPTIONS");
	if (e->opt_mask & TCPI_OPT_TIMESTAMPS && e->has_timestamp)
		return sock_set_int(fd, IPPROTO_TCP, TCP_TIMESTAMP, (int)e->timestamp);
	return 0;
}

/* Memory may be had in pieces. */
static int put_all(int fd, const uint8_t *data, size_t len, int flags)
{
	size_t piece = len;

	while (len > 0) {
		ssize_t n = send(fd, data, MIN(piece, len), flags | MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == ENOMEM && piece > 1024) {
			piece /= 2;
			continue;
		}
		if (n <= 0)
			return err_errno("%zu bytes into a queue", len);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What begins FROM bytes behind the first that is to be sent: with what is urgent (tcp_mark_urg()).
 */
static int put_out(int fd, const struct tcp_stream *t, size_t from, size_t len)
{
	size_t end = t->urgent.out_end, before = end > from ? MIN(end - 1 - from, len) : len;
	int r = put_all(fd, t->out + from, before, 0);

	if (r == 0 && before < len)
		r = put_all(fd, t->out + from + before++, 1, MSG_OOB);
	return r < 0 ? r : put_all(fd, t->out + from + before, len - before, 0);
}

/* In repair, what is sent goes into the queue that was chosen and nowhere else. */
static int fill_in(int fd, const uint8_t *data, size_t len)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);

	return r < 0 ? r : put_all(fd, data, len, 0);
}

static int fill_out(int fd, const struct tcp_stream *t, size_t len)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);

	return r < 0 ? r : put_out(fd, t, 0, len);
}

/* What has never been sent is sent as by anybody: the lock of the network drops it. */
static int fill_unsent(int fd, const struct tcp_stream *t, size_t from, size_t len)
{
	int r;

	if (!len)
		return 0;
	r = repair(fd, false);
	if (r == 0)
		r = put_out(fd, t, from, len);
	return r < 0 ? r : repair(fd, true);
}

/*
 * The segment that told the window last may be one that came early and was not kept, and our own
 * window none since, as there is no memory (__tcp_select_window() and ICSK_ACK_NOMEM): beyond that
 * window the kernel takes no such number (net/ipv4/tcp.c: tcp_repair_set_window()).  With the next
 * one that is awaited, any window that comes is newer, too (tcp_may_update_window()).
 */
static int set_window(int fd, const struct tcp_stream *t)
{
	const TcpStreamEntry *e = t->e;
	bool beyond = (int32_t)(e->snd_wl1 - (t->in_end + e->rcv_wnd)) > 0;
	const struct tcp_repair_window w = {.snd_wl1 = beyond ? t->in_end : e->snd_wl1,
					    .snd_wnd = e->snd_wnd,
					    .max_window = e->max_window,
					    .rcv_wnd = e->rcv_wnd,
					    .rcv_wup = e->rcv_wup};

	if (!e->has_snd_wnd)
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0)
		return err_errno("TCP_REPAIR_WINDOW");
	return 0;
}

static int get_segment(struct file *f, struct restore *r, const struct tcp_stream *t, uint8_t flags,
		       struct tcp_segment *ret)
{
	const InetSkEntry *e = f->entry->isk;
	unsigned scale = t->e->opt_mask & TCPI_OPT_WSCALE ? MIN(t->e->snd_wscale, 14) : 0;
	socklen_t len = sizeof(ret->to);

	*ret = (struct tcp_segment){
		.seq = t->in_end,
		.ack = t->out_first,
		.flags = flags,
		.window = (uint16_t)MIN(t->e->snd_wnd >> scale, 65535),
		.device = e->opts->so_bound_dev,
		.net = inet_net(e),
	};
	if (getsockname(f->fd, &ret->to.sa, &len) < 0)
		return err_errno("its address");
	if (!tcp_peer(f->fd, &ret->from))
		return err_set(ENOTCONN, "its peer has no address");
	return 0;
}

/* Whatever the queue holds, the next byte is in the window. */
static int open_window(int fd, const struct tcp_stream *t, uint32_t seq)
{
	const struct tcp_repair_window w = {.snd_wl1 = seq,
					    .snd_wnd = t->e->snd_wnd,
					    .max_window = t->e->max_window,
					    .rcv_wnd = 65535,
					    .rcv_wup = seq};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0
		       ? err_errno("TCP_REPAIR_WINDOW")
		       : 0;
}

/* What is urgent comes from the peer, at its place. */
static int fill_urgent(struct restore *r, struct file *f, const struct tcp_stream *t)
{
	const struct tcp_urgent *u = &t->urgent;
	uint32_t len = t->e->inq_len, at = MIN(u->in_at, len);
	uint8_t byte = at < len ? t->in[at] : 0;
	struct tcp_segment s;
	int ret = fill_in(f->fd, t->in, at);

	if (ret == 0)
		ret = get_segment(f, r, t, 0, &s);
	s.seq = t->in_first + at;
	if (ret == 0)
		ret = open_window(f->fd, t, s.seq);
	if (ret == 0)
		ret = tcp_urgent_receive(r, f->fd, u, &s, byte);
	return ret == 0 && at < len ? fill_in(f->fd, t->in + at + 1, len - at - 1) : ret;
}

/* Pieces of another size may take more room than they took. */
static int fill_queues(struct restore *restore, struct file *f, const struct tcp_stream *t)
{
	const TcpStreamEntry *e = t->e;
	size_t sent = e->outq_len - e->unsq_len;
	int fd = f->fd, lock, snd, rcv, r,
	    room = (int)(2 * MAX(e->inq_len, e->outq_len) + (1 << 20));
	bool has_lock;

	if (!e->inq_len && !e->outq_len && !t->urgent.in)
		return 0;
	has_lock = sock_get_int(fd, SOL_SOCKET, SO_BUF_LOCK, &lock);
	sock_get_int(fd, SOL_SOCKET, SO_SNDBUF, &snd);
	sock_get_int(fd, SOL_SOCKET, SO_RCVBUF, &rcv);
	r = sock_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, room);
	if (r == 0)
		r = sock_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, room);
	if (r == 0)
		r = t->urgent.in ? fill_urgent(restore, f, t) : fill_in(fd, t->in, e->inq_len);
	if (r == 0)
		r = fill_out(fd, t, sent);
	if (r == 0)
		r = fill_unsent(fd, t, sent, e->unsq_len);
	if (r == 0)
		r = sock_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, snd / 2);
	if (r == 0)
		r = sock_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, rcv / 2);
	return r == 0 && has_lock ? sock_set_int(fd, SOL_SOCKET, SO_BUF_LOCK, lock) : r;
}

/* Our FIN: as one that was sent, unless data before it was not (tcp_send_fin()). */
static int send_fin(int fd, const struct tcp_stream *t)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE,
			     t->e->unsq_len ? TCP_NO_QUEUE : TCP_SEND_QUEUE);

	if (r == 0 && shutdown(fd, SHUT_WR) < 0)
		return err_errno("shutdown");
	return r;
}

static int receive(struct restore *r, struct file *f, const struct tcp_stream *t, uint8_t flags,
		   int state)
{
	struct tcp_segment s;
	int ret = get_segment(f, r, t, flags, &s);

	if (ret == 0 && state == TCP_FIN_WAIT2)
		s.ack = t->out_end + 1; /* also our FIN */
	return ret < 0 ? ret : tcp_segment(r, f->fd, &s, state);
}

/* From established to where it was (RFC 793, section 3.2; net/ipv4/tcp_input.c: tcp_fin()). */
static int go_to_state(struct restore *r, struct file *f, const struct tcp_stream *t)
{
	int bit = 1 << t->state, ret = 0;

	if (bit & TCP_OUR_FIN && t->state != TCP_LAST_ACK)
		ret = send_fin(f->fd, t);
	if (ret == 0 && bit & TCP_THEIR_FIN)
		ret = receive(r, f, t, TH_FIN | TH_ACK,
			      t->state == TCP_CLOSING ? TCP_CLOSING : TCP_CLOSE_WAIT);
	if (ret == 0 && t->state == TCP_LAST_ACK)
		ret = send_fin(f->fd, t);
	if (ret == 0 && t->state == TCP_FIN_WAIT2)
		ret = receive(r, f, t, TH_ACK, TCP_FIN_WAIT2);
	if (ret == 0 && t->state == TCP_CLOSE)
		ret = receive(r, f, t, TH_RST | TH_ACK, TCP_CLOSE);
	return ret;
}

/* The handshake begins again, with the same number: the peer may have heard of it already. */
static int call(struct restore *r, struct file *f, const struct tcp_stream *t)
{
	int ret = begin(f->fd, 0, t->e->outq_seq - 1);

	if (ret == 0)
		ret = inet_bind(r, f, true);
	if (ret == 0)
		ret = repair(f->fd, false);
	if (ret == 0 && fcntl(f->fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno("O_NONBLOCK");
	if (ret == 0)
		ret = inet_connect(r, f);
	if (ret == -EINPROGRESS) {
		err_clear();
		ret = 0;
	}
	return ret < 0 ? ret : repair(f->fd, true);
}

static int refused(struct restore *r, struct file *f, const struct tcp_stream *t)
{
	struct tcp_segment s;
	int ret = call(r, f, t);

	if (ret == 0)
		ret = get_segment(f, r, t, TH_RST | TH_ACK, &s);
	s.ack = t->e->outq_seq;
	return ret < 0 ? ret : tcp_segment(r, f->fd, &s, TCP_CLOSE);
}

/*
 * The size of segments is reckoned when it connects, from what TCP_MAXSEG says
 * (tcp_connect_init()), and not again when TCP_REPAIR_OPTIONS tells what was agreed upon.  Nor are
 * they larger than half of the peer's window (tcp_bound_to_half_wnd()).
 */
static int connect_sized(struct restore *r, struct file *f, const TcpStreamEntry *e)
{
	uint32_t half = e->has_max_window && e->max_window > 536 ? e->max_window / 2 : 536;
	uint32_t mss = MIN(e->mss_clamp, half);
	int ret = sock_set_int(f->fd, IPPROTO_TCP, TCP_MAXSEG,
			       (int)CLAMP(mss, TCP_MIN_MSS, MAX_TCP_WINDOW));

	if (ret == 0)
		ret = inet_connect(r, f);
	return ret < 0 ? ret : sock_set_int(f->fd, IPPROTO_TCP, TCP_MAXSEG, 0);
}

/* It has followed the size of the buffer, or is the program's own: tcp_set_window_clamp() */
static int set_clamp(int fd, const json_t *x)
{
	int want = (int)json_integer_value(json_object_get(x, "window_clamp"));

	return want > 0 ? sock_set_again(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, want) : 0;
}

static int connected(struct restore *r, struct file *f, const struct tcp_stream *t)
{
	int ret = begin(f->fd, t->in_first, t->out_first);

	if (ret == 0)
		ret = inet_bind(r, f, true);
	if (ret == 0)
		ret = connect_sized(r, f, t->e);
	if (ret == 0)
		ret = set_options(f->fd, t->e);
	if (ret == 0)
		ret = fill_queues(r, f, t);
	if (ret == 0)
		ret = go_to_state(r, f, t);
	if (ret == 0 && t->state != TCP_CLOSE)
		ret = set_window(f->fd, t);
	return ret < 0 ? ret : set_clamp(f->fd, sock_extra(r, f->id));
}

int tcp_restore(struct restore *r, struct file *f)
{
	CLEANUP(stream_clear) struct tcp_stream t = {0};
	const InetSkEntry *e = f->entry->isk;
	struct tcp_kept k = {.reuse = e->opts->has_reuseaddr && e->opts->reuseaddr};
	int ret = load(r, e, &t), error;

	if (ret == 0)
		ret = tcp_urgent_load(sock_extra(r, f->id), t.e->inq_len, &t.urgent);
	if (ret < 0)
		return ret;
	if (t.state == TCP_SYN_SENT)
		ret = call(r, f, &t);
	else if (t.state == TCP_CLOSE && t.in_end == 0)
		ret = refused(r, f, &t);
	else
		ret = connected(r, f, &t);
	/* whoever has been told already does not hear of it again */
	if (ret == 0 && t.state == TCP_CLOSE &&
	    !json_is_true(json_object_get(sock_extra(r, f->id), "error")))
		sock_get_int(f->fd, SOL_SOCKET, SO_ERROR, &error);
	if (ret < 0)
		return ret;
	k.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	if (k.fd < 0)
		return err_errno("dup");
	socks_kept(r, &k);
	return 0;
}
