/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of datagrams that are connected to where no route leads any more.
 *
 * Of IPv4 whoever asks for a device is believed that the other end is on its link, if the device is
 * up (net/ipv4/route.c: ip_route_output_key_hash_rcu()), and who is transparent may have an address
 * of nobody (FLOWI_FLAG_ANYSRC).  IPv6 believes nobody: there is a route of the loopback device for
 * as long as the socket connects.  Both taken back, the next packet looks for a route as it would
 * have anyway (sk_dst_reset(), dst_check()).
 */
#include "kernel/ns.h"
#include "kernel/rtnl.h"
#include "state/sock/inet.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define LOOPBACK "lo"

static bool has_device(int fd)
{
	char name[IFNAMSIZ];
	socklen_t len = sizeof(name);

	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 && len > 0;
}

static int by_device(int fd, const union inet_addr *a)
{
	int transparent, r = -1;

	if (has_device(fd) || !sock_get_int(fd, IPPROTO_IP, IP_TRANSPARENT, &transparent))
		return -1;
	if (sock_set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, LOOPBACK, sizeof(LOOPBACK)) == 0) {
		r = connect(fd, &a->sa, inet_addr_len(a));
		if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1) < 0)
			r = -1;
	}
	if (sock_set_int(fd, IPPROTO_IP, IP_TRANSPARENT, transparent) < 0)
		r = -1;
	return r;
}

static int ask_route(int sock, unsigned type, unsigned flags, const struct in6_addr *to)
{
	const struct rtmsg head = {.rtm_family = AF_INET6,
				   .rtm_dst_len = 128,
				   .rtm_table = RT_TABLE_MAIN,
				   .rtm_protocol = RTPROT_STATIC,
				   .rtm_scope = RT_SCOPE_UNIVERSE,
				   .rtm_type = RTN_UNICAST};
	_Alignas(struct nlmsghdr) char buf[RTNL_BYTES];
	struct nlmsghdr *h = rtnl_begin(buf, type, flags, &head, sizeof(head));

	mnl_attr_put(h, RTA_DST, sizeof(*to), to);
	mnl_attr_put_u32(h, RTA_OIF, if_nametoindex(LOOPBACK));
	return rtnl_ask(sock, h, "a route for a moment");
}

struct call {
	int fd;
	const union inet_addr *to;
};

static int with_route(void *arg, int *ret_fd)
{
	const struct call *c = arg;
	autoclose int sock = -1;
	int r = rtnl_open(&sock);

	if (r == 0)
		r = ask_route(sock, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &c->to->v6.sin6_addr);
	if (r < 0)
		return r;
	if (connect(c->fd, &c->to->sa, inet_addr_len(c->to)) < 0)
		r = err_errno("connect");
	return ask_route(sock, RTM_DELROUTE, 0, &c->to->v6.sin6_addr) < 0 ? -EIO : r;
}

int inet_connect_without_route(int fd, const union inet_addr *a)
{
	struct call c = {fd, a};
	int was = errno, r;

	if (was != ENETUNREACH && was != EHOSTUNREACH && was != EACCES && was != EINVAL)
		return -1;
	if (a->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
		r = by_device(fd, a);
	} else {
		autoclose int ns = ioctl(fd, SIOCGSKNS);

		r = ns < 0 ? -1 : ns_run(&ns, 1, with_route, &c, NULL);
	}
	err_clear();
	errno = was;
	return r < 0 ? -1 : 0;
}
