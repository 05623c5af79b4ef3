/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a new network namespace: where each is made, and with what. */
#include "state/ns/net_maker.h"

#include "base/log.h"
#include "kernel/ns.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define NEW_IFINDEX 49 /* IFLA_NEW_IFINDEX, Linux 5.12 */

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
bool net_is_later(const struct maker *m, const NetDeviceEntry *e)
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

/* That of the one before; not every driver lets it be set (net/core/dev.c: dev_set_mac_address()).
 */
static void take_address(const struct maker *m, const NetDeviceEntry *e)
{
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));

	mnl_attr_put(h, IFLA_ADDRESS, e->address.len, e->address.data);
	if (rtnl_ask(m->sock, h, "keeps the address it has") < 0)
		log_warn("network device %s: %s", e->name, err_message());
	err_clear();
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
	mnl_attr_put_u32(h, NEW_IFINDEX, e->ifindex); /* addresses and routes name it so */
	r = rtnl_ask(m->outer, h, outer);
	if (r == 0 && e->has_address)
		take_address(m, e);
	return r;
}

/* The device below, or at the other end, is in this namespace. */
static bool is_inside(const struct maker *m, const NetDeviceEntry *e)
{
	return e->has_peer_ifindex && e->has_peer_nsid && e->peer_nsid == m->o->id;
}

static bool is_in(const unsigned char *list, unsigned type)
{
	return list && type && type < 256 && strchr((const char *)list, (int)type);
}

/* Attributes in IMAGE_EXTRA, as the kernel takes them; KIND: NULL, of a port. */
static void put_raw(struct nlmsghdr *h, const json_t *more, const struct net_link_kind *kind)
{
	const char *text = json_string_value(json_object_get(more, kind ? "data" : "port"));
	gsize len = 0;
	g_autofree unsigned char *bytes = text ? g_base64_decode(text, &len) : NULL;
	struct nlattr *attr;

	mnl_attr_for_each_payload((void *)bytes, len)
	{
		unsigned type = mnl_attr_get_type(attr), n = mnl_attr_get_payload_len(attr);
		char *value = mnl_attr_get_payload(attr);

		if (is_in(kind ? kind->told : net_port_told, type))
			continue;
		if (n == 1 && !*value && kind && (type == kind->flag || is_in(kind->present, type)))
			continue;
		if (kind && kind->fit)
			kind->fit(type, value, n);
		if (kind && type && type == kind->flag)
			n = 0;
		mnl_attr_put_check(h, RTNL_BYTES, attr->nla_type, n, value);
	}
}

static int open_there(void *arg, int *ret_fd)
{
	return rtnl_open(ret_fd);
}

/* In which namespace a device is made to come here: of what is below it. */
static int open_below(const struct maker *m, const NetDeviceEntry *e, int *ret_sock)
{
	int ns, r;

	if (e->type == ND_TYPE__VETH || !e->has_peer_nsid || e->peer_nsid == m->o->id ||
	    !m->o->find)
		return 0;
	r = m->o->find(m->o->arg, e->peer_nsid, &ns);
	return r < 0 ? r : ns_run(&ns, 1, open_there, NULL, ret_sock);
}

static int find_below(const struct maker *m, const NetDeviceEntry *e, const struct net_link_kind *k,
		      const char *outer, int *ret)
{
	*ret = 0;
	if (!k->upper)
		return 0;
	if (e->has_peer_nsid) {
		*ret = (int)e->peer_ifindex;
		return 0;
	}
	if (!outer)
		return err_set(EINVAL, "its other side is outside; use --external %s[%s]:NAME",
			       k->name, e->name);
	return index_outside(m, outer, ret);
}

