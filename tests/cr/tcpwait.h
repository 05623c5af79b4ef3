/* SPDX-License-Identifier: Apache-2.0 */
/* For programs whose TCP connections wait to be accepted. */
#pragma once

#include "cr.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PATIENCE_MS 15000

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

__attribute__((unused)) static void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)) == 0, "option %d: errno %d", name,
	      errno);
}

__attribute__((unused)) static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	check(getsockopt(fd, level, name, &v, &len) == 0, "option %d: errno %d", name, errno);
	return v;
}

__attribute__((unused)) static struct tcp_info info(int fd)
{
	struct tcp_info t = {0};
	socklen_t len = sizeof(t);

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) == 0);
	return t;
}

__attribute__((unused)) static void listens(int l, union addr *a, int backlog)
{
	socklen_t len = sizeof(*a);

	check(bind(l, &a->sa, a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6)) == 0);
	check(listen(l, backlog) == 0);
	check(getsockname(l, &a->sa, &len) == 0);
}

__attribute__((unused)) static int call(const union addr *a)
{
	int c = socket(a->sa.sa_family, SOCK_STREAM, 0);

	check(connect(c, &a->sa, sizeof(*a)) == 0, "errno %d", errno);
	return c;
}

/* The queue has N; all that C (or -1) has sent has come. */
__attribute__((unused)) static void await(int l, unsigned n, int c)
{
	int out = 0;

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (c >= 0)
			check(ioctl(c, SIOCOUTQ, &out) == 0);
		if (info(l).tcpi_unacked == n && !out)
			return;
		usleep(1000);
	}
	check(false, "%u wait instead of %u, %d bytes", info(l).tcpi_unacked, n, out);
}

__attribute__((unused)) static void put(int fd, const char *text)
{
	check(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "%s: errno %d",
	      text, errno);
}

__attribute__((unused)) static void gets_text(int fd, const char *want)
{
	char b[32] = "";
	size_t len = strlen(want);
	ssize_t n = recv(fd, b, len, MSG_WAITALL);

	check(n == (ssize_t)len && !memcmp(b, want, len), "%s instead of %s, errno %d", b, want,
	      errno);
}

__attribute__((unused)) static void gets_end(int fd)
{
	char b;

	check(recv(fd, &b, 1, 0) == 0, "errno %d", errno);
}

__attribute__((unused)) static int nap(int l)
{
	struct pollfd p = {.fd = l, .events = POLLIN};
	int fd;

	check(poll(&p, 1, PATIENCE_MS) == 1);
	fd = accept(l, NULL, NULL);
	check(fd >= 0, "errno %d", errno);
	return fd;
}

__attribute__((unused)) static union addr loopback(void)
{
	return (union addr){
		.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* Closes C, which says so by a reset: the other end at A is in no table any more. */
__attribute__((unused)) static void await_end(int c, const union addr *a)
{
	char line[256], ports[2][16];
	union addr me;
	socklen_t len = sizeof(me);
	bool found = true;

	check(getsockname(c, &me.sa, &len) == 0);
	close(c);
	snprintf(ports[0], sizeof(ports[0]), ":%04X ", ntohs(me.v4.sin_port));
	snprintf(ports[1], sizeof(ports[1]), ":%04X ", ntohs(a->v4.sin_port));
	for (int i = 0; found && i < PATIENCE_MS; i++, usleep(1000)) {
		FILE *f = fopen("/proc/self/net/tcp", "re");

		check(f != NULL);
		for (found = false; fgets(line, sizeof(line), f);)
			found |= strstr(line, ports[0]) && strstr(line, ports[1]);
		fclose(f);
	}
	check(!found);
}
