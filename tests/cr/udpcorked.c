/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that are not complete yet: by MSG_MORE and by UDP_CORK, connected and not, of one piece
 * and of several, of IPv4, IPv6 and by mapped addresses, of UDP-Lite.
 */
#include "cr.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

static const struct shape {
	int family, protocol;
	bool mapped, cork, connected;
	size_t len; /* before */
} shapes[] = {
	{AF_INET, 0, false, false, true, 2},
	{AF_INET, 0, false, true, false, 1000},
	{AF_INET, 0, false, true, true, 60000},
	{AF_INET6, 0, false, false, true, 3},
	{AF_INET6, 0, false, true, false, 5000}, /* pieces of 1280 bytes */
	{AF_INET6, 0, true, true, false, 2000},
	{AF_INET, IPPROTO_UDPLITE, false, true, false, 100},
	{AF_INET6, IPPROTO_UDPLITE, false, true, true, 100},
	{AF_INET, 0, false, true, true, 0}, /* nothing yet */
};
#define N   ARRAY_SIZE(shapes)
#define MAX 65536

static socklen_t loopback(const struct shape *s, in_port_t port, struct sockaddr_storage *a)
{
	struct sockaddr_in6 *v6 = (void *)a;
	struct sockaddr_in *v4 = (void *)a;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)s->family;
	v4->sin_port = port;
	if (s->family == AF_INET) {
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*v4);
	}
	v6->sin6_addr = in6addr_loopback;
	if (s->mapped)
		v6->sin6_addr = (struct in6_addr){
			{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};
	return sizeof(*v6);
}

static unsigned char byte(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static void start(const struct shape *s, int ends[2])
{
	static unsigned char b[MAX];
	struct sockaddr_storage a;
	socklen_t len = loopback(s, 0, &a);
	int one = 1, mtu = 1280, flags = s->cork ? 0 : MSG_MORE;

	ends[0] = socket(s->family, SOCK_DGRAM, s->protocol);
	ends[1] = socket(s->family, SOCK_DGRAM, s->protocol);
	check(bind(ends[1], (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	check(getsockname(ends[1], (struct sockaddr *)&a, &len) == 0);
	if (s->cork)
		check(setsockopt(ends[0], IPPROTO_UDP, UDP_CORK, &one, sizeof(one)) == 0);
	if (s->family == AF_INET6 && !s->mapped)
		check(setsockopt(ends[0], IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof(mtu)) == 0);
	if (s->connected)
		check(connect(ends[0], (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	for (size_t i = 0; i < s->len; i++)
		b[i] = byte(i);
	/* in two parts, the second of which may be joined to a piece */
	for (size_t at = 0, n = s->len / 2; at < s->len; at += n, n = s->len - at)
		check(sendto(ends[0], b + at, n, flags, s->connected ? NULL : (struct sockaddr *)&a,
			     s->connected ? 0 : len) == (ssize_t)n,
		      "errno %d", errno);
}

static void complete(const struct shape *s, const int ends[2])
{
	struct pollfd p = {.fd = ends[1], .events = POLLIN};
	static unsigned char b[MAX];
	int off = 0;

	check(poll(&p, 1, 0) == 0, "it was complete");
	if (s->cork && s->len)
		check(setsockopt(ends[0], IPPROTO_UDP, UDP_CORK, &off, sizeof(off)) == 0);
	else
		check(send(ends[0], "", 0, 0) == 0, "errno %d", errno);
	if (s->cork && !s->len)
		check(setsockopt(ends[0], IPPROTO_UDP, UDP_CORK, &off, sizeof(off)) == 0);
	check(poll(&p, 1, 30000) == 1, "nothing comes");
	check(recv(ends[1], b, sizeof(b), 0) == (ssize_t)s->len, "errno %d", errno);
	for (size_t i = 0; i < s->len; i++)
		check(b[i] == byte(i), "byte %zu", i);
}

int main(void)
{
	int ends[N][2];

	for (size_t i = 0; i < N; i++)
		start(&shapes[i], ends[i]);
	ready();
	for (size_t i = 0; i < N; i++)
		complete(&shapes[i], ends[i]);
	return ok();
}