static int make_link(struct maker *m, const NetDeviceEntry *e, const struct net_link_kind *k)
{
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	const char *outer = outer_name(m, k->name, e->name);
	CLEANUP(peer_clear) struct peer peer = {.ns = -1};
	g_auto(GStrv) parts = outer ? g_strsplit(outer, "@", 2) : NULL;
	const json_t *more = json_object_get(m->kinds, e->name);
	autoclose int elsewhere = -1;
	char buf[RTNL_BYTES];
	struct nlattr *info, *data;
	struct nlmsghdr *h;
	int r, below = 0, sock = m->sock;

	if (e->type == ND_TYPE__TUN)
		return net_tun_make_lasting(e);
	r = find_peer(m, e, &peer);
	if (r == 0)
		r = find_below(m, e, k, outer, &below);
	if (r == 0)
		r = open_below(m, e, &elsewhere);
	if (r < 0)
		return r;
	if (elsewhere >= 0)
		sock = elsewhere;
	else if (below && !e->has_peer_nsid)
		sock = m->outer;
	h = rtnl_begin(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	put_identity(h, e);
	if (below)
		mnl_attr_put_u32(h, IFLA_LINK, (uint32_t)below);
	if (sock != m->sock)
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)m->inner_ns);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, k->name);
	if (e->type == ND_TYPE__VETH || k->put || k->raw) {
		data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
		if (e->type == ND_TYPE__VETH)
			put_peer(m, h, &peer, parts ? parts[0] : NULL);
		else if (k->raw && json_object_get(more, "data"))
			put_raw(h, more, k);
		else if (k->put)
			k->put(h, e, below);
		mnl_attr_nest_end(h, data);
	}
	mnl_attr_nest_end(h, info);
	r = rtnl_ask(sock, h, "create it");
	if (r == 0)
		g_hash_table_add(m->made, GUINT_TO_POINTER(e->ifindex));
	if (r == 0 && e->type == ND_TYPE__VETH && peer.e && peer.ns < 0)
		g_hash_table_add(m->made, GUINT_TO_POINTER(peer.e->ifindex));
	if (r == 0 && e->type == ND_TYPE__VETH && !peer.e && parts)
		r = attach_outside(m, parts[0], parts[1]);
	return r;
}

static const json_t *more_of(const struct maker *m, const NetDeviceEntry *e)
{
	return json_object_get(m->kinds, e->name);
}

int net_device_make(struct maker *m, const NetDeviceEntry *e)
{
	const char *kind = json_string_value(json_object_get(more_of(m, e), "kind"));
	const char *outer = outer_name(m, "netdev", e->name);
	const struct net_link_kind *k = net_link_kind_of(e, kind);

	if (e->type == ND_TYPE__LOOPBACK || net_is_later(m, e) ||
	    g_hash_table_contains(m->made, GUINT_TO_POINTER(e->ifindex)))
		return 0;
	if (outer)
		return move_in(m, e, outer);
	if (k && k->upper && is_inside(m, e)) {
		const NetDeviceEntry *below = by_index(m->links, e->peer_ifindex);
		int r = below && below->ifindex != e->ifindex ? net_device_make(m, below) : 0;

		if (r < 0)
			return r;
	}
	if (!k)
		return err_set(
			EOPNOTSUPP,
			"a device of this type cannot be made; use --external netdev[%s]:NAME",
			e->name);
	return make_link(m, e, k);
}

/* Settings of the port, by the kind of its master (net/core/rtnetlink.c: do_setlink()). */
static int set_port(const struct maker *m, const NetDeviceEntry *e)
{
	const json_t *more = json_object_get(m->kinds, e->name);
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	char buf[RTNL_BYTES];
	struct nlattr *info, *data;
	struct nlmsghdr *h;

	if (!json_object_get(more, "port"))
		return 0;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	put_raw(h, more, NULL);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return rtnl_ask(m->sock, h, "settings of a port");
}

/* Before MTUs: a bridge takes that of its ports (net/bridge/br_if.c: br_mtu_auto_adjust()). */
int net_device_join(struct maker *m, const NetDeviceEntry *e)
{
	struct ifinfomsg head = {.ifi_index = (int)e->ifindex};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h;
	int r;

	if (!e->has_master)
		return 0;
	h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	mnl_attr_put_u32(h, IFLA_MASTER, e->master);
	r = rtnl_ask(m->sock, h, "become a port");
	return r < 0 ? r : set_port(m, e);
}
