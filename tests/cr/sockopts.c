/* SPDX-License-Identifier: Apache-2.0 */
/* Options of sockets of all families, one socket for each; sources of multicast groups. */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#define SO_TXREHASH_   74
#define SO_RCVMARK_    75
#define SO_PASSPIDFD_  76
#define SO_PASSRIGHTS_ 83

static const struct option {
	int family, type, protocol, level, name, value;
} options[] = {
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_TIMESTAMP, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_TIMESTAMPNS, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_RXQ_OVFL, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_INCOMING_CPU, 0},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_MAX_PACING_RATE, 123456},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_RCVMARK_, 1},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_MARK, 77},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_PRIORITY, 5},
	{AF_INET, SOCK_DGRAM, 0, SOL_SOCKET, SO_NO_CHECK, 1},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_REUSEPORT, 1},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_ZEROCOPY, 1},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_RCVLOWAT, 3},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_OOBINLINE, 1},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_TXREHASH_, 0},
	{AF_INET, SOCK_STREAM, 0, SOL_SOCKET, SO_LOCK_FILTER, 1},
	{AF_UNIX, SOCK_STREAM, 0, SOL_SOCKET, SO_PASSCRED, 1},
	{AF_UNIX, SOCK_STREAM, 0, SOL_SOCKET, SO_PASSPIDFD_, 1},
	{AF_UNIX, SOCK_STREAM, 0, SOL_SOCKET, SO_PASSRIGHTS_, 0},
	{AF_UNIX, SOCK_DGRAM, 0, SOL_SOCKET, SO_TIMESTAMP, 1},
	{AF_NETLINK, SOCK_RAW, 0, SOL_SOCKET, SO_RXQ_OVFL, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, IP_PASSSEC, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, IP_CHECKSUM, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, IP_MULTICAST_ALL, 0},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, IP_MULTICAST_IF, 0x0100007f},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_IP, IP_TOS, 16},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_IP, IP_TTL, 9},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, 50000 | 51000 << 16},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_RECVRTHDR, 1},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 3},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_TRANSPARENT, 1},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 4},
	{AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_MAXSEG, 1000},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_INQ, 1},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_USER_TIMEOUT, 4321},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_KEEPCNT, 7},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_SYNCNT, 2},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_LINGER2, 11},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4096},
	{AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, UDP_SEGMENT, 1200},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, UDP_GRO, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, UDP_CORK, 1},
	{AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP},
	{AF_INET, SOCK_RAW, IPPROTO_ICMP, 255 /* SOL_RAW */, 1 /* ICMP_FILTER */, 0x11},
};

static int get(int fd, const struct option *o)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, o->level, o->name, &v, &len) == 0 ? v : -1;
}

static void member(int fd, int option)
{
	struct ip_mreq_source m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"),
				   .imr_interface.s_addr = htonl(INADDR_LOOPBACK),
				   .imr_sourceaddr.s_addr = inet_addr("10.9.8.7")};

	check(setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m)) == 0, "%d: errno %d", option,
	      errno);
}

static void join(int fd)
{
	struct ip_mreq m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"),
			    .imr_interface.s_addr = htonl(INADDR_LOOPBACK)};

	check(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)) == 0);
}

static int bound(int protocol)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, protocol, 0);

	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* Those that are more than a number. */
static const struct linger linger = {1, 7};
static const struct timeval limits[] = {{3, 240000}, {5, 120000}};
static const struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1000, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_RET | BPF_K, 65535),
};

static void furnish(int fd)
{
	struct sock_fprog p = {.len = ARRAY_SIZE(filter), .filter = (struct sock_filter *)filter};

	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limits[0], sizeof(limits[0])) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limits[1], sizeof(limits[1])) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0);
}

static void is_furnished(int fd, const char *what)
{
	struct sock_filter f[ARRAY_SIZE(filter) + 1];
	struct timeval t[2];
	struct linger l;
	socklen_t len = sizeof(l), n = ARRAY_SIZE(f);

	check(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) == 0 && l.l_onoff == 1 &&
		      l.l_linger == linger.l_linger,
	      "%s", what);
	len = sizeof(t[0]);
	check(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t[0], &len) == 0 &&
		      getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t[1], &len) == 0 &&
		      !memcmp(t, limits, sizeof(t)),
	      "%s: %ld.%06ld, %ld.%06ld", what, t[0].tv_sec, t[0].tv_usec, t[1].tv_sec,
	      t[1].tv_usec);
	check(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, f, &n) == 0 && n == ARRAY_SIZE(filter) &&
		      !memcmp(f, filter, sizeof(filter)),
	      "%s: a filter of %u", what, n);
}

/* Where the next MSG_PEEK looks. */
static void peeks(int fd, const char *text, int next)
{
	char b[8] = "";
	int at = -1;
	socklen_t len = sizeof(at);

	check(recv(fd, b, strlen(text), MSG_PEEK | MSG_DONTWAIT) == (ssize_t)strlen(text) &&
		      strcmp(b, text) == 0,
	      "\"%s\", not \"%s\"", b, text);
	check(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, &len) == 0 && at == next, "%d", at);
}

static void send_to(int fd, const char *text)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	check(sendto(s, text, strlen(text), 0, (struct sockaddr *)&a, len) > 0);
	close(s);
}

