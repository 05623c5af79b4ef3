/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of IP and TCP that CRIU's records have a place for: so that CRIU finds them in ours, and
 * we in its.  All of them are among those in IMAGE_EXTRA, which come after.
 */
#include "state/sock/tcp.h"

#include <errno.h>

struct field {
	int level, name;
	size_t has, at;
	bool is_bool;
	int usual; /* of a new socket: left out; older programs do not know all of these */
};
#define FIELD(type, level, name, f, b, usual)                                                      \
	{                                                                                          \
		level, name, offsetof(type, has_##f), offsetof(type, f), b, usual                  \
	}

static const struct field ip[] = {
	FIELD(IpOptsEntry, IPPROTO_IP, IP_FREEBIND, freebind, true, -1),
	FIELD(IpOptsEntry, IPPROTO_IP, IP_PKTINFO, pktinfo, true, 0),
	FIELD(IpOptsEntry, IPPROTO_IP, IP_TOS, tos, false, 0),
	FIELD(IpOptsEntry, IPPROTO_IP, IP_TTL, ttl, false, 64),
};

static const struct field raw[] = {
	FIELD(IpOptsRawEntry, IPPROTO_IP, IP_HDRINCL, hdrincl, true, -1),
	FIELD(IpOptsRawEntry, IPPROTO_IP, IP_NODEFRAG, nodefrag, true, -1),
	FIELD(IpOptsRawEntry, IPPROTO_IP, IP_CHECKSUM, checksum, true, 0),
};

static const struct field tcp[] = {
	FIELD(TcpOptsEntry, IPPROTO_TCP, TCP_CORK, cork, true, 0),
	FIELD(TcpOptsEntry, IPPROTO_TCP, TCP_NODELAY, nodelay, true, 0),
	FIELD(TcpOptsEntry, IPPROTO_TCP, TCP_KEEPCNT, keepcnt, false, 9),
	FIELD(TcpOptsEntry, IPPROTO_TCP, TCP_KEEPIDLE, keepidle, false, 7200),
	FIELD(TcpOptsEntry, IPPROTO_TCP, TCP_KEEPINTVL, keepintvl, false, 75),
};

static const struct field common[] = {
	FIELD(SkOptsEntry, IPPROTO_TCP, TCP_KEEPCNT, tcp_keepcnt, false, 9),
	FIELD(SkOptsEntry, IPPROTO_TCP, TCP_KEEPIDLE, tcp_keepidle, false, 7200),
	FIELD(SkOptsEntry, IPPROTO_TCP, TCP_KEEPINTVL, tcp_keepintvl, false, 75),
};

static protobuf_c_boolean *flag_at(const void *e, size_t at)
{
	return (protobuf_c_boolean *)((const char *)e + at);
}

static void dump_fields(int fd, void *e, const struct field *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int value;

		if (!sock_get_int(fd, v[i].level, v[i].name, &value) || value == v[i].usual)
			continue;
		*flag_at(e, v[i].has) = true;
		if (v[i].is_bool)
			*flag_at(e, v[i].at) = value != 0;
		else
			*(uint32_t *)((char *)e + v[i].at) = (uint32_t)value;
	}
}

static int restore_fields(int fd, const void *e, const struct field *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; e && r == 0 && i < n; i++) {
		int have, want;

		if (!*flag_at(e, v[i].has))
			continue;
		want = v[i].is_bool ? *flag_at(e, v[i].at)
				    : (int)*(const uint32_t *)((const char *)e + v[i].at);
		if (!sock_get_int(fd, v[i].level, v[i].name, &have) || have != want)
			r = sock_set_again(fd, v[i].level, v[i].name, want);
	}
	return r;
}

void inet_record_dump(const struct sock_view *s, InetSkEntry *e)
{
	int v;

	e->ip_opts = g_new0(IpOptsEntry, 1);
	ip_opts_entry__init(e->ip_opts);
	dump_fields(s->fd, e->ip_opts, ip, ARRAY_SIZE(ip));
	if (s->type == SOCK_RAW) {
		e->ip_opts->raw = g_new0(IpOptsRawEntry, 1);
		ip_opts_raw_entry__init(e->ip_opts->raw);
		dump_fields(s->fd, e->ip_opts->raw, raw, ARRAY_SIZE(raw));
	}
	if (!inet_is_tcp(s))
		return;
	dump_fields(s->fd, e->opts, common, ARRAY_SIZE(common));
	/* only since CRIU 4: left out where it says nothing */
	if ((!sock_get_int(s->fd, IPPROTO_TCP, TCP_CORK, &v) || !v) &&
	    (!sock_get_int(s->fd, IPPROTO_TCP, TCP_NODELAY, &v) || !v))
		return;
	e->tcp_opts = g_new0(TcpOptsEntry, 1);
	tcp_opts_entry__init(e->tcp_opts);
	dump_fields(s->fd, e->tcp_opts, tcp, ARRAY_SIZE(tcp));
}

int inet_record_restore(int fd, const InetSkEntry *e)
{
	int r = restore_fields(fd, e->ip_opts, ip, ARRAY_SIZE(ip));

	if (r == 0 && e->ip_opts && e->type == SOCK_RAW)
		r = restore_fields(fd, e->ip_opts->raw, raw, ARRAY_SIZE(raw));
	if (r < 0 || e->type != SOCK_STREAM)
		return r;
	r = restore_fields(fd, e->tcp_opts, tcp, ARRAY_SIZE(tcp));
	return r < 0 ? r : restore_fields(fd, e->opts, common, ARRAY_SIZE(common));
}
