/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespace of a standalone tree into images. */
#include "state/nft.h"
#include "state/ns/net.h"

#include "base/file.h"
#include "kernel/rtnl.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Devices that a namespace may have from its birth (net.core.fb_tunnels_only_for_init_net). */
static const char *const born[] = {"tunl0",    "gre0", "gretap0", "erspan0", "ip_vti0",
				   "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"};

static bool is_born(const struct net_link *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(born); i++)
		if (strcmp(born[i], l->name) == 0)
			return !(l->flags & IFF_UP);
	return false;
}

/* Runs FN, with our thread in the namespace. */
static int there(struct dump *d, int (*fn)(struct dump *d))
{
	autoclose int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), ns = -1;
	int r;

	if (here < 0)
		return err_errno("open /proc/self/ns/net");
	r = ns_open(dump_task(d, 0)->proc.dir, NS_NET, &ns);
	if (r < 0)
		return r;
	if (setns(ns, CLONE_NEWNET) < 0)
		return err_errno("enter the network namespace");
	r = fn(d);
	if (setns(here, CLONE_NEWNET) < 0)
		abort(); /* nothing that we do from here on would be where it should be */
	return r;
}

static const char *external_key(const struct dump *d, const struct net_link *l)
{
	g_autofree char *key = g_strdup_printf("netdev[%s]", l->name);

	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return d->o.externals[i].key;
	return NULL;
}

static int check_link(const struct dump *d, const struct net_link *l)
{
	const struct net_link_kind *k = net_link_kind(l->kind);

	if (is_born(l) || external_key(d, l))
		return 0;
	if (!*l->kind && l->type != ARPHRD_LOOPBACK)
		return err_set(EOPNOTSUPP,
			       "network device %s is real hardware; use --external netdev[%s]:NAME",
			       l->name, l->name);
	if (!k)
		return err_set(
			EOPNOTSUPP,
			"network device %s is of kind %s, which cannot be made again; remove "
			"it",
			l->name, l->kind);
	return 0;
}

static int look(struct dump *d)
{
	g_autoptr(GArray) links = g_array_new(FALSE, FALSE, sizeof(struct net_link));
	autoclose int sock = -1;
	int r = rtnl_open(&sock);

	if (r == 0)
		r = net_links_read(sock, links);
	for (unsigned i = 0; r == 0 && i < links->len; i++)
		r = dump_refuse(d, check_link(d, &g_array_index(links, struct net_link, i)));
	return r;
}

/* Nothing is recorded of a namespace that is external, or whose content is not wanted. */
static bool is_wanted(const struct dump *d)
{
	return d->o.standalone && d->own & CLONE_NEWNET && !d->o.empty_net && !d->external_net;
}

int net_check(struct dump *d)
{
	if (!is_wanted(d))
		return 0;
	nft_load();
	return there(d, look);
}

static void add_kind(struct dump *d, const struct net_link *l)
{
	json_t *kinds = json_object_get(d->extra, "links");

	if (!kinds)
		json_object_set_new(d->extra, "links", kinds = json_object());
	json_object_set_new(kinds, l->name, json_string(l->kind));
}

static int dump_link(struct dump *d, struct net_link *l)
{
	const struct net_link_kind *k = net_link_kind(l->kind);
	MacvlanLinkEntry macvlan = MACVLAN_LINK_ENTRY__INIT;
	TunLinkEntry tun = TUN_LINK_ENTRY__INIT;
	NetDeviceEntry e = NET_DEVICE_ENTRY__INIT;
	int r;

	if (is_born(l))
		return 0;
	e.type = external_key(d, l) ? ND_TYPE__EXTLINK : k->type;
	e.ifindex = (uint32_t)l->index;
	e.mtu = l->mtu;
	e.flags = l->flags;
	e.name = l->name;
	e.has_peer_ifindex = l->link != 0;
	e.peer_ifindex = (uint32_t)l->link;
	e.has_peer_nsid = l->link && l->link_nsid < 0;
	e.peer_nsid = NSID_NET;
	e.has_master = l->master != 0;
	e.master = (uint32_t)l->master;
	e.has_address = l->address_len && e.type != ND_TYPE__LOOPBACK;
	e.address = (ProtobufCBinaryData){.len = l->address_len, .data = l->address};
	if (e.type == ND_TYPE__MACVLAN) {
		macvlan.mode = l->macvlan_mode;
		macvlan.has_flags = true;
		macvlan.flags = l->macvlan_flags;
		e.macvlan = &macvlan;
	}
	if (e.type == ND_TYPE__TUN) {
		tun.flags = l->tun_flags;
		tun.owner = l->tun_owner;
		tun.group = l->tun_group;
		e.tun = &tun;
	}
	if (e.type == ND_TYPE__EXTLINK)
		add_kind(d, l);
	e.conf4 = net_conf_read(NET_V4, l->name, &e.n_conf4);
	e.conf6 = net_conf_read(NET_V6, l->name, &e.n_conf6);
	r = image_write(&d->w, IMG_NETDEV, NSID_NET, &e.base);
	net_conf_free(e.conf4, e.n_conf4);
	net_conf_free(e.conf6, e.n_conf6);
	return r;
}

static SysctlEntry **read_text(const char *path, size_t *ret_n)
{
	SysctlEntry **v = g_new0(SysctlEntry *, 1);
	g_autofree char *text = NULL;

	*ret_n = 1;
	v[0] = g_new0(SysctlEntry, 1);
	sysctl_entry__init(v[0]);
	v[0]->type = SYSCTL_TYPE__CTL_STR;
	if (file_read_at(AT_FDCWD, path, 256, &text, NULL) < 0)
		err_clear();
	else
		v[0]->sarg = g_strdup(g_strchomp(text));
	return v;
}

static int dump_settings(struct dump *d)
{
	NetnsEntry *e = g_new0(NetnsEntry, 1);
	int r;

	netns_entry__init(e);
	e->def_conf4 = net_conf_read(NET_V4, "default", &e->n_def_conf4);
	e->all_conf4 = net_conf_read(NET_V4, "all", &e->n_all_conf4);
	e->def_conf6 = net_conf_read(NET_V6, "default", &e->n_def_conf6);
	e->all_conf6 = net_conf_read(NET_V6, "all", &e->n_all_conf6);
	e->unix_conf = read_text("/proc/sys/net/unix/max_dgram_qlen", &e->n_unix_conf);
	e->ipv4_sysctl = read_text("/proc/sys/net/ipv4/ping_group_range", &e->n_ipv4_sysctl);
	r = image_write(&d->w, IMG_NETNS, NSID_NET, &e->base);
	netns_entry__free_unpacked(e, NULL);
	return r;
}

static int dump_all(struct dump *d)
{
	g_autoptr(GArray) links = g_array_new(FALSE, FALSE, sizeof(struct net_link));
	autoclose int sock = -1;
	int r = rtnl_open(&sock);

	if (r == 0)
		r = net_links_read(sock, links);
	for (unsigned i = 0; r == 0 && i < links->len; i++)
		r = dump_link(d, &g_array_index(links, struct net_link, i));
	if (r == 0)
		r = net_lists_dump(d, sock);
	if (r == 0)
		r = dump_settings(d);
	return r < 0 ? r : net_firewall_dump(d);
}

int net_dump(struct dump *d)
{
	NetnsEntry e = NETNS_ENTRY__INIT;

	if (d->o.standalone && d->external_net) {
		e.ext_key = (char *)d->external_net;
		return image_write(&d->w, IMG_NETNS, NSID_NET, &e.base);
	}
	return is_wanted(d) ? there(d, dump_all) : 0;
}
