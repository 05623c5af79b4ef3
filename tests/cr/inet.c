/* SPDX-License-Identifier: Apache-2.0 */
/* TCP that listens, is bound, or is nothing; UDP bound and connected; raw and ICMP; options. */
#include "cr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static unsigned port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return ntohs(a.sin6_port);
}

static int bound4(int type, int protocol)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type, protocol);

	check(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	return fd;
}

static int bound6(int type, bool v6only)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, type, 0), v = v6only;

	if (fd < 0 && errno == EAFNOSUPPORT)
		return -1;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v));
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	return fd;
}

/* Bound to an address of nobody, by an option that is off again. */
static int bound_free(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("192.0.2.77")};
	int fd = socket(AF_INET, SOCK_STREAM, 0), v = 1;

	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &v, sizeof(v));
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	v = 0;
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &v, sizeof(v));
	return fd;
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	check(getsockopt(fd, level, name, &v, &len) == 0);
	return v;
}

static void set(int fd, int level, int name, int v)
{
	check(setsockopt(fd, level, name, &v, sizeof(v)) == 0, "errno %d", errno);
}

static void talk(int listener, int family)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port_of(listener)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b[4];

	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	s = accept(listener, NULL, NULL);
	check(s >= 0 && send(c, "hi", 2, 0) == 2 && recv(s, b, 4, 0) == 2);
	close(s);
	close(c);
}

/* A port without SO_REUSEADDR that a closed connection still holds (TIME-WAIT). */
static int waiting(void)
{
	int l = bound4(SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char b;

	check(listen(l, 1) == 0 && getsockname(l, (struct sockaddr *)&a, &len) == 0);
	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	close(s);
	check(recv(c, &b, 1, 0) == 0);
	close(c);
	return l;
}

int main(void)
{
	int l = bound4(SOCK_STREAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);
	int only_bound = bound4(SOCK_STREAM, 0), l6, u6, udp, udpc, lite, raw, icmp, tw;
	int dead = socket(AF_INET, SOCK_STREAM, 0), deaf = socket(AF_INET, SOCK_STREAM, 0);
	int nobodys = bound_free(), raw6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xefc0a801), .imr_ifindex = 1};
	unsigned ports[4];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char b[16];

	check(listen(l, 17) == 0);
	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	set(fresh, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fresh, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fresh, IPPROTO_TCP, TCP_KEEPIDLE, 123);
	set(fresh, SOL_SOCKET, SO_RCVBUF, 70000);
	l6 = bound6(SOCK_STREAM, false);
	check(l6 < 0 || listen(l6, 5) == 0);
	u6 = bound6(SOCK_DGRAM, true);
	udp = bound4(SOCK_DGRAM, 0);
	set(udp, IPPROTO_IP, IP_TTL, 17);
	set(udp, IPPROTO_IP, IP_PKTINFO, 1);
	set(udp, SOL_SOCKET, SO_BROADCAST, 1);
	udpc = bound4(SOCK_DGRAM, 0);
	a.sin_port = htons((uint16_t)port_of(udp));
	check(connect(udpc, (struct sockaddr *)&a, sizeof(a)) == 0);
	lite = bound4(SOCK_DGRAM, IPPROTO_UDPLITE);
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	icmp = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); /* if ping_group_range allows it */
	check(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0,
	      "errno %d", errno);
	tw = waiting();
	check(shutdown(dead, SHUT_RDWR) == -1 && errno == ENOTCONN);
	check(shutdown(deaf, SHUT_RD) == -1 && errno == ENOTCONN);
	ports[0] = port_of(l);
	ports[1] = port_of(only_bound);
	ports[2] = port_of(udp);
	ports[3] = port_of(udpc);
	ready();
	check(get(nobodys, IPPROTO_IP, IP_FREEBIND) == 0 && listen(nobodys, 1) == 0);
	check(port_of(l) == ports[0] && port_of(only_bound) == ports[1]);
	check(port_of(udp) == ports[2] && port_of(udpc) == ports[3]);
	talk(l, AF_INET);
	talk(tw, AF_INET);
	if (l6 >= 0)
		talk(l6, AF_INET6);
	check(get(l, SOL_SOCKET, SO_ACCEPTCONN) == 1 && get(l, SOL_SOCKET, SO_REUSEADDR) == 1);
	check(get(only_bound, SOL_SOCKET, SO_REUSEADDR) == 0);
	check(get(fresh, IPPROTO_TCP, TCP_NODELAY) == 1);
	check(get(fresh, IPPROTO_TCP, TCP_KEEPIDLE) == 123);
	check(get(fresh, SOL_SOCKET, SO_KEEPALIVE) == 1);
	check(get(fresh, SOL_SOCKET, SO_RCVBUF) == 140000, "%d", get(fresh, SOL_SOCKET, SO_RCVBUF));
	check(recv(dead, b, 1, 0) == 0 && recv(deaf, b, 1, 0) == 0, "errno %d", errno);
	check(send(dead, b, 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	check(recv(fresh, b, 1, 0) == -1 && errno == ENOTCONN);
	check(listen(only_bound, 1) == 0);
	talk(only_bound, AF_INET);
	check(u6 < 0 || get(u6, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
	check(get(udp, IPPROTO_IP, IP_TTL) == 17 && get(udp, IPPROTO_IP, IP_PKTINFO) == 1);
	check(get(udp, SOL_SOCKET, SO_BROADCAST) == 1);
	check(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == -1 &&
		      errno == EADDRINUSE,
	      "it is a member still");
	check(send(udpc, "data", 4, 0) == 4 && recv(udp, b, sizeof(b), 0) == 4);
	check(get(lite, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDPLITE);
	check(get(raw, SOL_SOCKET, SO_TYPE) == SOCK_RAW);
	check(icmp < 0 || get(icmp, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMP);
	check(raw6 < 0 || get(raw6, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMPV6);
	return ok();
}
