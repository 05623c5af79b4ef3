/* SPDX-License-Identifier: Apache-2.0 */
/* A new network namespace filled from images, by a process of ours in it. */
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/ns.h"
#include "kernel/rtnl.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Those that the kernel does not set by itself. */
#define FLAGS (IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST | IFF_DEBUG)

struct maker {
	const struct net_options *o;
	GPtrArray *links; /* NetDeviceEntry */
	json_t *kinds;	  /* of links, by name; may be NULL */
	NetnsEntry *settings;
	int sock, outer; /* rtnetlink: in there, in our own namespace */
	int outer_ns, inner_ns;
	GHashTable *made; /* ifindex */
};

/* The "OUT" of --external KIND[IN]:OUT. */
static const char *outer_name(const struct maker *m, const char *kind, const char *in)
{
	g_autofree char *key = g_strdup_printf("%s[%s]", kind, in);

	for (unsigned i = 0; i < m->o->nexternals; i++)
		if (strcmp(m->o->externals[i].key, key) == 0)
			return m->o->externals[i].name;
	return NULL;
}

static const NetDeviceEntry *by_index(const GPtrArray *links, uint32_t index)
{
	for (unsigned i = 0; i < links->len; i++) {
		const NetDeviceEntry *e = g_ptr_array_index(links, i);

		if (e->ifindex == index)
			return e;
	}
	return NULL;
}

static int index_outside(const struct maker *m, const char *name, int *ret);

/* The pair is made with the later one of both ends' namespaces. */
static bool is_later(const struct maker *m, const NetDeviceEntry *e)
{
	if (e->type != ND_TYPE__VETH || !e->has_peer_nsid || e->peer_nsid == m->o->id ||
	    e->peer_nsid == m->o->root)
		return false;
	return m->o->id == m->o->root || e->peer_nsid > m->o->id;
}

static void put_identity(struct nlmsghdr *h, const NetDeviceEntry *e)
{
	mnl_attr_put_strz(h, IFLA_IFNAME, e->name);
	if (e->has_address)
		mnl_attr_put(h, IFLA_ADDRESS, e->address.len, e->address.data);
	if (e->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, e->mtu);
}

struct peer {			 /* of a veth device, in the tree */
	const NetDeviceEntry *e; /* NULL: outside */
	GPtrArray *links;	 /* of another namespace: its own is among them */
	int ns;			 /* of another namespace, borrowed; -1: the same */
};

static void peer_clear(struct peer *p)
{
	g_clear_pointer(&p->links, g_ptr_array_unref);
}

static int find_peer(const struct maker *m, const NetDeviceEntry *e, struct peer *ret)
{
	int r;

	if (e->type != ND_TYPE__VETH || !e->has_peer_nsid || !e->has_peer_ifindex)
		return 0;
	if (e->peer_nsid == m->o->id || !m->o->find) {
		ret->e = by_index(m->links, e->peer_ifindex);
		return 0;
	}
	r = m->o->find(m->o->arg, e->peer_nsid, &ret->ns);
	if (r == 0)
		r = image_load_all(m->o->images, IMG_NETDEV, e->peer_nsid, &ret->links);
	if (r == 0)
		ret->e = by_index(ret->links, e->peer_ifindex);
	return r;
}

/* drivers/net/veth.c: veth_newlink(): the peer is described in the same request. */
static void put_peer(const struct maker *m, struct nlmsghdr *h, const struct peer *p,
		     const char *outer)
{
	const NetDeviceEntry *peer = p->e;
	struct ifinfomsg head = {.ifi_index = peer ? (int)peer->ifindex : 0};
	struct nlattr *nest = mnl_attr_nest_start(h, VETH_INFO_PEER);

	memcpy(mnl_nlmsg_get_payload_tail(h), &head, sizeof(head));
	h->nlmsg_len += MNL_ALIGN(sizeof(head));
	if (peer)
		put_identity(h, peer);
	else if (outer)
		mnl_attr_put_strz(h, IFLA_IFNAME, outer);
	if (!peer || p->ns >= 0)
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)(peer ? p->ns : m->outer_ns));
	mnl_attr_nest_end(h, nest);
}

/* Up, and a port of BRIDGE. */
static int attach_outside(const struct maker *m, const char *name, const char *bridge)
{
	struct ifinfomsg head = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h;
	int master = 0, r = index_outside(m, name, &head.ifi_index);

	if (r == 0 && bridge)
		r = index_outside(m, bridge, &master);
	if (r < 0)
		return r;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	if (master)
		mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)master);
	return rtnl_ask(m->outer, h, name);
}

struct found {
	const char *name;
	int index;
};

static int find_name(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[IFLA_IFNAME + 1];
	struct found *f = arg;

	rtnl_attrs(h, sizeof(*m), a, IFLA_IFNAME);
	if (a[IFLA_IFNAME] && strcmp(mnl_attr_get_str(a[IFLA_IFNAME]), f->name) == 0)
		f->index = m->ifi_index;
	return 0;
}

