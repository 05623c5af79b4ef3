/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of ip(7), ipv6(7), tcp(7), udp(7) that are an int, can be read, and are set to what was
 * read.  Those of a new socket are left alone at restore.
 */
#include "state/sock/tcp.h"

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
#ifndef ICMP_FILTER
#define ICMP_FILTER 1 /* linux/icmp.h */
#endif
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO	   11 /* linux/in6.h */
#define IPV6_FLOWINFO_SEND 33
#endif
#define CONGESTION_MAX 16  /* TCP_CA_NAME_MAX */
#define HEADER_MAX     256 /* of IPv6, before a packet */

static const struct inet_option {
	int level, name;
} options[] = {
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
	{IPPROTO_IP, IP_MULTICAST_IF}, /* its address, as an int */
	{IPPROTO_IP, IP_PASSSEC},
	{IPPROTO_IP, IP_CHECKSUM},
	{IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */},
	{IPPROTO_IP, 26 /* IP_RECVERR_RFC4884 */},
	{IPPROTO_IP, IP_UNICAST_IF},
	{IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */},
	{IPPROTO_IP, IP_ROUTER_ALERT},
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
	{IPPROTO_IPV6, IPV6_FLOWINFO},
	{IPPROTO_IPV6, IPV6_FLOWINFO_SEND},
	{IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */},
	{IPPROTO_IPV6, 30 /* IPV6_ROUTER_ALERT_ISOLATE */},
	{IPPROTO_IPV6, 31 /* IPV6_RECVERR_RFC4884 */},
	{IPPROTO_IPV6, IPV6_HDRINCL},
	{IPPROTO_IPV6, IPV6_RECVHOPOPTS},
	{IPPROTO_IPV6, IPV6_RECVRTHDR},
	{IPPROTO_IPV6, IPV6_RECVDSTOPTS},
	{IPPROTO_IPV6, IPV6_RECVPATHMTU},
	{IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
	{IPPROTO_IPV6, IPV6_ADDR_PREFERENCES},
	{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
	{IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
	{IPPROTO_IPV6, IPV6_TRANSPARENT},
	{IPPROTO_IPV6, IPV6_UNICAST_IF},
	{IPPROTO_IPV6, IPV6_RECVFRAGSIZE},
	{IPPROTO_IPV6, 2 /* IPV6_2292PKTINFO */},
	{IPPROTO_IPV6, 3 /* IPV6_2292HOPOPTS */},
	{IPPROTO_IPV6, 4 /* IPV6_2292DSTOPTS */},
	{IPPROTO_IPV6, 5 /* IPV6_2292RTHDR */},
	{IPPROTO_IPV6, 8 /* IPV6_2292HOPLIMIT */},
	{IPPROTO_IPV6, IPV6_ROUTER_ALERT},
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
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
	{IPPROTO_TCP, TCP_MAXSEG},	 /* of one without a connection */
	{IPPROTO_TCP, TCP_WINDOW_CLAMP}, /* as well */
	{IPPROTO_TCP, TCP_INQ},
	{IPPROTO_TCP, TCP_QUICKACK},
	{IPPROTO_TCP, TCP_TX_DELAY},
	{IPPROTO_TCP, 44 /* TCP_RTO_MAX_MS */},
	{IPPROTO_TCP, 45 /* TCP_RTO_MIN_US */},
	{IPPROTO_TCP, 46 /* TCP_DELACK_MAX_US */},
	{IPPROTO_UDP, UDP_CORK},
	{IPPROTO_UDP, UDP_NO_CHECK6_TX},
	{IPPROTO_UDP, UDP_NO_CHECK6_RX},
	{IPPROTO_UDP, UDP_SEGMENT},
	{IPPROTO_UDP, UDP_GRO},
	{IPPROTO_UDP, UDP_ENCAP},
	{SOL_RAW, ICMP_FILTER},
	{SOL_RAW, IPV6_CHECKSUM},
	{SOL_UDPLITE, UDPLITE_SEND_CSCOV},
	{SOL_UDPLITE, UDPLITE_RECV_CSCOV},
};

static bool is_multicast(const struct inet_option *o)
{
	if (o->level == IPPROTO_IPV6)
		return o->name == IPV6_MULTICAST_IF || o->name == IPV6_MULTICAST_HOPS;
	return o->level == IPPROTO_IP &&
	       (o->name == IP_MULTICAST_TTL || o->name == IP_MULTICAST_IF);
}

/* What it says is what was asked for, not what was agreed upon; else tcp_restore() knows. */
static bool is_idle(const struct sock_view *s)
{
	int state = inet_state(s);
	union inet_addr peer;

	return state == TCP_LISTEN || (state == TCP_CLOSE && !tcp_peer(s->fd, &peer));
}

/* Is it one of this socket's?  Levels of other protocols have other options by these numbers. */
static bool applies(const struct sock_view *s, const struct inet_option *o)
{
	if (o->level == IPPROTO_TCP && (o->name == TCP_MAXSEG || o->name == TCP_WINDOW_CLAMP))
		return inet_is_tcp(s) && is_idle(s);
	if (o->level == IPPROTO_TCP)
		return inet_is_tcp(s);
	if (o->level == IPPROTO_UDP)
		return s->protocol == IPPROTO_UDP || s->protocol == IPPROTO_UDPLITE;
	if (o->level == SOL_UDPLITE)
		return s->protocol == IPPROTO_UDPLITE;
	if (s->type == SOCK_STREAM && is_multicast(o))
		return false; /* can be read, but not set */
	if (o->level == SOL_RAW && o->name == IPV6_CHECKSUM)
		return s->type == SOCK_RAW && s->family == AF_INET6;
	if (o->level == SOL_RAW)
		return s->type == SOCK_RAW && s->protocol == IPPROTO_ICMP && s->family == AF_INET;
	if (o->level == IPPROTO_IP && o->name == IP_ROUTER_ALERT) /* ip_ra_control() */
		return s->type == SOCK_RAW && s->family == AF_INET && s->protocol != IPPROTO_RAW;
	if (o->level == IPPROTO_IPV6 && o->name == IPV6_ROUTER_ALERT) /* ip6_ra_control() */
		return s->type == SOCK_RAW && s->protocol == IPPROTO_RAW;
	if (o->level == IPPROTO_IPV6 && o->name == IPV6_HDRINCL)
		return s->type == SOCK_RAW && s->family == AF_INET6;
	if (o->level == IPPROTO_IPV6)
		return s->family == AF_INET6;
	return true;
}

/* Those that are no int. */
static const struct bytes_option {
	const char *key;
	int level, name;
	unsigned len;
	bool fixed; /* LEN, not less */
} bytes[] = {
	{"icmp6_filter", IPPROTO_ICMPV6, 1 /* ICMP6_FILTER */, 32, true},
	{"fastopen_key", IPPROTO_TCP, TCP_FASTOPEN_KEY, 16, true},
	{"ip_options", IPPROTO_IP, IP_OPTIONS, 40, false},
	{"hop_options", IPPROTO_IPV6, IPV6_HOPOPTS, HEADER_MAX, false},
	{"route_options", IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, HEADER_MAX, false},
	{"route", IPPROTO_IPV6, IPV6_RTHDR, HEADER_MAX, false},
	{"end_options", IPPROTO_IPV6, IPV6_DSTOPTS, HEADER_MAX, false},
};

static bool has_bytes(const struct sock_view *s, const struct bytes_option *o)
{
	if (o->level == IPPROTO_TCP)
		return inet_is_tcp(s) && inet_state(s) == TCP_LISTEN;
	if (o->level == IPPROTO_ICMPV6)
		return s->type == SOCK_RAW && s->family == AF_INET6 &&
		       s->protocol == IPPROTO_ICMPV6;
	return o->level == IPPROTO_IP || s->family == AF_INET6;
}

static void dump_bytes(const struct sock_view *s, json_t *x)
{
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
		uint8_t v[HEADER_MAX];
		socklen_t len = bytes[i].len;
		json_t *list;

		if (!has_bytes(s, &bytes[i]) ||
		    getsockopt(s->fd, bytes[i].level, bytes[i].name, v, &len) < 0 || !len ||
		    len > bytes[i].len || (bytes[i].fixed && len != bytes[i].len))
			continue;
		json_object_set_new(x, bytes[i].key, list = json_array());
		for (unsigned k = 0; k < len; k++)
			json_array_append_new(list, json_integer(v[k]));
	}
}

static int restore_bytes(int fd, const json_t *x)
{
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
		const json_t *list = json_object_get(x, bytes[i].key);
		size_t n = json_array_size(list);
		uint8_t v[HEADER_MAX] = {0};

		if (!n || n > bytes[i].len || (bytes[i].fixed && n != bytes[i].len))
			continue;
		for (unsigned k = 0; k < n; k++)
			v[k] = (uint8_t)json_integer_value(json_array_get(list, k));
		if (setsockopt(fd, bytes[i].level, bytes[i].name, v, (socklen_t)n) < 0)
			return err_errno("%s", bytes[i].key);
	}
	return 0;
}

/* What a mean option of IP has left of a segment, which nobody may ask for: TCP_MIN_MSS */
static bool is_too_small(const struct inet_option *o, int v)
{
	return o->level == IPPROTO_TCP && o->name == TCP_MAXSEG && v < 88;
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
		    sock_get_int(s->fd, options[i].level, options[i].name, &v) &&
		    !is_too_small(&options[i], v))
			json_array_append_new(
				all, json_pack("[i,i,i]", options[i].level, options[i].name, v));
	dump_bytes(s, x);
	if (inet_is_tcp(s) && getsockopt(s->fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &len) == 0)
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
		r = sock_set_again(fd, level, name, want);
		if (r < 0)
			return r;
	}
	if (congestion &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) <
		    0 &&
	    errno != ENOENT)
		return err_errno("congestion control %s", congestion);
	return restore_bytes(fd, x);
}
