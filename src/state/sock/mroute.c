/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of multicast routers (MRT_INIT, MRT6_INIT): interfaces and routes are the kernel's as
 * long as the socket is open, and go with it.  Nobody tells which socket it is, but that there is
 * one in the network namespace: "mc_forwarding" (net/ipv4/ipmr.c: ip_mroute_setsockopt()).
 */
#include "state/sock/inet.h"

#include "base/file.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

/* 1: it is on. */
static int is_router(void *arg, int *ret_fd)
{
	g_autofree char *text = NULL;

	if (file_read_at(AT_FDCWD, arg, 64, &text, NULL) < 0) {
		err_clear(); /* CONFIG_IP_MROUTE */
		return 0;
	}
	return text[0] != '0';
}

int mroute_check(const struct dump *d, const struct sock_view *s)
{
	const char *path = s->protocol == IPPROTO_IGMP
				   ? "/proc/sys/net/ipv4/conf/all/mc_forwarding"
				   : "/proc/sys/net/ipv6/conf/all/mc_forwarding";
	autoclose int ns = -1;
	int r;

	if (d->frozen || s->type != SOCK_RAW ||
	    (s->protocol != IPPROTO_IGMP && s->protocol != IPPROTO_ICMPV6))
		return 0;
	ns = ioctl(s->fd, SIOCGSKNS);
	r = ns < 0 ? err_errno("network namespace of %s", s->v->link)
		   : ns_run(&ns, 1, is_router, (void *)path, NULL);
	if (r <= 0)
		return r;
	return err_set(
		EOPNOTSUPP,
		"%s: its network namespace routes multicast (MRT_INIT), which may be by this "
		"socket and cannot be saved; stop the router first",
		s->v->link);
}
