/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as rtnetlink shows them, and the kinds that can be made again. */
#include "state/ns/net.h"
#include "state/ns/spaces.h"

#include "kernel/rtnl.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/if_tunnel.h>
#include <linux/veth.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#define BRPORT_MCAST_N_GROUPS 41 /* IFLA_..., Linux 6.3 */
#define BR_FDB_N_LEARNED      48 /* IFLA_BR_FDB_N_LEARNED, Linux 6.7 */

static int put_macvlan(struct nlmsghdr *h, const NetDeviceEntry *e, int peer)
{
	if (!e->macvlan)
		return 0;
	mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, e->macvlan->mode);
	if (e->macvlan->has_flags)
		mnl_attr_put_u16(h, IFLA_MACVLAN_FLAGS, (uint16_t)e->macvlan->flags);
	return 0;
}

/* net/ipv6/sit.c: ipip6_netlink_parms(); of an image that CRIU wrote. */
static int put_sit(struct nlmsghdr *h, const NetDeviceEntry *e, int peer)
{
	const SitEntry *s = e->sit;

	if (!s)
		return 0;
	if (s->has_link)
		mnl_attr_put_u32(h, IFLA_IPTUN_LINK, s->link);
	if (s->n_local == 1)
		mnl_attr_put_u32(h, IFLA_IPTUN_LOCAL, s->local[0]);
	if (s->n_remote == 1)
		mnl_attr_put_u32(h, IFLA_IPTUN_REMOTE, s->remote[0]);
	if (s->has_ttl)
		mnl_attr_put_u8(h, IFLA_IPTUN_TTL, (uint8_t)s->ttl);
	if (s->has_tos)
		mnl_attr_put_u8(h, IFLA_IPTUN_TOS, (uint8_t)s->tos);
	mnl_attr_put_u8(h, IFLA_IPTUN_PMTUDISC, s->has_pmtudisc && s->pmtudisc);
	if (s->has_proto)
		mnl_attr_put_u8(h, IFLA_IPTUN_PROTO, (uint8_t)s->proto);
	if (s->has_flags)
		mnl_attr_put_u16(h, IFLA_IPTUN_FLAGS, (uint16_t)s->flags);
	return 0;
}

/* net/bridge/br_netlink.c: br_fill_info() against br_changelink() */
static const unsigned char bridge_told[] = {IFLA_BR_ROOT_ID,
					    IFLA_BR_BRIDGE_ID,
					    IFLA_BR_ROOT_PORT,
					    IFLA_BR_ROOT_PATH_COST,
					    IFLA_BR_TOPOLOGY_CHANGE,
					    IFLA_BR_TOPOLOGY_CHANGE_DETECTED,
					    IFLA_BR_HELLO_TIMER,
					    IFLA_BR_TCN_TIMER,
					    IFLA_BR_TOPOLOGY_CHANGE_TIMER,
					    IFLA_BR_GC_TIMER,
					    IFLA_BR_PAD,
					    IFLA_BR_MCAST_QUERIER_STATE,
					    BR_FDB_N_LEARNED,
					    0};

/* Refused by a kernel without it even when off: br_vlan_filter_toggle() */
static const unsigned char bridge_present[] = {IFLA_BR_VLAN_FILTERING, 0};

/* Options that are off and that this kernel does not have: br_boolopt_multi_toggle() */
static void fit_bridge(unsigned type, void *value, size_t len)
{
	struct br_boolopt_multi *m = value;

	if (type == IFLA_BR_MULTI_BOOLOPT && len == sizeof(*m))
		m->optmask = m->optval;
}

static const unsigned char vxlan_present[] = {IFLA_VXLAN_REMCSUM_TX, IFLA_VXLAN_REMCSUM_RX, 0};

