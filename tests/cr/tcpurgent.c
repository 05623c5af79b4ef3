/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Urgent data (MSG_OOB) in TCP connections: waiting in front, in the middle, alone; in line;
 * received already, with its place still in the queue; not sent yet, behind a full window.
 */
#include "cr.h"
#include "urgent.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MUCH 200000
#define AT   150000

static const struct shape {
	const char *sends; /* a capital letter: with MSG_OOB; '-': the urgent byte is received */
	bool inlined;
} shapes[] = {
	{"abcDefg", false}, {"abcDefg", true}, {"Defg", false},	    {"Defg", true},
	{"D", false},	    {"D", true},       {"abcD-efg", false}, {"abcD-", false},
	{"D-efg", false},   {"D-", false},     {"aBcDe", false},    {"abcdefg", false},
};
#define N ARRAY_SIZE(shapes)

static int l;

static void connected(int v[2], int family)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int one = 1, room = 4096;

	if (!l) {
		l = socket(AF_INET6, SOCK_STREAM, 0);
		check(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) == 0);
		check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0,
		      "errno %d", errno);
	}
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	a.sin6_addr = in6addr_loopback;
	to.sin_port = a.sin6_port;
	v[0] = socket(family, SOCK_STREAM, 0);
	check((family == AF_INET ? connect(v[0], (struct sockaddr *)&to, sizeof(to))
				 : connect(v[0], (struct sockaddr *)&a, sizeof(a))) == 0,
	      "errno %d", errno);
	v[1] = accept(l, NULL, NULL);
	check(v[1] >= 0 && setsockopt(v[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
}

/* What was sent has come. */
static void await(int fd, unsigned bytes)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	while (info.tcpi_bytes_received < bytes) {
		check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
		usleep(500);
	}
}

static void play(const struct shape *s, int v[2])
{
	unsigned n = 0;
	int on = 1;
	char b;

	for (const char *p = s->sends; *p; p++)
		if (*p == '-') {
			check(recv(v[1], &b, 1, MSG_OOB) == 1, "errno %d", errno);
		} else {
			check(send(v[0], p, 1, *p < 'a' ? MSG_OOB : 0) == 1, "errno %d", errno);
			await(v[1], ++n);
		}
	if (s->inlined)
		check(setsockopt(v[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
}

static int pair(const struct shape *s, int family, int *ret_other)
{
	int v[2];

	connected(v, family);
	play(s, v);
	*ret_other = v[0];
	return v[1];
}

static char out[MUCH];

static void send_much(int fd)
{
	int room = 2 * MUCH;

	check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
	for (size_t i = 0; i < MUCH; i++)
		out[i] = (char)(i * 7 + i / 251);
	check(send(fd, out, AT, 0) == AT && send(fd, out + AT, 1, MSG_OOB) == 1 &&
		      send(fd, out + AT + 1, MUCH - AT - 1, 0) == MUCH - AT - 1,
	      "errno %d", errno);
}

static void reads(int fd, char *in, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, in, len, 0);

		check(n > 0, "errno %d", errno);
		in += n;
		len -= (size_t)n;
	}
}

/* The place is where it was, and the byte comes apart. */
static void reads_much(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLPRI};
	static char in[MUCH];
	int mark = 0;

	reads(fd, in, AT);
	while (!(p.revents & POLLPRI))
		check(poll(&p, 1, 30000) == 1, "nothing urgent comes");
	check(ioctl(fd, SIOCATMARK, &mark) == 0 && mark);
	check(recv(fd, in + AT, 1, MSG_OOB) == 1, "errno %d", errno);
	reads(fd, in + AT + 1, MUCH - AT - 1);
	check(!memcmp(in, out, MUCH));
}

int main(void)
{
	static char want[2 * N][1024], have[1024];
	int fds[2 * N], others[2 * N], much[2], offset[2], off = 2;
	socklen_t len = sizeof(off);
	char b[8] = "";

	for (size_t i = 0; i < 2 * N; i++) {
		int family = i < N ? AF_INET : AF_INET6;

		tell(pair(&shapes[i % N], family, &others[i]), want[i], sizeof(want[i]));
		fds[i] = pair(&shapes[i % N], family, &others[i]);
	}
	connected(much, AF_INET);
	send_much(much[0]);
	connected(offset, AF_INET6);
	check(send(offset[0], "abcdef", 6, 0) == 6);
	await(offset[1], 6);
	if (setsockopt(offset[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0)
		off = -1;
	ready();
	for (size_t i = 0; i < 2 * N; i++) {
		tell(fds[i], have, sizeof(have));
		check(!strcmp(want[i], have), "%s: instead of%s it is%s", shapes[i % N].sends,
		      want[i], have);
		check(send(others[i], "more", 4, 0) == 4 &&
		      recv(fds[i], have, 4, MSG_WAITALL) == 4);
	}
	reads_much(much[1]);
	if (off >= 0) {
		check(getsockopt(offset[1], SOL_SOCKET, SO_PEEK_OFF, &off, &len) == 0 && off == 2);
		check(recv(offset[1], b, 3, MSG_PEEK) == 3 && !strcmp(b, "cde"), "%s", b);
	}
	check(recv(offset[1], b, 6, MSG_WAITALL) == 6 && !strcmp(b, "abcdef"), "%s", b);
	return ok();
}
