/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of a connection's peer, sent by ourselves. */
#include "state/sock/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
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

int tcp_segment(struct restore *r, int fd, const struct tcp_segment *s, int state)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct tcphdr h = {
		.th_sport = s->from.v4.sin_port, /* at the same place in both families */
		.th_dport = s->to.v4.sin_port,
		.th_seq = htonl(s->seq),
		.th_ack = htonl(s->ack),
		.th_off = sizeof(h) / 4,
		.th_flags = s->flags,
		.th_win = htons(s->window),
	};
	const struct injected p = {
		.from = s->from,
		.to = s->to,
		.protocol = IPPROTO_TCP,
		.data = (uint8_t *)&h,
		.len = sizeof(h),
		.sum_at = offsetof(struct tcphdr, th_sum),
		.device = s->device,
	};
	int now = inet_inject(r, &p);

	if (now < 0)
		return err_wrap(now, "a segment of its peer");
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
