/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that were not read yet from raw sockets and those of ICMP: all bytes, in their order.  In
 * a network namespace of its own, where nobody else has any.
 */
#include "cr.h"

#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#define TEST	253
#define PACKETS 4
#define BIG	60000

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t len_of(const union addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static union addr addr(int family, unsigned last)
{
	union addr a = {.sa.sa_family = (sa_family_t)family};

	if (family == AF_INET)
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
	else
		a.v6.sin6_addr = in6addr_loopback;
	return a;
}

static void let_ping(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

	check(fd >= 0 && write(fd, "0 0", 3) == 3, "errno %d", errno);
	close(fd);
}

static int bound(int family, int type, int protocol, unsigned last)
{
	union addr a = addr(family, last);
	int fd = socket(family, type, protocol);

	check(fd >= 0 && bind(fd, &a.sa, len_of(&a)) == 0, "errno %d", errno);
	return fd;
}

static void put(int fd, const void *data, size_t n, int family, unsigned last)
{
	union addr a = addr(family, last);

	check(sendto(fd, data, n, 0, &a.sa, len_of(&a)) == (ssize_t)n, "errno %d", errno);
}

/* What a socket is to have, read from another one that has the same. */
struct content {
	size_t n, len[PACKETS];
	char *data[PACKETS];
	union addr from[PACKETS];
};

static ssize_t take(int fd, char *buf, union addr *from)
{
	socklen_t len = sizeof(*from);

	memset(from, 0, sizeof(*from));
	return recvfrom(fd, buf, BIG + 100, MSG_DONTWAIT, &from->sa, &len);
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	check(poll(&p, 1, -1) == 1);
}

static struct content read_all(int fd, size_t packets)
{
	static char buf[BIG + 100];
	struct content c = {0};

	while (c.n < packets) {
		ssize_t n;

		wait_for(fd);
		n = take(fd, buf, &c.from[c.n]);
		check(n >= 0, "errno %d", errno);
		c.len[c.n] = (size_t)n;
		c.data[c.n] = malloc((size_t)n + 1);
		memcpy(c.data[c.n++], buf, (size_t)n);
	}
	return c;
}

static void same(int fd, const struct content *c)
{
	static char buf[BIG + 100];
	union addr from;

	for (size_t i = 0; i < c->n; i++) {
		ssize_t n = take(fd, buf, &from);

		check(n == (ssize_t)c->len[i], "packet %zu: %zd bytes of %zu, errno %d", i, n,
		      c->len[i], errno);
		for (ssize_t k = 0; k < n; k++)
			check(buf[k] == c->data[i][k], "packet %zu, byte %zd: %#x, not %#x", i, k,
			      buf[k] & 0xff, c->data[i][k] & 0xff);
		check(!memcmp(&from, &c->from[i], sizeof(from)), "packet %zu: sender", i);
	}
	check(take(fd, buf, &from) == -1 && errno == EAGAIN, "one more, errno %d", errno);
}

/* Only their first bytes. */
static void cut(int fd, unsigned bytes)
{
	struct sock_filter ret = BPF_STMT(BPF_RET | BPF_K, bytes);
	struct sock_fprog p = {.len = 1, .filter = &ret};

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0);
}

static void ping(int fd, int family, const char *text)
{
	char b[64] = {(char)(family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST)};

	strcpy(b + 8, text);
	put(fd, b, sizeof(b), family, 1);
}

