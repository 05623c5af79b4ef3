/* SPDX-License-Identifier: Apache-2.0 */
/* A new network namespace filled from images, by a process of ours in it. */
#include "state/ns/net_maker.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/ns.h"
#include "kernel/rtnl.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESS_TIMEOUT_MS 10000
#define ADDRESS_ROUND_MS   5

/* Those that the kernel does not set by itself. */
#define FLAGS (IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST | IFF_DEBUG)

/*
 * A macvlan's address is taken (drivers/net/macvlan.c: macvlan_open()) until the namespace that the
 * same one was in is gone, some time after its last process: net/core/net_namespace.c:
 * cleanup_net().  Nobody is told of that.
 */
static int ask_until_free(int sock, struct nlmsghdr *h)
{
	int64_t end = g_get_monotonic_time() + ADDRESS_TIMEOUT_MS * INT64_C(1000);
	int r;

	while ((r = rtnl_ask(sock, h, "set it up")) == -EADDRINUSE && g_get_monotonic_time() < end)
		g_usleep(ADDRESS_ROUND_MS * 1000);
	return r;
}

static int set_up(struct maker *m, const NetDeviceEntry *e)
{
	struct ifinfomsg head = {.ifi_flags = e->flags & FLAGS, .ifi_change = FLAGS};
	const json_t *more = json_object_get(m->kinds, e->name);
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
	if (json_object_get(more, "txqlen"))
		mnl_attr_put_u32(h, IFLA_TXQLEN,
				 (uint32_t)json_integer_value(json_object_get(more, "txqlen")));
	if (e->type == ND_TYPE__TUN && e->has_address)
		mnl_attr_put(h, IFLA_ADDRESS, e->address.len, e->address.data);
	return ask_until_free(m->sock, h);
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

static int set_conf(struct maker *m, const NetDeviceEntry *e)
{
	int r = write_conf(m, e->name, NET_V4, e->conf4, e->n_conf4);

	return r < 0 ? r : write_conf(m, e->name, NET_V6, e->conf6, e->n_conf6);
}

static int set_conf_up(struct maker *m, const NetDeviceEntry *e)
{
	bool up = e->flags & IFF_UP;

	return up ? net_conf_write_up(e->name, e->conf6, e->n_conf6, m->o->weak_sysctls) : 0;
}

static int each(struct maker *m, int (*fn)(struct maker *m, const NetDeviceEntry *e))
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
	return r < 0 ? r : each(m, net_device_make);
}

static int fill(void *arg, int *ret_fd)
{
	struct maker *m = arg;
	int r = rtnl_open(&m->sock);

	if (r == 0)
		r = each(m, net_device_join);
	if (r == 0)
		r = each(m, set_conf);
	if (r == 0)
		r = each(m, set_up);
	if (r == 0)
		r = each(m, set_conf_up);
	if (r == 0)
		net_sysctls_restore(m->extra, m->o->id);
	if (r == 0)
		r = net_lists_restore(m->o->images, m->o->id, m->sock);
	if (r == 0)
		r = net_neighbours_restore(m->extra, m->o->id, m->sock);
	return r;
}

/* Whether a device is still to be made by another namespace. */
static int waits(const struct maker *m)
{
	for (unsigned i = 0; i < m->links->len; i++)
		if (net_is_later(m, g_ptr_array_index(m->links, i)))
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
			  .extra = extra,
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
