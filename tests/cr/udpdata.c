/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that were not read yet, with the addresses of both sides. */
#include "cr.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define BIG 60000

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int bound(int family, int protocol, bool any, union addr *ret)
{
	union addr a = {.sa.sa_family = (sa_family_t)family};
	socklen_t len = sizeof(a);
	int fd = socket(family, SOCK_DGRAM, protocol);

	if (fd < 0)
		return -1;
	if (!any && family == AF_INET)
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (!any)
		a.v6.sin6_addr = in6addr_loopback;
	check(bind(fd, &a.sa, sizeof(a)) == 0, "errno %d", errno);
	check(getsockname(fd, &a.sa, &len) == 0);
	*ret = a;
	return fd;
}

static void put(int fd, const void *data, size_t n, union addr to, in_addr_t v4)
{
	socklen_t len = to.sa.sa_family == AF_INET ? sizeof(to.v4) : sizeof(to.v6);

	if (to.sa.sa_family == AF_INET && v4)
		to.v4.sin_addr.s_addr = v4;
	check(sendto(fd, data, n, 0, &to.sa, len) == (ssize_t)n, "errno %d", errno);
}

/* From FROM's port, and to which address? */
static void take(int fd, const void *data, size_t n, const union addr *from, in_addr_t to)
{
	static char b[BIG + 1];
	char control[256];
	union addr a;
	struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};
	struct msghdr m = {.msg_name = &a,
			   .msg_namelen = sizeof(a),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);
	struct cmsghdr *c;

	check(got == (ssize_t)n && !memcmp(b, data, n), "%zd of %zu bytes, errno %d", got, n,
	      errno);
	check(a.v4.sin_port == from->v4.sin_port, "port %u", ntohs(a.v4.sin_port));
	c = CMSG_FIRSTHDR(&m);
	if (to)
		check(c && c->cmsg_type == IP_PKTINFO &&
		      ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr == to);
}

int main(void)
{
	union addr sender, any, one, six, six_sender, lite, mapped;
	int s = bound(AF_INET, 0, false, &sender), a = bound(AF_INET, 0, true, &any),
	    c = bound(AF_INET, 0, false, &one), v6 = bound(AF_INET6, 0, false, &six),
	    s6 = bound(AF_INET6, 0, false, &six_sender), dual = bound(AF_INET6, 0, true, &mapped),
	    l = bound(AF_INET, IPPROTO_UDPLITE, false, &lite), on = 1;
	static char big[BIG];
	char b;

	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 7);
	setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	put(s, "one", 3, any, htonl(INADDR_LOOPBACK));
	put(s, "", 0, any, htonl(INADDR_LOOPBACK));
	put(s, big, BIG, any, htonl(INADDR_LOOPBACK + 5));
	put(s, "odd", 3, any, htonl(INADDR_LOOPBACK + 6));
	check(connect(c, &sender.sa, sizeof(sender.v4)) == 0);
	put(s, "connected", 9, one, 0);
	if (v6 >= 0) {
		put(s6, "", 0, six, 0);
		put(s6, "six", 3, six, 0);
		any.v4.sin_port = mapped.v4.sin_port;
		put(s, "mapped", 6, any, htonl(INADDR_LOOPBACK));
		put(s, "", 0, any, htonl(INADDR_LOOPBACK));
	}
	if (l >= 0)
		put(l, "lite", 4, lite, 0);
	ready();
	take(a, "one", 3, &sender, htonl(INADDR_LOOPBACK));
	take(a, "", 0, &sender, htonl(INADDR_LOOPBACK));
	take(a, big, BIG, &sender, htonl(INADDR_LOOPBACK + 5));
	take(a, "odd", 3, &sender, htonl(INADDR_LOOPBACK + 6));
	check(recv(a, &b, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	take(c, "connected", 9, &sender, 0);
	if (v6 >= 0) {
		take(v6, "", 0, &six_sender, 0);
		take(v6, "six", 3, &six_sender, 0);
		take(dual, "mapped", 6, &sender, 0);
		take(dual, "", 0, &sender, 0);
	}
	if (l >= 0)
		take(l, "lite", 4, &lite, 0);
	return ok();
}
