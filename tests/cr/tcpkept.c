/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections inside the tree that go on: data on its way, IPv6, mapped, half closed. */
#include "cr.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define BIG 300000

static int pair(int family, bool mapped, int ends[2])
{
	struct sockaddr_in6 a = {.sin6_family = (sa_family_t)family};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(family, SOCK_STREAM, 0), r;

	if (l < 0)
		return -1;
	if (family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (!mapped)
		a.sin6_addr = in6addr_loopback;
	check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0, "errno %d",
	      errno);
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	ends[0] = socket(mapped ? AF_INET : family, SOCK_STREAM, 0);
	to.sin_port = a.sin6_port;
	r = mapped ? connect(ends[0], (struct sockaddr *)&to, sizeof(to))
		   : connect(ends[0], (struct sockaddr *)&a, sizeof(a));
	check(r == 0, "errno %d", errno);
	ends[1] = accept(l, NULL, NULL);
	check(ends[1] >= 0);
	return l;
}

static void talk(int a, int b)
{
	char buf[8];

	check(send(a, "to", 2, 0) == 2 && recv(b, buf, 2, MSG_WAITALL) == 2);
	check(send(b, "fro", 3, 0) == 3 && recv(a, buf, 3, MSG_WAITALL) == 3, "errno %d", errno);
}

int main(void)
{
	int e[2], six[2], mapped[2], half[2], full[2], l, l6, lm, v = 1;
	static char out[BIG], in[BIG];
	size_t sent = 0, got = 0;
	socklen_t len = sizeof(v);
	ssize_t n;
	char b[16];

	l = pair(AF_INET, false, e);
	l6 = pair(AF_INET6, false, six);
	lm = pair(AF_INET6, true, mapped);
	pair(AF_INET, false, half);
	pair(AF_INET, false, full);
	setsockopt(e[0], IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v));
	setsockopt(e[0], SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v));
	check(send(e[0], "waiting", 7, 0) == 7 && send(e[1], "also", 4, 0) == 4);
	check(send(half[0], "last", 4, 0) == 4);
	for (size_t i = 0; i < BIG; i++)
		out[i] = (char)(i * 7);
	while (sent < BIG && (n = send(full[0], out + sent, BIG - sent, MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	ready();
	check(recv(e[1], b, 7, MSG_WAITALL) == 7 && !memcmp(b, "waiting", 7));
	check(recv(e[0], b, 4, MSG_WAITALL) == 4 && !memcmp(b, "also", 4));
	talk(e[0], e[1]);
	if (l6 >= 0)
		talk(six[0], six[1]);
	if (lm >= 0)
		talk(mapped[0], mapped[1]);
	check(recv(half[1], b, 4, MSG_WAITALL) == 4);
	talk(half[0], half[1]);
	while (got < sent) {
		n = recv(full[1], in + got, sent - got, 0);
		check(n > 0, "after %zu of %zu bytes: errno %d", got, sent, errno);
		got += (size_t)n;
	}
	check(!memcmp(in, out, sent));
	talk(full[0], full[1]);
	check(getsockopt(e[0], IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0 && v == 1);
	check(getsockopt(e[0], SOL_SOCKET, SO_KEEPALIVE, &v, &len) == 0 && v == 1);
	close(e[0]);
	check(recv(e[1], b, 1, 0) == 0, "the end is seen");
	e[0] = socket(AF_INET, SOCK_STREAM, 0);
	check(listen(l, 5) == 0);
	return ok();
}