static int index_outside(const struct maker *m, const char *name, int *ret)
{
	struct found f = {.name = name};
	int r = rtnl_list(m->outer, RTM_GETLINK, AF_UNSPEC, find_name, &f);

	if (r == 0 && !f.index)
		return err_set(ENODEV, "there is no network device %s here", name);
	*ret = f.index;
	return r;
}

/* A device of ours becomes the tree's: netdev[IN]:OUT. */
static int move_in(const struct maker *m, const NetDeviceEntry *e, const char *outer)
{
	struct ifinfomsg head = {0};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h;
	int r = index_outside(m, outer, &head.ifi_index);

	if (r < 0)
		return r;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	mnl_attr_put_strz(h, IFLA_IFNAME, e->name);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)m->inner_ns);
	return rtnl_ask(m->outer, h, outer);
}

static int make_link(const struct maker *m, const NetDeviceEntry *e, const struct net_link_kind *k)
{
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	const char *outer = outer_name(m, k->name, e->name);
	CLEANUP(peer_clear) struct peer peer = {.ns = -1};
	g_auto(GStrv) parts = outer ? g_strsplit(outer, "@", 2) : NULL;
	char buf[RTNL_BYTES];
	struct nlattr *info, *data;
	struct nlmsghdr *h;
	int r, below = 0;

	if (e->type == ND_TYPE__TUN)
		return net_tun_make_lasting(e);
	r = find_peer(m, e, &peer);
	if (r < 0)
		return r;
	if (k->external && !outer)
		return err_set(EINVAL, "its other side is outside; use --external %s[%s]:NAME",
			       k->name, e->name);
	if (k->external) {
		r = index_outside(m, outer, &below);
		if (r < 0)
			return r;
	}
	h = rtnl_begin(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	put_identity(h, e);
	if (below) {
		mnl_attr_put_u32(h, IFLA_LINK, (uint32_t)below);
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)m->inner_ns);
	}
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, k->name);
	if (e->type == ND_TYPE__VETH || k->put) {
		data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
		if (e->type == ND_TYPE__VETH)
			put_peer(m, h, &peer, parts ? parts[0] : NULL);
		else
			k->put(h, e, below);
		mnl_attr_nest_end(h, data);
	}
	mnl_attr_nest_end(h, info);
	r = rtnl_ask(below ? m->outer : m->sock, h, "create it");
	if (r == 0 && e->type == ND_TYPE__VETH && peer.e && peer.ns < 0)
		g_hash_table_add(m->made, GUINT_TO_POINTER(peer.e->ifindex));
	if (r == 0 && e->type == ND_TYPE__VETH && !peer.e && parts)
		r = attach_outside(m, parts[0], parts[1]);
	return r;
}

static int make(const struct maker *m, const NetDeviceEntry *e)
{
	const char *kind = json_string_value(json_object_get(m->kinds, e->name));
	const char *outer = outer_name(m, "netdev", e->name);
	const struct net_link_kind *k = net_link_kind_of(e, kind);

	if (e->type == ND_TYPE__LOOPBACK || is_later(m, e) ||
	    g_hash_table_contains(m->made, GUINT_TO_POINTER(e->ifindex)))
		return 0;
	if (outer)
		return move_in(m, e, outer);
	if (!k)
		return err_set(
			EOPNOTSUPP,
			"a device of this type cannot be made; use --external netdev[%s]:NAME",
			e->name);
	return make_link(m, e, k);
}

static int set_up(const struct maker *m, const NetDeviceEntry *e)
{
	struct ifinfomsg head = {.ifi_flags = e->flags & FLAGS, .ifi_change = FLAGS};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h;

	head.ifi_index = (int)if_nametoindex(e->name);
	if (!head.ifi_index)
		return err_errno("find it");
	if (e->type == ND_TYPE__LOOPBACK)
		head.ifi_change &= ~(unsigned)IFF_MULTICAST;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	if (e->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, e->mtu);
	if (e->type == ND_TYPE__TUN && e->has_address)
		mnl_attr_put(h, IFLA_ADDRESS, e->address.len, e->address.data);
	return rtnl_ask(m->sock, h, "set it up");
}

/* Before MTUs: a bridge takes that of its ports (net/bridge/br_if.c: br_mtu_auto_adjust()). */
static int join(const struct maker *m, const NetDeviceEntry *e)
{
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h;

	if (!e->has_master)
		return 0;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	mnl_attr_put_u32(h, IFLA_MASTER, e->master);
	return rtnl_ask(m->sock, h, "become a port");
}

static int write_conf(const struct maker *m, const char *dev, enum net_family f,
		      SysctlEntry *const *v, size_t n)
{
	size_t nnow;
	SysctlEntry **now = net_conf_read(f, dev, &nnow);
	int r = net_conf_write(f, dev, v, n, now, nnow, m->o->weak_sysctls);

	net_conf_free(now, nnow);
	return r;
}