/* br_port_fill_attrs() against br_setport(); the state follows from its carrier */
const unsigned char net_port_told[] = {IFLA_BRPORT_STATE,
				       IFLA_BRPORT_ROOT_ID,
				       IFLA_BRPORT_BRIDGE_ID,
				       IFLA_BRPORT_DESIGNATED_PORT,
				       IFLA_BRPORT_DESIGNATED_COST,
				       IFLA_BRPORT_ID,
				       IFLA_BRPORT_NO,
				       IFLA_BRPORT_TOPOLOGY_CHANGE_ACK,
				       IFLA_BRPORT_CONFIG_PENDING,
				       IFLA_BRPORT_MESSAGE_AGE_TIMER,
				       IFLA_BRPORT_FORWARD_DELAY_TIMER,
				       IFLA_BRPORT_HOLD_TIMER,
				       IFLA_BRPORT_PAD,
				       IFLA_BRPORT_MRP_RING_OPEN,
				       IFLA_BRPORT_MRP_IN_OPEN,
				       IFLA_BRPORT_MCAST_EHT_HOSTS_CNT,
				       BRPORT_MCAST_N_GROUPS,
				       0};

/* What CRIU has no number for is an "external link", whose kind is in IMAGE_EXTRA. */
static const struct net_link_kind kinds[] = {
	{"", ND_TYPE__LOOPBACK},
	{"veth", ND_TYPE__VETH},
	{"bridge", ND_TYPE__BRIDGE, .raw = true, .told = bridge_told, .present = bridge_present,
	 .fit = fit_bridge},
	{"macvlan", ND_TYPE__MACVLAN, .external = true, .upper = true, .put = put_macvlan},
	{"dummy", ND_TYPE__EXTLINK},
	{"tun", ND_TYPE__TUN},
	{"sit", ND_TYPE__SIT, .raw = true, .put = put_sit},
	{"ifb", ND_TYPE__EXTLINK},
	{"nlmon", ND_TYPE__EXTLINK},
	{"vcan", ND_TYPE__EXTLINK},
	{"vlan", ND_TYPE__EXTLINK, .raw = true, .upper = true},
	{"ipvlan", ND_TYPE__EXTLINK, .raw = true, .upper = true},
	/* drivers/net/vxlan/vxlan_core.c: vxlan_policy, vxlan_fill_info() */
	{"vxlan", ND_TYPE__EXTLINK, .raw = true, .present = vxlan_present,
	 .flag = IFLA_VXLAN_TTL_INHERIT},
	{"geneve", ND_TYPE__EXTLINK, .raw = true},
	{"vrf", ND_TYPE__EXTLINK, .raw = true},
	{"gre", ND_TYPE__EXTLINK, .raw = true},
	{"gretap", ND_TYPE__EXTLINK, .raw = true},
	{"ip6gre", ND_TYPE__EXTLINK, .raw = true},
	{"ip6gretap", ND_TYPE__EXTLINK, .raw = true},
	{"ipip", ND_TYPE__EXTLINK, .raw = true},
	{"ip6tnl", ND_TYPE__EXTLINK, .raw = true},
	{"vti", ND_TYPE__EXTLINK, .raw = true},
	{"vti6", ND_TYPE__EXTLINK, .raw = true},
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

static GBytes *copy(const struct nlattr *a)
{
	return a ? g_bytes_new(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)) : NULL;
}

static void clear(void *p)
{
	struct net_link *l = p;

	g_clear_pointer(&l->data, g_bytes_unref);
	g_clear_pointer(&l->port, g_bytes_unref);
}

GArray *net_links_new(void)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct net_link));

	g_array_set_clear_func(all, clear);
	return all;
}

static void read_info(struct net_link *l, const struct nlattr *a)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_MACVLAN_MAX + 1];

	rtnl_nested(a, info, IFLA_INFO_MAX);
	if (info[IFLA_INFO_SLAVE_KIND] &&
	    strcmp(mnl_attr_get_str(info[IFLA_INFO_SLAVE_KIND]), "bridge") == 0)
		l->port = copy(info[IFLA_INFO_SLAVE_DATA]);
	if (!info[IFLA_INFO_KIND])
		return;
	g_strlcpy(l->kind, mnl_attr_get_str(info[IFLA_INFO_KIND]), sizeof(l->kind));
	l->data = copy(info[IFLA_INFO_DATA]);
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
	l.txqlen = a[IFLA_TXQLEN] ? mnl_attr_get_u32(a[IFLA_TXQLEN]) : 0;
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
