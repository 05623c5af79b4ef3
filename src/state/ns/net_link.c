/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as rtnetlink shows them, and the kinds that can be made again. */
#include "state/ns/net.h"
#include "state/ns/spaces.h"

#include "kernel/rtnl.h"

#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/veth.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

static int put_macvlan(struct nlmsghdr *h, const NetDeviceEntry *e, int peer)
{
	if (!e->macvlan)
		return 0;
	mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, e->macvlan->mode);
	if (e->macvlan->has_flags)
		mnl_attr_put_u16(h, IFLA_MACVLAN_FLAGS, (uint16_t)e->macvlan->flags);
	return 0;
}

/* What CRIU has no number for is an "external link", whose kind is in IMAGE_EXTRA. */
static const struct net_link_kind kinds[] = {
	{"", ND_TYPE__LOOPBACK},
	{"veth", ND_TYPE__VETH},
	{"bridge", ND_TYPE__BRIDGE},
	{"macvlan", ND_TYPE__MACVLAN, .external = true, .put = put_macvlan},
	{"dummy", ND_TYPE__EXTLINK},
	{"tun", ND_TYPE__TUN},
};

const struct net_link_kind *net_link_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const struct net_link_kind *net_link_kind_of(const NetDeviceEntry *e, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == e->type &&
		    (e->type != ND_TYPE__EXTLINK || g_strcmp0(kinds[i].name, kind) == 0))
			return &kinds[i];
	return NULL;
}

char *net_links_key(uint32_t id)
{
	return id < NSID_FIRST_SPACE ? g_strdup("links") : g_strdup_printf("links-%u", id);
}

static void read_tun(struct net_link *l, const struct nlattr *nest)
{
	static const struct {
		unsigned attr, flag;
	} bits[] = {{IFLA_TUN_VNET_HDR, IFF_VNET_HDR},
		    {IFLA_TUN_PERSIST, IFF_PERSIST},
		    {IFLA_TUN_MULTI_QUEUE, IFF_MULTI_QUEUE}};
	const struct nlattr *a[IFLA_TUN_MAX + 1];

	rtnl_nested(nest, a, IFLA_TUN_MAX);
	l->tun_flags = a[IFLA_TUN_TYPE] ? mnl_attr_get_u8(a[IFLA_TUN_TYPE]) : IFF_TUN;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (a[bits[i].attr] && mnl_attr_get_u8(a[bits[i].attr]))
			l->tun_flags |= bits[i].flag;
	if (a[IFLA_TUN_PI] && !mnl_attr_get_u8(a[IFLA_TUN_PI]))
		l->tun_flags |= IFF_NO_PI;
	l->tun_owner = a[IFLA_TUN_OWNER] ? (int)mnl_attr_get_u32(a[IFLA_TUN_OWNER]) : -1;
	l->tun_group = a[IFLA_TUN_GROUP] ? (int)mnl_attr_get_u32(a[IFLA_TUN_GROUP]) : -1;
}

static void read_info(struct net_link *l, const struct nlattr *a)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_MACVLAN_MAX + 1];

	rtnl_nested(a, info, IFLA_INFO_MAX);
	if (!info[IFLA_INFO_KIND])
		return;
	g_strlcpy(l->kind, mnl_attr_get_str(info[IFLA_INFO_KIND]), sizeof(l->kind));
	if (strcmp(l->kind, "tun") == 0)
		read_tun(l, info[IFLA_INFO_DATA]);
	if (strcmp(l->kind, "macvlan") != 0)
		return;
	rtnl_nested(info[IFLA_INFO_DATA], data, IFLA_MACVLAN_MAX);
	if (data[IFLA_MACVLAN_MODE])
		l->macvlan_mode = mnl_attr_get_u32(data[IFLA_MACVLAN_MODE]);
	if (data[IFLA_MACVLAN_FLAGS])
		l->macvlan_flags = mnl_attr_get_u16(data[IFLA_MACVLAN_FLAGS]);
}

static int read_one(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[IFLA_MAX + 1];
	struct net_link l = {
		.index = m->ifi_index, .type = m->ifi_type, .flags = m->ifi_flags, .link_nsid = -1};

	if (h->nlmsg_type != RTM_NEWLINK)
		return 0;
	rtnl_attrs(h, sizeof(*m), a, IFLA_MAX);
	if (a[IFLA_IFNAME])
		g_strlcpy(l.name, mnl_attr_get_str(a[IFLA_IFNAME]), sizeof(l.name));
	l.mtu = a[IFLA_MTU] ? mnl_attr_get_u32(a[IFLA_MTU]) : 0;
	l.link = a[IFLA_LINK] ? (int)mnl_attr_get_u32(a[IFLA_LINK]) : 0;
	l.master = a[IFLA_MASTER] ? (int)mnl_attr_get_u32(a[IFLA_MASTER]) : 0;
	if (a[IFLA_LINK_NETNSID])
		l.link_nsid = (int)mnl_attr_get_u32(a[IFLA_LINK_NETNSID]);
	if (a[IFLA_ADDRESS]) {
		l.address_len = MIN(mnl_attr_get_payload_len(a[IFLA_ADDRESS]), sizeof(l.address));
		memcpy(l.address, mnl_attr_get_payload(a[IFLA_ADDRESS]), l.address_len);
	}
	if (a[IFLA_LINKINFO])
		read_info(&l, a[IFLA_LINKINFO]);
	g_array_append_val((GArray *)arg, l);
	return 0;
}

int net_links_read(int sock, GArray *ret)
{
	return rtnl_list(sock, RTM_GETLINK, AF_UNSPEC, read_one, ret);
}
