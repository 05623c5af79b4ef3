/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of a connection's peer, sent by ourselves. */
#include "state/sock/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 2000

static int state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_errno("TCP_INFO");
	return info.tcpi_state;
}

int tcp_segment_send(struct restore *r, const struct tcp_segment *s)
{
	const struct tcphdr head = {
		.th_sport = s->from.v4.sin_port, /* the same place in both families */
		.th_dport = s->to.v4.sin_port,
		.th_seq = htonl(s->seq),
		.th_ack = htonl(s->ack),
		.th_off = sizeof(struct tcphdr) / 4,
		.th_flags = s->flags,
		.th_win = htons(s->window),
		.th_urp = htons(s->urgent),
	};
	g_autofree uint8_t *whole = g_malloc(sizeof(head) + s->data_len);
	const struct injected p = {
		.from = s->from,
		.to = s->to,
		.protocol = IPPROTO_TCP,
		.data = whole,
		.len = sizeof(head) + s->data_len,
		.sum_at = offsetof(struct tcphdr, th_sum),
		.device = s->device,
		.net = s->net,
	};
	int ret;

	memcpy(whole, &head, sizeof(head));
	if (s->data_len)
		memcpy(whole + sizeof(head), s->data, s->data_len);
	ret = inet_inject(r, &p);
	return ret < 0 ? err_wrap(ret, "a segment of its peer") : 0;
}

int tcp_segment(struct restore *r, int fd, const struct tcp_segment *s, int state)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	int now = tcp_segment_send(r, s);

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
