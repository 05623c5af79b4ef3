/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/netlock.h"

#include "base/log.h"
#include "kernel/ns.h"
#include "state/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIST_BYTES (32u << 10) /* what one message of a list has at most: netlink_dump() */

struct netlock {
	struct nft_ctx *nft;
};

/* A netlink socket belongs to where it was opened: only this must happen over there. */
static int visit(int there, void (*open_socket)(void *ret), void *ret)
{
	autoclose int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (here < 0)
		return err_errno("open /proc/self/ns/net");
	if (setns(there, CLONE_NEWNET) < 0)
		return err_errno("enter the network namespace");
	open_socket(ret);
	if (setns(here, CLONE_NEWNET) < 0)
		abort(); /* nothing that we do from here on would be where it should be */
	return 0;
}

static void open_nft(void *ret)
{
	*(struct nft_ctx **)ret = nft_library.new(0);
}

static int open_at(int there, struct nft_ctx **ret)
{
	int r;

	nft_load();
	*ret = NULL;
	r = visit(there, open_nft, ret);
	if (r < 0)
		return r;
	if (!*ret)
		return err_set(EIO, "nftables cannot be used");
	nft_library.buffer_error(*ret);
	return 0;
}

static int run(struct nft_ctx *nft, const char *text)
{
	int r = nft_run(nft, text);

	return r < 0 ? err_wrap(r, "lock the network") : 0;
}

static void add_elements(GString *s, const GArray *connections, int family)
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

struct rules {
	GString *sets, *in, *out;
};

static void add_family(const struct rules *r, const GArray *connections, int family, const char *ip)
{
	g_autoptr(GString) elements = g_string_new(NULL);

	add_elements(elements, connections, family);
	if (!elements->len)
		return;
	g_string_append_printf(r->sets,
			       "set c_%s { type %s_addr . inet_service . %s_addr . inet_service; "
			       "elements = { %s }; }\n",
			       ip, family == AF_INET ? "ipv4" : "ipv6",
			       family == AF_INET ? "ipv4" : "ipv6", elements->str);
	g_string_append_printf(r->in, "%s saddr . tcp sport . %s daddr . tcp dport @c_%s drop\n",
			       ip, ip, ip);
	g_string_append_printf(r->out, "%s daddr . tcp dport . %s saddr . tcp sport @c_%s drop\n",
			       ip, ip, ip);
}

/* Packets of connections that are there pass: also of those that their process has closed. */
static void add_ports(const struct rules *r, const GArray *ports)
{
	g_string_append(r->sets, "set ports { type inet_service; elements = { ");
	for (unsigned i = 0; i < ports->len; i++)
		g_string_append_printf(r->sets, "%s%u", i ? ", " : "",
				       g_array_index(ports, uint16_t, i));
	g_string_append(r->sets, " }; }\n");
	g_string_append(r->in, "tcp flags & (syn | ack) == syn tcp dport @ports drop\n");
}

static char *table(const char *name, const char *flags, const struct netlock_what *what)
{
	g_autoptr(GString) sets = g_string_new(NULL), in = g_string_new(NULL),
			   out = g_string_new(NULL);
	const struct rules r = {sets, in, out};

	if (!what) {
		g_string_append(in, "meta l4proto tcp drop\n");
		g_string_append(out, "meta l4proto tcp drop\n");
	}
	if (what && what->all) {
		g_string_append(in, "drop\n");
		g_string_append(out, "drop\n");
	}
	if (what && what->connections) {
		add_family(&r, what->connections, AF_INET, "ip");
		add_family(&r, what->connections, AF_INET6, "ip6");
	}
	if (what && what->ports && what->ports->len)
		add_ports(&r, what->ports);
	return g_strdup_printf("table inet %s {\n%s%s"
			       "chain in { type filter hook input priority -450;\n"
			       "meta mark %u accept\n%s}\n"
			       "chain out { type filter hook output priority -450;\n"
			       "meta mark %u %saccept\n%s}\n}\n",
			       name, flags, sets->str, NETLOCK_MARK, in->str, NETLOCK_MARK,
			       what && what->untracked ? "notrack " : "", out->str);
}

/* One run is one transaction. */
int netlock_take_in(int ns, const struct netlock_what *what, struct netlock **ret)
{
	g_autofree char *name = g_strdup_printf("cryo-%d", (int)getpid());
	g_autofree char *text = table(name, "flags owner;\n", what);
	CLEANUP(netlock_drop) struct netlock *new = g_new0(struct netlock, 1);
	int r = open_at(ns, &new->nft);

	if (r == 0)
		r = run(new->nft, text);
	if (r == 0)
		*ret = g_steal_pointer(&new);
	return r;
}

int netlock_take(int dir, const struct netlock_what *what, struct netlock **l)
{
	g_autofree char *name = g_strdup_printf("cryo-%d", (int)getpid());
	g_autofree char *text = NULL, *again = NULL;
	autoclose int ns = -1;
	int r;

	if (*l) {
		text = table(name, "flags owner;\n", what);
		again = g_strdup_printf("delete table inet %s\n%s", name, text);
		return run((*l)->nft, again);
	}
	r = ns_open(dir, NS_NET, &ns);
	return r < 0 ? r : netlock_take_in(ns, what, l);
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

int netlock_leave(int ns, const struct netlock_what *what, const char *name)
{
	g_autofree char *text = table(name, "", what);
	struct nft_ctx *nft;
	int r = open_at(ns, &nft);

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

static int add_name(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h,
			  sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
						       netlock_is_left(mnl_attr_get_str(a)))
		g_ptr_array_add(arg, g_strdup(mnl_attr_get_str(a)));
	return MNL_CB_OK;
}

/* In the namespace; -EINVAL or -ENOENT from a kernel that has no nftables loaded: no tables. */
static int list_left(int sock, GPtrArray *names)
{
	g_autofree char *buf = g_malloc(LIST_BYTES);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;
	int r = MNL_CB_OK;

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	*g = (struct nfgenmsg){.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
	if (send(sock, h, h->nlmsg_len, 0) < 0)
		return err_errno("list tables of nftables");
	while (r == MNL_CB_OK) {
		ssize_t n = recv(sock, buf, LIST_BYTES, 0);

		r = n < 0 ? MNL_CB_ERROR : mnl_cb_run(buf, (size_t)n, 0, 0, add_name, names);
	}
	if (r < 0 && errno != EINVAL && errno != ENOENT)
		return err_errno("list tables of nftables");
	return 0;
}

static void open_netfilter(void *ret)
{
	*(int *)ret = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

void netlock_forget_all(int ns)
{
	ERR_KEEP;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	autoclose int sock = -1;
	int r = visit(ns, open_netfilter, &sock);

	if (r == 0 && sock < 0)
		r = err_errno("netlink socket of netfilter");
	if (r == 0)
		r = list_left(sock, names);
	if (r < 0)
		log_debug("%s", err_message());
	for (unsigned i = 0; i < names->len; i++)
		netlock_forget(ns, g_ptr_array_index(names, i));
}
