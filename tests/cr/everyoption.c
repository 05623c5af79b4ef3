/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option, by its number, of sockets of all kinds: on a socket of its own set to the first
 * value that makes a difference to any that can be read; then all that can be read are as before.
 */
#include "cr.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define NAMES	128
#define VALUE	64
#define SOCKETS 4000

static const int levels[] = {SOL_SOCKET, 0, 41, 6, 17, 136, 255, 58, 270, 263};
#define N (ARRAY_SIZE(levels) * NAMES)

static const struct kind {
	const char *name;
	int family, type, protocol;
	bool paired, listens;
} kinds[] = {
	{"tcp4", AF_INET, SOCK_STREAM, 0, false, false},
	{"tcp4 listening", AF_INET, SOCK_STREAM, 0, false, true},
	{"tcp6", AF_INET6, SOCK_STREAM, 0, false, false},
	{"tcp6 listening", AF_INET6, SOCK_STREAM, 0, false, true},
	{"mptcp4", AF_INET, SOCK_STREAM, IPPROTO_MPTCP, false, false},
	{"mptcp6 listening", AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, false, true},
	{"udp4", AF_INET, SOCK_DGRAM, 0, false, false},
	{"udp6", AF_INET6, SOCK_DGRAM, 0, false, false},
	{"udplite4", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, false, false},
	{"udplite6", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, false, false},
	{"raw4", AF_INET, SOCK_RAW, 200, false, false},
	{"raw4 icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP, false, false},
	{"raw4 raw", AF_INET, SOCK_RAW, IPPROTO_RAW, false, false},
	{"raw6", AF_INET6, SOCK_RAW, 200, false, false},
	{"raw6 icmp", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, false, false},
	{"raw6 raw", AF_INET6, SOCK_RAW, IPPROTO_RAW, false, false},
	{"unix stream", AF_UNIX, SOCK_STREAM, 0, true, false},
	{"unix dgram", AF_UNIX, SOCK_DGRAM, 0, true, false},
	{"unix dgram alone", AF_UNIX, SOCK_DGRAM, 0, false, false},
	{"unix seqpacket", AF_UNIX, SOCK_SEQPACKET, 0, true, false},
	{"unix seqpacket alone", AF_UNIX, SOCK_SEQPACKET, 0, false, false},
	{"netlink", AF_NETLINK, SOCK_RAW, 0, false, false},
	{"packet", AF_PACKET, SOCK_RAW, 0, false, false},
};

/* What is told is not what was asked for, but what has happened, who somebody is, or a new
 * descriptor. */
static bool is_told(int level, int name)
{
	static const struct {
		int level, name;
	} v[] = {
		{SOL_SOCKET, SO_ERROR},
		{SOL_SOCKET, SO_PEERCRED},
		{SOL_SOCKET, 55 /* SO_MEMINFO */},
		{SOL_SOCKET, 56 /* SO_INCOMING_NAPI_ID */},
		{SOL_SOCKET, 57 /* SO_COOKIE */},
		{SOL_SOCKET, 71 /* SO_NETNS_COOKIE */},
		{SOL_SOCKET, 77 /* SO_PEERPIDFD */},
		{6, 11 /* TCP_INFO */},
		{6, 26 /* TCP_CC_INFO */},
		{6, 24 /* TCP_TIMESTAMP */},
		{6, 35 /* TCP_ZEROCOPY_RECEIVE */},
		{270, 9 /* NETLINK_LIST_MEMBERSHIPS: as long as ever */},
		{263, 6 /* PACKET_STATISTICS */},
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		if (v[i].level == level && v[i].name == name)
			return true;
	return (level == 0 || level == 41) && name >= 64 && name <= 69; /* xtables */
}

/* Those that have no value that a program sets: repair, program descriptors, xtables. */
static bool is_left_alone(int level, int name)
{
	return (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || (name >= 49 && name <= 52))) ||
	       (level == 6 && (name == 19 || name == 31)) ||
	       ((level == 0 || level == 41) && name >= 64 && name <= 69);
}

/* The bytes, or of many a sum of them; 0: cannot be read, or nothing. */
typedef uint64_t value;

static struct one {
	const struct kind *kind;
	int fd, level, name, set;
	value *v;
} all[SOCKETS];
static size_t n;

static int lengths[ARRAY_SIZE(kinds)][N];

static int make(const struct kind *k)
{
	int v[2];

	if (k->paired)
		return socketpair(k->family, k->type, k->protocol, v) < 0 ? -1 : v[0];
	v[0] = socket(k->family, k->type, k->protocol);
	return v[0] >= 0 && k->listens && listen(v[0], 5) < 0 ? -1 : v[0];
}

/* How long what can be read is. */
static void measure(int fd, int *ret)
{
	static const socklen_t tries[] = {4, 1, 8, 16, 32, VALUE};

	for (size_t i = 0; i < N; i++) {
		int level = levels[i / NAMES], name = (int)(i % NAMES);
		char b[VALUE];

		ret[i] = 0;
		for (size_t k = 0; k < ARRAY_SIZE(tries) && !ret[i] && !is_told(level, name); k++) {
			socklen_t len = tries[k];

			if (getsockopt(fd, level, name, b, &len) == 0)
				ret[i] = (int)tries[k];
			else if (errno == ENOPROTOOPT || errno == EOPNOTSUPP)
				break;
		}
	}
}

static value sum(const unsigned char *b, size_t len)
{
	value v = 0;

	if (len <= sizeof(v))
		memcpy(&v, b, len);
	else
		for (size_t i = 0; i < len; i++)
			v = (v ^ b[i]) * 0x100000001b3;
	return v;
}

static void look(const struct kind *k, int fd, value *ret)
{
	const int *len = lengths[k - kinds];

	for (size_t i = 0; i < N; i++) {
		socklen_t l = (socklen_t)len[i];
		unsigned char b[VALUE];

		ret[i] = 0;
		if (l && getsockopt(fd, levels[i / NAMES], (int)(i % NAMES), b, &l) == 0)
			ret[i] = sum(b, l);
	}
}

static void keep(const struct kind *k, int fd, int level, int name, int set, const value *v)
{
	check(n < SOCKETS);
	all[n] = (struct one){k, fd, level, name, set, malloc(N * sizeof(*v))};
	memcpy(all[n++].v, v, N * sizeof(*v));
}

/* 1: FD is new as before. */
static int try(const struct kind *k, int fd, int level, int name, const value *usual)
{
	static const int tries[] = {1, 0, 2, 3, 7, 16, 100, 1000, 4096, 65536, 0x7f000001};
	static value now[N];
	int sets = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		if (setsockopt(fd, level, name, &tries[i], sizeof(tries[i])) < 0)
			continue;
		sets++;
		look(k, fd, now);
		if (memcmp(now, usual, sizeof(now)) == 0)
			continue;
		keep(k, fd, level, name, tries[i], now);
		return 0;
	}
	return sets ? 0 : 1;
}

