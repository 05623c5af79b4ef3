/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespace of a standalone tree into images. */
#include "state/nft.h"
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/rtnl.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_sched.h>
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

#define OTHERS_MAX 256

/* One network namespace of the tree: its root's or a space. */
struct scope {
	struct dump *d;
	uint32_t id; /* in the images */
	bool first;  /* the root's: what is outside is named for it */
	/* The namespaces of the tree, by the numbers that this one knows them by. */
	unsigned nothers;
	struct other {
		int nsid;
		uint32_t id;
	} others[OTHERS_MAX];
};

static int add_other(struct scope *s, int sock, int ns, uint32_t id)
{
	struct other *o = &s->others[s->nothers];
	int r;

	if (s->nothers == OTHERS_MAX)
		return err_set(E2BIG, "more than %d network namespaces", OTHERS_MAX);
	r = rtnl_nsid(sock, ns, &o->nsid);
	o->id = id;
	if (r == 0 && o->nsid >= 0)
		s->nothers++;
	return r;
}

/* In the namespace. */
static int find_others(struct scope *s)
{
	autoclose int sock = -1, root = -1;
	struct dump *d = s->d;
	int r = d->spaces->len ? rtnl_open(&sock) : 0;

	if (r == 0 && d->spaces->len)
		r = ns_open(dump_task(d, 0)->proc.dir, NS_NET, &root);
	if (r == 0 && d->spaces->len)
		r = add_other(s, sock, root, NSID_NET);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		if (x->kind == NS_NET && !x->external)
			r = add_other(s, sock, x->fd, x->id);
	}
	return r;
}

/* Of the device at the other end; 0: it is outside of the tree. */
static uint32_t peer_id(const struct scope *s, const struct net_link *l)
{
	if (l->link_nsid < 0)
		return s->id;
	for (unsigned i = 0; i < s->nothers; i++)
		if (s->others[i].nsid == l->link_nsid)
			return s->others[i].id;
	return 0;
}

/* Runs FN, with our thread in the namespace. */
static int there(struct scope *s, int ns, int (*fn)(const struct scope *s))
{
	autoclose int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (here < 0)
		return err_errno("open /proc/self/ns/net");
	if (setns(ns, CLONE_NEWNET) < 0)
		return err_errno("enter the network namespace");
	r = find_others(s);
	if (r == 0)
		r = fn(s);
	if (setns(here, CLONE_NEWNET) < 0)
		abort(); /* nothing that we do from here on would be where it should be */
	return r;
}

static int there_first(struct dump *d, int (*fn)(const struct scope *s))
{
	autoclose int ns = -1;
	int r = ns_open(dump_task(d, 0)->proc.dir, NS_NET, &ns);

	return r < 0 ? r : there(&(struct scope){.d = d, .id = NSID_NET, .first = true}, ns, fn);
}

static int there_spaces(struct dump *d, int (*fn)(const struct scope *s))
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		if (x->kind == NS_NET && !x->external)
			r = there(&(struct scope){.d = d, .id = x->id}, x->fd, fn);
	}
	return r;
}

static const char *external_key(const struct scope *s, const struct net_link *l)
{
	const struct dump *d = s->d;
	g_autofree char *key = g_strdup_printf("netdev[%s]", l->name);

	for (unsigned i = 0; s->first && i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return d->o.externals[i].key;
	return NULL;
}

/* Nothing is recorded of a namespace that is external, or whose content is not wanted. */
static bool is_wanted(const struct dump *d)
{
	return d->o.standalone && d->own & CLONE_NEWNET && !d->o.empty_net && !d->external_net;
}

/* The device below is in this namespace, or in one that is made before it. */
static bool is_before(const struct scope *s, const struct net_link *l)
{
	uint32_t id = peer_id(s, l);

	return id == s->id || (id == NSID_NET && is_wanted(s->d)) ||
	       (id >= NSID_FIRST_SPACE && id < s->id);
}

static int check_link(const struct scope *s, const struct net_link *l)
{
	const struct net_link_kind *k = net_link_kind(l->kind);

	if (is_born(l) || external_key(s, l))
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
	if (l->link && !k->external && k->type != ND_TYPE__VETH && !is_before(s, l))
		return err_set(EOPNOTSUPP,
			       "network device %s (%s): its packets go through a network namespace "
			       "outside; use --external netdev[%s]:NAME",
			       l->name, l->kind, l->name);
	if (!s->first && l->link && peer_id(s, l) == NSID_NET && !is_wanted(s->d))
		return err_set(EOPNOTSUPP,
			       "network device %s: its other end is in the first task's network "
			       "namespace, which is not saved; remove it",
			       l->name);
	return 0;
}

/* Those that nobody has chosen have no number (net/sched/sch_generic.c: qdisc_create_dflt()). */
static int check_qdisc(const struct nlmsghdr *h, void *arg)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[TCA_KIND + 1];
	char name[IF_NAMESIZE] = "?";

	rtnl_attrs(h, sizeof(*m), a, TCA_KIND);
	if (TC_H_MAJ(m->tcm_handle) && a[TCA_KIND])
		log_warn("network device %s: its queueing discipline %s will be the default one",
			 if_indextoname((unsigned)m->tcm_ifindex, name) ?: "?",
			 mnl_attr_get_str(a[TCA_KIND]));
	return 0;
}

