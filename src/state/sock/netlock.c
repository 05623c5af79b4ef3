/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/netlock.h"

#include "base/log.h"
#include "kernel/ns.h"
#include "state/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct netlock {
	struct nft_ctx *nft;
};

/* libnftables opens its netlink socket here and keeps it: only this must happen over there. */
static int open_at(int there, struct nft_ctx **ret)
{
	autoclose int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	nft_load();
	if (here < 0)
		return err_errno("open /proc/self/ns/net");
	if (setns(there, CLONE_NEWNET) < 0)
		return err_errno("enter the network namespace");
	*ret = nft_library.new(0);
	if (setns(here, CLONE_NEWNET) < 0)
		abort(); /* nothing that we do from here on would be where it should be */
	if (!*ret)
		return err_set(EIO, "nftables cannot be used");
	nft_library.buffer_error(*ret);
	return 0;
}

static int open_there(int dir, struct nft_ctx **ret)
{
	autoclose int there = -1;
	int r = ns_open(dir, NS_NET, &there);

	return r < 0 ? r : open_at(there, ret);
}

static int run(struct nft_ctx *nft, const char *text)
{
	int r = nft_run(nft, text);

	return r < 0 ? err_wrap(r, "lock the network") : 0;
}

static void add_elements(GString *s, GArray *connections, int family)
{
	const char *sep = "";

	for (unsigned i = 0; i < connections->len; i++) {
		const struct diag_tcp *c = &g_array_index(connections, struct diag_tcp, i);
		char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

		if (c->family != family)
			continue;
		inet_ntop(family, c->src, src, sizeof(src));
		inet_ntop(family, c->dst, dst, sizeof(dst));
		g_string_append_printf(s, "%s%s . %u . %s . %u", sep, dst, c->dport, src, c->sport);
		sep = ", ";
	}
}

static void add_family(GString *sets, GString *in, GString *out, GArray *connections, int family,
		       const char *ip)
{
	g_autoptr(GString) elements = g_string_new(NULL);

	add_elements(elements, connections, family);
	if (!elements->len)
		return;
	g_string_append_printf(sets,
			       "set c_%s { type %s_addr . inet_service . %s_addr . inet_service; "
			       "elements = { %s }; }\n",
			       ip, family == AF_INET ? "ipv4" : "ipv6",
			       family == AF_INET ? "ipv4" : "ipv6", elements->str);
	g_string_append_printf(in, "%s saddr . tcp sport . %s daddr . tcp dport @c_%s drop\n", ip,
			       ip, ip);
	g_string_append_printf(out, "%s daddr . tcp dport . %s saddr . tcp sport @c_%s drop\n", ip,
			       ip, ip);
}

static char *table(const char *name, const char *flags, GArray *connections)
{
	g_autoptr(GString) sets = g_string_new(NULL), in = g_string_new(NULL),
			   out = g_string_new(NULL);

	add_family(sets, in, out, connections, AF_INET, "ip");
	add_family(sets, in, out, connections, AF_INET6, "ip6");
	return g_strdup_printf("table inet %s {\n%s%s"
			       "chain in { type filter hook input priority -450;\n"
			       "meta mark %u accept\n%s}\n"
			       "chain out { type filter hook output priority -450;\n"
			       "meta mark %u accept\n%s}\n}\n",
			       name, flags, sets->str, NETLOCK_MARK, in->str, NETLOCK_MARK,
			       out->str);
}

int netlock_take(int dir, GArray *connections, struct netlock **ret)
{
	g_autofree char *name = g_strdup_printf("cryo-%d", (int)getpid());
	g_autofree char *text = table(name, "flags owner;\n", connections);
	CLEANUP(netlock_drop) struct netlock *l = g_new0(struct netlock, 1);
	int r = open_there(dir, &l->nft);

	if (r == 0)
		r = run(l->nft, text);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&l);
	return 0;
}

/* The table goes with the socket. */
void netlock_drop(struct netlock **l)
{
	struct netlock *lock = g_steal_pointer(l);

	if (!lock)
		return;
	if (lock->nft)
		nft_library.free(lock->nft);
	g_free(lock);
}

char *netlock_left_name(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return g_strdup_printf(NETLOCK_LEFT "-%d-%llu%09ld", (int)getpid(),
			       (unsigned long long)now.tv_sec, now.tv_nsec);
}

int netlock_leave(int dir, GArray *connections, const char *name)
{
	g_autofree char *text = table(name, "", connections);
	struct nft_ctx *nft;
	int r = open_there(dir, &nft);

	if (r < 0)
		return r;
	r = run(nft, text);
	nft_library.free(nft);
	return r;
}

bool netlock_is_left(const char *name)
{
	return name && g_str_has_prefix(name, NETLOCK_LEFT) &&
	       strspn(name, NETLOCK_LEFT "-0123456789") == strlen(name);
}

void netlock_forget(int ns, const char *name)
{
	ERR_KEEP;
	g_autofree char *text =
		g_strdup_printf("add table inet %s; delete table inet %s", name, name);
	struct nft_ctx *nft;

	if (open_at(ns, &nft) < 0)
		return;
	if (nft_library.run(nft, text) != 0)
		log_debug("nftables: %s", nft_library.get_error(nft));
	nft_library.free(nft);
}
