/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server has that asked for MPTCP, as those in Go do by themselves: a listening socket of
 * it, and connections of clients that only know TCP, which are TCP's.
 */
#include "cr.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};

static int get(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	check(getsockopt(fd, level, name, &v, &len) == 0, "errno %d", errno);
	return v;
}

static int call(int protocol)
{
	int c = socket(AF_INET, SOCK_STREAM, protocol);

	check(c >= 0 && connect(c, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	return c;
}

int main(void)
{
	int l = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), one = 1, c, s;
	socklen_t len = sizeof(a);
	struct tcp_info info;
	char b[4];

	if (l < 0)
		skip("this kernel has no MPTCP");
	check(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 7) == 0);
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	c = call(0);
	s = accept(l, NULL, NULL);
	check(get(s, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP);
	ready();
	check(send(c, "to", 2, 0) == 2 && recv(s, b, 2, MSG_WAITALL) == 2);
	check(send(s, "fro", 3, 0) == 3 && recv(c, b, 3, MSG_WAITALL) == 3);
	check(get(l, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP);
	check(get(l, IPPROTO_TCP, TCP_NODELAY) == 1);
	len = sizeof(info);
	check(getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_sacked == 7,
	      "a backlog of %u", info.tcpi_sacked);
	c = call(IPPROTO_MPTCP);
	s = accept(l, NULL, NULL);
	check(get(s, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP);
	return ok();
}