int main(void)
{
	static char big[BIG];
	int raw, twin, other, short_, raw6, twin6, icmp, icmp_twin, icmp6, p, p2, p6, tx, tx6;
	struct content c, c6, ci;
	union addr a8, a9, any;
	char b[256];

	let_ping();
	tx = socket(AF_INET, SOCK_RAW, TEST);
	tx6 = socket(AF_INET6, SOCK_RAW, TEST);
	check(tx >= 0 && tx6 >= 0, "errno %d", errno);
	shutdown(tx, SHUT_RD);
	raw = socket(AF_INET, SOCK_RAW, TEST);
	twin = socket(AF_INET, SOCK_RAW, TEST);
	other = bound(AF_INET, SOCK_RAW, TEST, 2);
	short_ = bound(AF_INET, SOCK_RAW, TEST, 3);
	cut(short_, 30);
	raw6 = socket(AF_INET6, SOCK_RAW, TEST);
	twin6 = socket(AF_INET6, SOCK_RAW, TEST);
	memset(big, 'b', sizeof(big));
	put(tx, "first packet", 12, AF_INET, 1);
	put(tx, big, sizeof(big), AF_INET, 1);
	put(tx, "to the third address", 20, AF_INET, 3);
	put(tx6, "six", 3, AF_INET6, 1);
	put(tx6, "", 0, AF_INET6, 1);
	put(tx6, "seven", 5, AF_INET6, 1);
	c = read_all(twin, 3);
	c6 = read_all(twin6, 3);
	wait_for(raw);
	wait_for(raw6);
	wait_for(short_);
	/* what came from elsewhere stays */
	a9 = addr(AF_INET, 9);
	check(bind(raw, &a9.sa, sizeof(a9.v4)) == 0);
	a8 = addr(AF_INET, 8);
	check(connect(raw, &a8.sa, sizeof(a8.v4)) == 0);
	while (take(tx6, big, &any) >= 0)
		;
	icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	icmp_twin = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	icmp6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	p = bound(AF_INET, SOCK_DGRAM, IPPROTO_ICMP, 1);
	p2 = bound(AF_INET, SOCK_DGRAM, IPPROTO_ICMP, 1);
	p6 = bound(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, 1);
	ping(p, AF_INET, "one");
	ping(p, AF_INET, "two");
	ci = read_all(icmp_twin, 4); /* both ways */
	wait_for(icmp);
	wait_for(p);
	ICMP6_FILTER_SETBLOCKALL((struct icmp6_filter *)b);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, (struct icmp6_filter *)b);
	check(setsockopt(icmp6, IPPROTO_ICMPV6, ICMP6_FILTER, b, sizeof(struct icmp6_filter)) == 0);
	ping(p6, AF_INET6, "six");
	wait_for(p6);
	wait_for(icmp6);
	ready();
	same(raw, &c);
	same(raw6, &c6);
	same(icmp, &ci);
	check(take(short_, big, &any) == 30 && !memcmp(big + 20, "to the third", 10) &&
		      !memcmp(big, c.data[2], 20),
	      "errno %d", errno);
	check(recv(short_, b, 1, MSG_DONTWAIT) < 0 && recv(other, b, 1, MSG_DONTWAIT) < 0);
	check(recv(p, b, sizeof(b), MSG_DONTWAIT) == 64 && !strcmp(b + 8, "one"));
	check(recv(p, b, sizeof(b), MSG_DONTWAIT) == 64 && !strcmp(b + 8, "two"));
	check(recv(p, b, 1, MSG_DONTWAIT) < 0 && recv(p2, b, 1, MSG_DONTWAIT) < 0);
	check(recv(p6, b, sizeof(b), MSG_DONTWAIT) == 64 && !strcmp(b + 8, "six"));
	check(recv(p6, b, 1, MSG_DONTWAIT) < 0);
	check(recv(icmp6, b, sizeof(b), MSG_DONTWAIT) == 64 && !strcmp(b + 8, "six"));
	check(recv(icmp6, b, 1, MSG_DONTWAIT) < 0);
	/* their filters, or none, are theirs again */
	put(tx, "third again", 11, AF_INET, 3);
	check(recv(short_, b, sizeof(b), 0) == 30 && !memcmp(b + 20, "third agai", 10));
	put(tx6, "eight", 5, AF_INET6, 1);
	check(recv(raw6, b, sizeof(b), 0) == 5 && !memcmp(b, "eight", 5));
	return ok();
}
