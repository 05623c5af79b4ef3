/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection whose window is closed, as there is no memory, and whose last news of the peer's
 * window is a segment beyond it: that came early, and was not kept.
 */
#include "cr.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define FIRST 30000
#define LOST  100
#define EARLY 200

/* In repair only meanwhile; the number of the next byte of QUEUE. */
static struct tcp_repair_window window(int fd, int queue, uint32_t *ret_next)
{
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);
	int one = 1, off = -1; /* TCP_REPAIR_OFF_NO_WP */

	check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)) == 0, "errno %d", errno);
	check(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len) == 0);
	check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) == 0);
	len = sizeof(*ret_next);
	check(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, ret_next, &len) == 0);
	check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) == 0);
	return w;
}

/* What begins with number SEQ is lost on its way to FD. */
static void lose(int fd, uint32_t seq)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4), /* th_seq */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seq, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog p = {.len = ARRAY_SIZE(f), .filter = f};

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0, "errno %d", errno);
}

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int l = socket(AF_INET, SOCK_STREAM, 0), from = socket(AF_INET, SOCK_STREAM, 0), to;
	static unsigned char b[FIRST + LOST + EARLY];
	int v = 1;
	struct tcp_repair_window w;
	socklen_t len = sizeof(a);
	uint32_t seq, next;
	size_t got = 0;
	ssize_t n;

	check(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0, "errno %d", errno);
	check(getsockname(l, (void *)&a, &len) == 0);
	check(connect(from, (void *)&a, sizeof(a)) == 0, "errno %d", errno);
	to = accept(l, NULL, NULL);
	setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v));
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)(i * 7 + i / 251);
	check(send(from, b, FIRST, 0) == FIRST);
	window(from, TCP_SEND_QUEUE, &seq);
	do {
		usleep(1000);
		window(to, TCP_RECV_QUEUE, &next);
	} while (next != seq);
	check(setsockopt(to, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)) == 0);
	lose(to, seq);
	check(send(from, b + FIRST, LOST, 0) == LOST);
	check(send(from, b + FIRST + LOST, EARLY, 0) == EARLY);
	do {
		usleep(1000);
		w = window(to, TCP_RECV_QUEUE, &next);
	} while (w.snd_wl1 != seq + LOST);
	check(setsockopt(to, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)) == 0);
	do {
		usleep(1000);
		w = window(to, TCP_RECV_QUEUE, &next);
	} while (w.rcv_wnd != 0);
	check(next == seq && w.snd_wl1 == seq + LOST);
	ready();
	memset(b, 0, sizeof(b));
	while (got < sizeof(b) && (n = recv(to, b + got, sizeof(b) - got, 0)) > 0)
		got += (size_t)n;
	check(got == sizeof(b), "%zu bytes, errno %d", got, errno);
	for (size_t i = 0; i < sizeof(b); i++)
		check(b[i] == (unsigned char)(i * 7 + i / 251), "byte %zu", i);
	return ok();
}
