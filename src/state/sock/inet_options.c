/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of ip(7), ipv6(7), tcp(7), udp(7) that are an int, can be read, and are set to what was
 * read.  Those of a new socket are left alone at restore.
 */
#include "state/sock/inet.h"

#include "base/log.h"

#include <errno.h>
#include <linux/udp.h>
#include <string.h>

#ifndef SOL_UDPLITE
#define SOL_UDPLITE 136
#endif
/* net/udplite.h */
#ifndef UDPLITE_SEND_CSCOV
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#endif
#define CONGESTION_MAX 16 /* TCP_CA_NAME_MAX */

static const struct inet_option {
	int level, name;
} options[] = {
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS},
	{SOL_SOCKET, SO_RXQ_OVFL},
	{SOL_SOCKET, SO_ZEROCOPY},
	{IPPROTO_IP, IP_TOS},
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_FREEBIND},
	{IPPROTO_IP, IP_TRANSPARENT},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IP, IP_RECVTTL},
	{IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_RECVOPTS},
	{IPPROTO_IP, IP_RETOPTS},
	{IPPROTO_IP, IP_RECVERR},
	{IPPROTO_IP, IP_RECVORIGDSTADDR},
	{IPPROTO_IP, IP_MTU_DISCOVER},
	{IPPROTO_IP, IP_HDRINCL},
	{IPPROTO_IP, IP_NODEFRAG},
	{IPPROTO_IP, IP_MINTTL},
	{IPPROTO_IP, IP_MULTICAST_TTL},
	{IPPROTO_IP, IP_MULTICAST_LOOP},
	{IPPROTO_IP, IP_MULTICAST_ALL},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
	{IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
	{IPPROTO_IPV6, IPV6_MULTICAST_IF},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{IPPROTO_IPV6, IPV6_RECVTCLASS},
	{IPPROTO_IPV6, IPV6_RECVERR},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
	{IPPROTO_IPV6, IPV6_DONTFRAG},
	{IPPROTO_IPV6, IPV6_FREEBIND},
	{IPPROTO_TCP, TCP_NODELAY},
	{IPPROTO_TCP, TCP_CORK},
	{IPPROTO_TCP, TCP_KEEPIDLE},
	{IPPROTO_TCP, TCP_KEEPINTVL},
	{IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_SYNCNT},
	{IPPROTO_TCP, TCP_LINGER2},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{IPPROTO_TCP, TCP_SAVE_SYN},
	{IPPROTO_TCP, TCP_FASTOPEN},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
	{IPPROTO_UDP, UDP_NO_CHECK6_TX},
	{IPPROTO_UDP, UDP_NO_CHECK6_RX},
	{IPPROTO_UDP, UDP_SEGMENT},
	{IPPROTO_UDP, UDP_GRO},
	{SOL_UDPLITE, UDPLITE_SEND_CSCOV},
	{SOL_UDPLITE, UDPLITE_RECV_CSCOV},
};

static bool is_multicast(const struct inet_option *o)
{
	if (o->level == IPPROTO_IPV6)
		return o->name == IPV6_MULTICAST_IF || o->name == IPV6_MULTICAST_HOPS ||
		       o->name == IPV6_MULTICAST_LOOP;
	return o->level == IPPROTO_IP &&
	       (o->name == IP_MULTICAST_TTL || o->name == IP_MULTICAST_LOOP);
}

/* Is it one of this socket's?  Levels of other protocols have other options by these numbers. */
static bool applies(const struct sock_view *s, const struct inet_option *o)
{
	if (o->level == IPPROTO_TCP)
		return s->protocol == IPPROTO_TCP;
	if (o->level == IPPROTO_UDP)
		return s->protocol == IPPROTO_UDP;
	if (o->level == SOL_UDPLITE)
		return s->protocol == IPPROTO_UDPLITE;
	if (s->type == SOCK_STREAM && is_multicast(o))
		return false; /* can be read, but not set */
	if (o->level == IPPROTO_IPV6)
		return s->family == AF_INET6;
	return true;
}

int inet_options_dump(const struct sock_view *s, json_t *x)
{
	char congestion[CONGESTION_MAX + 1] = "";
	socklen_t len = CONGESTION_MAX;
	json_t *all = json_array();
	int v;

	json_object_set_new(x, "options", all);
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (applies(s, &options[i]) &&
		    sock_get_int(s->fd, options[i].level, options[i].name, &v))
			json_array_append_new(
				all, json_pack("[i,i,i]", options[i].level, options[i].name, v));
	if (s->protocol == IPPROTO_TCP &&
	    getsockopt(s->fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &len) == 0)
		json_object_set_new(x, "congestion", json_string(congestion));
	return 0;
}

/* Only what is in the table: IMAGE_EXTRA may come from anywhere. */
static bool is_known(int level, int name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].level == level && options[i].name == name)
			return true;
	return false;
}

int inet_options_restore(int fd, json_t *x)
{
	const char *congestion = json_string_value(json_object_get(x, "congestion"));
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(x, "options"), i, one)
	{
		int level = (int)json_integer_value(json_array_get(one, 0));
		int name = (int)json_integer_value(json_array_get(one, 1));
		int want = (int)json_integer_value(json_array_get(one, 2)), have, r;

		if (!is_known(level, name) ||
		    (sock_get_int(fd, level, name, &have) && have == want))
			continue;
		r = sock_set_int(fd, level, name, want);
		/* what this kernel has in another way is no reason to lose the rest */
		if (r == -EINVAL || r == -ENOPROTOOPT)
			log_warn("%s", err_message());
		else if (r < 0)
			return r;
	}
	if (congestion &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) <
		    0 &&
	    errno != ENOENT)
		return err_errno("congestion control %s", congestion);
	return 0;
}