/* Options and extension headers of every packet. */
static const struct header {
	int family, type, level, name;
	unsigned char b[16];
	socklen_t len;
} headers[] = {
	{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_OPTIONS, {7, 7, 4}, 8},	     /* record route */
	{AF_INET, SOCK_STREAM, IPPROTO_IP, IP_OPTIONS, {148, 4}, 4},	     /* router alert */
	{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_HOPOPTS, {0, 0, 1, 4}, 8}, /* padding */
	{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_DSTOPTS, {0, 0, 1, 4}, 8},
	{AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, {0, 0, 1, 4}, 8},
};
#define HEADERS ARRAY_SIZE(headers)

static int with_header(const struct header *h)
{
	int fd = socket(h->family, h->type, 0);

	check(setsockopt(fd, h->level, h->name, h->b, h->len) == 0, "%d/%d: errno %d", h->level,
	      h->name, errno);
	return fd;
}

static socklen_t get_header(int fd, const struct header *h, unsigned char b[64])
{
	socklen_t len = 64;

	check(getsockopt(fd, h->level, h->name, b, &len) == 0 && len > 0, "%d/%d: errno %d",
	      h->level, h->name, errno);
	return len;
}

/* A group's member, and who sends to it by an interface that was chosen by its number. */
static void by_number(int ends[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct ip_mreqn m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.4"), .imr_ifindex = 1};
	socklen_t len = sizeof(a);
	int ttl = 0;

	ends[0] = socket(AF_INET, SOCK_DGRAM, 0);
	ends[1] = socket(AF_INET, SOCK_DGRAM, 0);
	check(bind(ends[1], (struct sockaddr *)&a, sizeof(a)) == 0);
	check(setsockopt(ends[1], IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)) == 0, "errno %d",
	      errno);
	check(setsockopt(ends[0], IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)) == 0 &&
	      setsockopt(ends[0], IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)) == 0);
	check(getsockname(ends[1], (struct sockaddr *)&a, &len) == 0);
}

static void hears(const int ends[2])
{
	struct pollfd p = {.fd = ends[1], .events = POLLIN};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	check(getsockname(ends[1], (struct sockaddr *)&a, &len) == 0);
	a.sin_addr.s_addr = inet_addr("239.1.2.4");
	check(sendto(ends[0], "?", 1, 0, (struct sockaddr *)&a, len) == 1, "errno %d", errno);
	check(poll(&p, 1, 30000) == 1, "nothing comes");
}

int main(void)
{
	int ends[2], pair[2],
		zero = 0, datagrams = bound(SOCK_DGRAM),
		with_all[] = {socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET6, SOCK_STREAM, 0),
			      socket(AF_UNIX, SOCK_DGRAM, 0)};
	unsigned char was[HEADERS][64], now[64];
	socklen_t lens[HEADERS];
	int with[HEADERS];
	int fds[ARRAY_SIZE(options)], want[ARRAY_SIZE(options)],
		only = bound(SOCK_DGRAM), but = bound(SOCK_DGRAM),
		tx = socket(AF_INET, SOCK_DGRAM, 0), fast = bound(SOCK_STREAM);
	struct {
		int clock, flags;
	} time = {CLOCK_MONOTONIC, 2};
	socklen_t len = sizeof(time);
	char key[16] = "0123456789abcde", has[16];

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];

		fds[i] = socket(o->family, o->type, o->protocol);
		/* what this kernel does not have is not asked for again */
		if (fds[i] < 0 ||
		    setsockopt(fds[i], o->level, o->name, &o->value, sizeof(o->value)) < 0) {
			close(fds[i]);
			fds[i] = -1;
			continue;
		}
		want[i] = get(fds[i], o);
	}
	member(only, IP_ADD_SOURCE_MEMBERSHIP);
	join(but);
	member(but, IP_BLOCK_SOURCE);
	check(setsockopt(tx, SOL_SOCKET, SO_TXTIME, &time, sizeof(time)) == 0, "errno %d", errno);
	check(listen(fast, 3) == 0 &&
	      setsockopt(fast, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 16) == 0);
	for (size_t i = 0; i < HEADERS; i++) {
		with[i] = with_header(&headers[i]);
		lens[i] = get_header(with[i], &headers[i], was[i]);
	}
	by_number(ends);
	for (size_t i = 0; i < ARRAY_SIZE(with_all); i++)
		furnish(with_all[i]);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "abcdef", 6) == 6);
	check(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0);
	peeks(pair[1], "ab", 2);
	send_to(datagrams, "abcdef");
	check(setsockopt(datagrams, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0);
	peeks(datagrams, "ab", 2);
	ready();
	peeks(pair[1], "cd", 4);
	peeks(datagrams, "cd", 4);
	for (size_t i = 0; i < ARRAY_SIZE(with_all); i++)
		is_furnished(with_all[i], i ? i == 1 ? "tcp" : "unix" : "udp");
	hears(ends);
	for (size_t i = 0; i < HEADERS; i++)
		check(get_header(with[i], &headers[i], now) == lens[i] &&
			      !memcmp(was[i], now, lens[i]),
		      "header %zu", i);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		check(fds[i] < 0 || get(fds[i], &options[i]) == want[i], "option %d/%d: %d, not %d",
		      options[i].level, options[i].name, get(fds[i], &options[i]), want[i]);
	member(only, IP_DROP_SOURCE_MEMBERSHIP);
	member(but, IP_UNBLOCK_SOURCE);
	memset(&time, 0, sizeof(time));
	check(getsockopt(tx, SOL_SOCKET, SO_TXTIME, &time, &len) == 0);
	check(time.clock == CLOCK_MONOTONIC && time.flags == 2);
	len = sizeof(has);
	check(getsockopt(fast, IPPROTO_TCP, TCP_FASTOPEN_KEY, has, &len) == 0 &&
	      !memcmp(key, has, 16));
	return ok();
}
