/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that are bound to an address of nobody.  IP_FREEBIND is asked for by bind(2) only
 * (inet_can_nonlocal_bind()), so that a program may have taken it back since.  An IPv6 address may
 * be there and not usable yet (IFA_F_TENTATIVE), while it is made sure that nobody else has it.
 */
#include "state/sock/inet.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#define ADDRESSES_MAX 65536

/* All of the socket's network namespace (devinet_ioctl(), SIOCGIFCONF). */
static bool has_interface(int fd, struct in_addr a)
{
	struct ifconf c = {0};
	g_autofree struct ifreq *all = NULL;

	if (ioctl(fd, SIOCGIFCONF, &c) < 0 || (size_t)c.ifc_len > ADDRESSES_MAX * sizeof(*all))
		return true;
	all = g_malloc0((size_t)c.ifc_len + 1);
	c.ifc_req = all;
	if (ioctl(fd, SIOCGIFCONF, &c) < 0)
		return true;
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(*all); i++)
		if (((struct sockaddr_in *)&all[i].ifr_addr)->sin_addr.s_addr == a.s_addr)
			return true;
	return false;
}

void inet_freebind_dump(const struct sock_view *s, json_t *x)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);
	uint32_t v4;

	if (s->family != AF_INET || getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		return;
	v4 = ntohl(a.sin_addr.s_addr);
	if (v4 == INADDR_ANY || v4 >> 24 == IN_LOOPBACKNET || IN_MULTICAST(v4) ||
	    v4 == INADDR_BROADCAST || has_interface(s->fd, a.sin_addr))
		return;
	json_object_set_new(x, "freebound", json_true());
}

int inet_freebind(int fd, json_t *x, const union inet_addr *a)
{
	bool six = a->sa.sa_family == AF_INET6;
	int level = six ? IPPROTO_IPV6 : IPPROTO_IP, name = six ? IPV6_FREEBIND : IP_FREEBIND;
	int was, r;

	if (bind(fd, &a->sa, inet_addr_len(a)) == 0)
		return 0;
	if (errno != EADDRNOTAVAIL || (!six && !json_is_true(json_object_get(x, "freebound"))))
		return -1;
	if (!sock_get_int(fd, level, name, &was) || sock_set_int(fd, level, name, 1) < 0) {
		err_clear();
		errno = EADDRNOTAVAIL;
		return -1;
	}
	r = bind(fd, &a->sa, inet_addr_len(a)) < 0 ? errno : 0;
	if (sock_set_int(fd, level, name, was) < 0) /* it could be set */
		err_clear();
	errno = r;
	return r ? -1 : 0;
}
