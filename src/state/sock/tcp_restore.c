/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/inet.h"
#include "state/sock/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define QUEUE_MAX (256u << 20)
#define SENT_FIN  (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2)

void tcp_stream_clear(struct tcp_stream *t)
{
	if (t->e)
		tcp_stream_entry__free_unpacked(t->e, NULL);
	g_free(t->in);
	g_free(t->out);
}

int tcp_load(struct restore *r, uint32_t ino, int state, struct tcp_stream *ret)
{
	CLEANUP(tcp_stream_clear) struct tcp_stream t = {0};
	CLEANUP(image_close) struct image *img = NULL;
	TcpStreamEntry *e = NULL;
	int err = image_open_needed(r->o.images, IMG_TCP_STREAM, ino, &img);

	if (err == 0)
		err = image_read(img, &t.e);
	e = t.e;
	if (err != 0)
		return err < 0 ? err : err_set(EBADMSG, "tcp-stream-%x.img is empty", ino);
	if (e->inq_len > QUEUE_MAX || e->outq_len > QUEUE_MAX || e->unsq_len > e->outq_len ||
	    (uint64_t)e->inq_len + e->outq_len > image_rest(img))
		return err_set(EBADMSG, "%s: queues of %u and %u bytes", img->name, e->inq_len,
			       e->outq_len);
	t.in = g_malloc(e->inq_len + 1);
	t.out = g_malloc(e->outq_len + 1);
	err = image_read_raw(img, t.in, e->inq_len);
	if (err == 0)
		err = image_read_raw(img, t.out, e->outq_len);
	if (err < 0)
		return err;
	if (1 << state & SENT_FIN)
		e->outq_seq--; /* the FIN, which is sent again */
	*ret = t;
	t = (struct tcp_stream){0};
	return 0;
}

static int set_seq(int fd, int queue, uint32_t seq)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return r < 0 ? r : sock_set_int(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq);
}

int tcp_begin(int fd, const struct tcp_stream *t)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);

	if (r == 0)
		r = set_seq(fd, TCP_RECV_QUEUE, t->e->inq_seq - t->e->inq_len);
	if (r == 0)
		r = set_seq(fd, TCP_SEND_QUEUE, t->e->outq_seq - t->e->outq_len);
	return r;
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

/* In repair, what is sent goes into the queue and nowhere else; memory may be had in pieces. */
static int fill_queue(int fd, int queue, const uint8_t *data, size_t len)
{
	int r = sock_set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);
	size_t piece = len;

	while (r == 0 && len > 0) {
		ssize_t n = send(fd, data, MIN(piece, len), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == ENOMEM && piece > 1024) {
			piece /= 2;
			continue;
		}
		if (n <= 0)
			return err_errno("queue %d of a TCP connection", queue);
		data += n;
		len -= (size_t)n;
	}
	return r;
}

static int set_window(int fd, const TcpStreamEntry *e)
{
	const struct tcp_repair_window w = {.snd_wl1 = e->snd_wl1,
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

int tcp_fill(struct restore *r, int fd, const struct tcp_stream *t, int state, int reuse)
{
	const TcpStreamEntry *e = t->e;
	struct tcp_kept k = {.reuse = reuse, .fin = (1 << state & SENT_FIN) != 0};
	size_t sent = e->outq_len - e->unsq_len;
	int ret = set_options(fd, e);

	if (ret == 0)
		ret = fill_queue(fd, TCP_RECV_QUEUE, t->in, e->inq_len);
	if (ret == 0)
		ret = fill_queue(fd, TCP_SEND_QUEUE, t->out, sent);
	if (ret == 0)
		ret = set_window(fd, e);
	if (ret < 0)
		return ret;
	k.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (k.fd < 0)
		return err_errno("dup");
	k.unsent_len = e->unsq_len;
	k.unsent = g_memdup2(t->out + sent, e->unsq_len);
	g_array_append_val(r->tcp, k);
	return 0;
}