static void sweep(const struct kind *k)
{
	static value usual[N];
	int fd = make(k);

	if (fd < 0) /* not on this kernel */
		return;
	measure(fd, lengths[k - kinds]);
	look(k, fd, usual);
	keep(k, fd, -1, -1, 0, usual);
	fd = -1;
	for (size_t i = 0; i < N; i++) {
		int level = levels[i / NAMES], name = (int)(i % NAMES);

		if (is_left_alone(level, name))
			continue;
		if (fd < 0)
			fd = make(k);
		if (try(k, fd, level, name, usual) == 0)
			fd = -1; /* kept, or open without a use: to close it may take a while */
	}
}

static void compare(const struct one *o)
{
	static value now[N];

	look(o->kind, o->fd, now);
	for (size_t i = 0; i < N; i++)
		check(o->v[i] == now[i],
		      "%s, %d/%d set to %d: option %d/%zu was %#llx and is %#llx", o->kind->name,
		      o->level, o->name, o->set, levels[i / NAMES], i % NAMES,
		      (unsigned long long)o->v[i], (unsigned long long)now[i]);
}

int main(void)
{
	struct rlimit many = {SOCKETS + 2000, SOCKETS + 2000};

	if (setrlimit(RLIMIT_NOFILE, &many) < 0)
		skip("so many descriptors are not allowed");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		sweep(&kinds[i]);
	check(n > 500, "only %zu options could be set", n);
	ready();
	for (size_t i = 0; i < n; i++)
		compare(&all[i]);
	return ok();
}
