/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sockets without connections are connected to: raw ones and those of ICMP, of which
 * getpeername(2) tells nothing; IPv6 with a flow label; unix sockets with packets of others, and in
 * a chain.
 */
#include "cr.h"

#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CHAIN 6

static const struct sockaddr_in lo = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
static struct sockaddr_in6 lo6;

static int connected(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	if (fd >= 0)
		check((family == AF_INET ? connect(fd, (const struct sockaddr *)&lo, sizeof(lo))
					 : connect(fd, (struct sockaddr *)&lo6, sizeof(lo6))) == 0,
		      "errno %d", errno);
	return fd;
}

/* An echo request, whatever else it is. */
static void sends(int fd, int type)
{
	char b[16] = {(char)type};

	check(fd < 0 || send(fd, b, sizeof(b), 0) == sizeof(b), "errno %d", errno);
}

static short poll_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static int named(struct sockaddr_un *a, socklen_t *len)
{
	static unsigned n;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, 80, "cr-connectless-%d-%u", getpid(),
					    n++));
	check(bind(fd, (struct sockaddr *)a, *len) == 0);
	return fd;
}

static void join(int fd, const struct sockaddr_un *a, socklen_t len)
{
	check(connect(fd, (const struct sockaddr *)a, len) == 0, "errno %d", errno);
}

static void reads(int fd, const char *text)
{
	char b[16] = "";

	check(recv(fd, b, sizeof(b), MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(b, text),
	      "%s, errno %d", b, errno);
}

int main(void)
{
	int raw, raw6, ping, ping6, shut, flow, one = 1, self, client, chain[CHAIN];
	struct sockaddr_un a, at[CHAIN];
	struct sockaddr_in6 peer;
	socklen_t len, at_len[CHAIN];

	lo6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	raw = connected(AF_INET, SOCK_RAW, 253);
	raw6 = connected(AF_INET6, SOCK_RAW, 253);
	ping = connected(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	ping6 = connected(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
	shut = connected(AF_INET, SOCK_RAW, 254);
	shutdown(shut, SHUT_RD);
	flow = socket(AF_INET6, SOCK_DGRAM, 0);
	check(setsockopt(flow, IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */, &one, sizeof(one)) == 0);
	lo6.sin6_port = htons(9);
	lo6.sin6_flowinfo = htonl(0x12345);
	check(connect(flow, (struct sockaddr *)&lo6, sizeof(lo6)) == 0);
	/* to itself, when another has sent */
	self = named(&a, &len);
	client = socket(AF_UNIX, SOCK_DGRAM, 0);
	join(client, &a, len);
	check(send(client, "first", 5, 0) == 5);
	join(self, &a, len);
	check(send(self, "second", 6, 0) == 6);
	/* each to the one behind it, the first of them first: nobody else could any more */
	for (int i = 0; i < CHAIN; i++)
		chain[i] = named(&at[i], &at_len[i]);
	for (int i = 0; i + 1 < CHAIN; i++) {
		join(chain[i], &at[i + 1], at_len[i + 1]);
		check(send(chain[i], "chain", 5, 0) == 5, "errno %d", errno);
	}
	ready();
	sends(raw, 0);
	sends(raw6, 0);
	sends(ping, 8);
	sends(ping6, 128);
	check(poll_of(shut) == POLLRDHUP, "%#x", poll_of(shut));
	len = sizeof(peer);
	check(getpeername(flow, (struct sockaddr *)&peer, &len) == 0 &&
		      peer.sin6_flowinfo == htonl(0x12345),
	      "%#x", ntohl(peer.sin6_flowinfo));
	reads(self, "first");
	reads(self, "second");
	check(send(self, "third", 5, 0) == 5);
	reads(self, "third");
	check(send(client, "!", 1, 0) < 0 && errno == EPERM, "errno %d", errno);
	for (int i = 1; i < CHAIN; i++)
		reads(chain[i], "chain");
	for (int i = 1; i + 1 < CHAIN; i++) /* the last one hears the one before it only */
		check(send(chain[i - 1], "on", 2, 0) < 0 && errno == EPERM, "errno %d", errno);
	check(send(chain[CHAIN - 2], "on", 2, 0) == 2, "errno %d", errno);
	return ok();
}