static int look(const struct scope *s)
{
	struct dump *d = s->d;
	g_autoptr(GArray) links = net_links_new();
	const struct tcmsg all = {0};
	autoclose int sock = -1;
	int r = rtnl_open(&sock);

	if (r == 0)
		r = net_links_read(sock, links);
	for (unsigned i = 0; r == 0 && i < links->len; i++)
		r = dump_refuse(d, check_link(s, &g_array_index(links, struct net_link, i)));
	return r < 0 ? r : rtnl_list_with(sock, RTM_GETQDISC, &all, sizeof(all), check_qdisc, NULL);
}

int net_check(struct dump *d)
{
	int r = 0;

	if (!is_wanted(d) && !d->spaces->len)
		return 0;
	nft_load();
	if (is_wanted(d))
		r = there_first(d, look);
	return r < 0 ? r : there_spaces(d, look);
}

static void add_bytes(json_t *x, const char *name, GBytes *b)
{
	gsize len;
	const unsigned char *at = b ? g_bytes_get_data(b, &len) : NULL;
	g_autofree char *text = at ? g_base64_encode(at, len) : NULL;

	if (text)
		json_object_set_new(x, name, json_string(text));
}

/* What CRIU's records have no place for: {"kind": ..., "data": ..., "port": ..., "txqlen": ...} */
static void add_more(const struct scope *s, const struct net_link *l, const struct net_link_kind *k)
{
	g_autofree char *key = net_links_key(s->id);
	json_t *all = json_object_get(s->d->extra, key), *one = json_object();

	if (!all)
		json_object_set_new(s->d->extra, key, all = json_object());
	json_object_set_new(all, l->name, one);
	json_object_set_new(one, "kind", json_string(l->kind));
	json_object_set_new(one, "txqlen", json_integer(l->txqlen));
	if (k && k->raw)
		add_bytes(one, "data", l->data);
	add_bytes(one, "port", l->port);
}

static int dump_link(const struct scope *s, struct net_link *l)
{
	struct dump *d = s->d;
	const struct net_link_kind *k = net_link_kind(l->kind);
	MacvlanLinkEntry macvlan = MACVLAN_LINK_ENTRY__INIT;
	TunLinkEntry tun = TUN_LINK_ENTRY__INIT;
	NetDeviceEntry e = NET_DEVICE_ENTRY__INIT;
	int r;

	if (is_born(l))
		return 0;
	e.type = external_key(s, l) ? ND_TYPE__EXTLINK : k->type;
	e.ifindex = (uint32_t)l->index;
	e.mtu = l->mtu;
	e.flags = l->flags;
	e.name = l->name;
	e.has_peer_ifindex = l->link != 0;
	e.peer_ifindex = (uint32_t)l->link;
	e.has_peer_nsid = l->link && peer_id(s, l);
	e.peer_nsid = peer_id(s, l);
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
	add_more(s, l, k);
	e.conf4 = net_conf_read(NET_V4, l->name, &e.n_conf4);
	e.conf6 = net_conf_read(NET_V6, l->name, &e.n_conf6);
	r = image_write(&d->w, IMG_NETDEV, s->id, &e.base);
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

static int dump_settings(const struct scope *s)
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
	r = image_write(&s->d->w, IMG_NETNS, s->id, &e->base);
	netns_entry__free_unpacked(e, NULL);
	net_sysctls_dump(s->d, s->id);
	return r;
}

static int dump_all(const struct scope *s)
{
	struct dump *d = s->d;
	g_autoptr(GArray) links = net_links_new();
	autoclose int sock = -1;
	int r = rtnl_open(&sock);

	if (r == 0)
		r = net_links_read(sock, links);
	for (unsigned i = 0; r == 0 && i < links->len; i++)
		r = dump_link(s, &g_array_index(links, struct net_link, i));
	if (r == 0)
		r = net_lists_dump(d, s->id, sock);
	if (r == 0)
		r = net_neighbours_dump(d, s->id, sock);
	if (r == 0)
		r = dump_settings(s);
	return r < 0 ? r : net_firewall_dump(d, s->id);
}

static int dump_external(struct dump *d, uint32_t id, const char *key)
{
	NetnsEntry e = NETNS_ENTRY__INIT;

	e.ext_key = (char *)key;
	return image_write(&d->w, IMG_NETNS, id, &e.base);
}

int net_dump(struct dump *d)
{
	int r = 0;

	if (d->o.standalone ? d->external_net : d->o.foreign_net)
		r = dump_external(d, NSID_NET, d->external_net ?: d->o.foreign_net);
	else if (is_wanted(d))
		r = there_first(d, dump_all);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		if (x->external)
			r = dump_external(d, x->id, x->external);
	}
	return r < 0 ? r : there_spaces(d, dump_all);
}