static int set_conf(const struct maker *m, const NetDeviceEntry *e)
{
	int r = write_conf(m, e->name, NET_V4, e->conf4, e->n_conf4);

	return r < 0 ? r : write_conf(m, e->name, NET_V6, e->conf6, e->n_conf6);
}

static int each(const struct maker *m, int (*fn)(const struct maker *m, const NetDeviceEntry *e))
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->links->len; i++) {
		const NetDeviceEntry *e = g_ptr_array_index(m->links, i);

		r = fn(m, e);
		if (r < 0)
			r = err_wrap(r, "network device %s", e->name);
	}
	return r;
}

static int write_text(const struct maker *m, const char *path, SysctlEntry *const *v, size_t n)
{
	int r = n && v[0]->sarg ? file_poke_at(AT_FDCWD, path, v[0]->sarg) : 0;

	if (r < 0 && m->o->weak_sysctls) {
		log_warn("%s", err_message());
		err_clear();
		r = 0;
	}
	return r;
}

static int set_all(const struct maker *m)
{
	const NetnsEntry *e = m->settings;
	int r = write_conf(m, "all", NET_V4, e->all_conf4, e->n_all_conf4);

	if (r == 0)
		r = write_conf(m, "default", NET_V4, e->def_conf4, e->n_def_conf4);
	if (r == 0)
		r = write_conf(m, "all", NET_V6, e->all_conf6, e->n_all_conf6);
	if (r == 0)
		r = write_conf(m, "default", NET_V6, e->def_conf6, e->n_def_conf6);
	if (r == 0)
		r = write_text(m, "/proc/sys/net/unix/max_dgram_qlen", e->unix_conf,
			       e->n_unix_conf);
	if (r == 0)
		r = write_text(m, "/proc/sys/net/ipv4/ping_group_range", e->ipv4_sysctl,
			       e->n_ipv4_sysctl);
	return r;
}

static int make_devices(void *arg, int *ret_fd)
{
	struct maker *m = arg;
	int r = rtnl_open(&m->sock);

	if (r == 0)
		r = set_all(m);
	return r < 0 ? r : each(m, make);
}

static int fill(void *arg, int *ret_fd)
{
	struct maker *m = arg;
	int r = rtnl_open(&m->sock);

	if (r == 0)
		r = each(m, join);
	if (r == 0)
		r = each(m, set_conf);
	if (r == 0)
		r = each(m, set_up);
	if (r == 0)
		r = net_lists_restore(m->o->images, m->o->id, m->sock);
	return r < 0 ? r : net_firewall_restore(m->o->images, m->o->id);
}

/* Whether a device is still to be made by another namespace. */
static int waits(const struct maker *m)
{
	for (unsigned i = 0; i < m->links->len; i++)
		if (is_later(m, g_ptr_array_index(m->links, i)))
			return 1;
	return 0;
}

static void maker_clear(struct maker *m)
{
	g_clear_pointer(&m->links, g_ptr_array_unref);
	g_clear_pointer(&m->made, g_hash_table_unref);
	if (m->settings)
		netns_entry__free_unpacked(m->settings, NULL);
	json_decref(m->kinds);
	cleanup_close(&m->outer);
	cleanup_close(&m->outer_ns);
}

static int restore(const struct net_options *o, json_t *extra, ns_fn fn)
{
	g_autofree char *key = net_links_key(o->id);
	CLEANUP(maker_clear)
	struct maker m = {.o = o,
			  .sock = -1,
			  .outer = -1,
			  .outer_ns = -1,
			  .inner_ns = o->ns,
			  .made = g_hash_table_new(NULL, NULL),
			  .kinds = json_incref(json_object_get(extra, key))};
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	int r = image_load_optional(o->images, IMG_NETNS, o->id, &m.settings);

	if (r != 0)
		return r < 0 ? r : 0; /* it was not saved */
	r = image_load_all(o->images, IMG_NETDEV, o->id, &m.links);
	if (r == 0)
		r = proc_open(getpid(), &self);
	if (r == 0)
		r = ns_open(self.dir, NS_NET, &m.outer_ns);
	if (r == 0)
		r = rtnl_open(&m.outer);
	if (r == 0)
		r = ns_run(&m.inner_ns, 1, fn, &m, NULL);
	return r < 0 ? r : waits(&m);
}

int net_restore_devices(const struct net_options *o, json_t *extra)
{
	return restore(o, extra, make_devices);
}

int net_waits(const struct net_options *o)
{
	CLEANUP(maker_clear) struct maker m = {.o = o, .sock = -1, .outer = -1, .outer_ns = -1};
	int r = image_load_all(o->images, IMG_NETDEV, o->id, &m.links);

	return r < 0 ? r : waits(&m);
}

int net_restore_rest(const struct net_options *o, json_t *extra)
{
	int r = restore(o, extra, fill);

	return r < 0 ? r : 0;
}
