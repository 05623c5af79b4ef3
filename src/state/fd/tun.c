/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of tun and tap devices.  A device that is not persistent ends with its last descriptor: it
 * is made again with its settings, addresses and routes by the first that is opened, unless the
 * tree's network namespace has been made again with all that was in it (state/ns/net_make.c).
 * What the record has no place for is in IMAGE_EXTRA: {"tuns": {"NAME": {...}}}.
 *
 * Packets that wait: tun_queue.c; offloads (TUNSETOFFLOAD): tun_offload.c.
 */
#include "state/fd/tun.h"
#include "state/fd/kind.h"

#include "base/file.h"
#include "image/tun.pb-c.h"
#include "kernel/ns.h"
#include "kernel/rtnl.h"
#include "state/ns/net.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define TUN_MAJOR 10
#define TUN_MINOR 200
/* Of TUNGETIFF; the others are read from rtnetlink: IFF_NOFILTER and IFF_NO_PI are one bit. */
#define NAPI		 (IFF_NAPI | IFF_NAPI_FRAGS)
#define TUN_OFFLOADS_OLD (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define LINK_BITS	 (IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST | IFF_DEBUG)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return S_ISCHR(v->st.st_mode) && major(v->st.st_rdev) == TUN_MAJOR &&
	       minor(v->st.st_rdev) == TUN_MINOR && !(v->info.flags & O_PATH);
}

/* drivers/net/tun.c: __tun_chr_ioctl() */
static int read_ns(const struct dump *d, int fd, const struct fd_view *v, uint64_t *ret)
{
	autoclose int ns = ioctl(fd, SIOCGSKNS);
	struct stat st;

	if (ns < 0 || fstat(ns, &st) < 0)
		return err_errno("network namespace of %s", v->link);
	if (!spaces_id(d, NS_NET, st.st_ino))
		return err_set(EOPNOTSUPP,
			       "%s: a device of a network namespace that nobody of the tree is in",
			       v->link);
	*ret = st.st_ino;
	return 0;
}

/* 1: it is attached to none. */
static int look(const struct dump *d, const struct fd_view *v, int *ret_fd, struct ifreq *ret,
		uint64_t *ret_ns)
{
	autoclose int fd = -1;
	int r = fd_view_get(v, &fd);

	if (r == 0)
		r = read_ns(d, fd, v, ret_ns);
	if (r < 0)
		return r;
	*ret = (struct ifreq){0};
	if (ioctl(fd, TUNGETIFF, ret) < 0)
		return errno == EBADFD ? 1 : err_errno("device of %s", v->link);
	if (!(ret->ifr_flags & IFF_NOFILTER))
		return err_set(
			EOPNOTSUPP,
			"%s: %s has a filter (TUNATTACHFILTER), which cannot be read; detach "
			"it first",
			v->link, ret->ifr_name);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	struct ifreq ifr;
	uint64_t ns;
	int r = fown_check(v);

	if (r == 0)
		r = look(d, v, &fd, &ifr, &ns);
	return r < 0 ? r : 0;
}

static json_t *to_hex(const void *data, size_t len)
{
	g_autoptr(GString) s = g_string_new(NULL);

	for (size_t i = 0; i < len; i++)
		g_string_append_printf(s, "%02x", ((const uint8_t *)data)[i]);
	return json_string(s->str);
}

static uint8_t *from_hex(const json_t *text, size_t *ret_len)
{
	const char *s = json_string_value(text);
	size_t n = s ? strlen(s) / 2 : 0;
	uint8_t *v = g_malloc0(n + NLMSG_ALIGNTO);

	for (size_t i = 0; i < n; i++)
		v[i] = (uint8_t)(g_ascii_xdigit_value(s[2 * i]) << 4 |
				 g_ascii_xdigit_value(s[2 * i + 1]));
	*ret_len = n;
	return v;
}

/* Addresses and routes of one device. */
struct messages {
	int index;
	json_t *list;
};

static int add_message(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(h);
	const struct rtmsg *route = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[RTA_OIF + 1];
	struct messages *m = arg;

	if (h->nlmsg_type == RTM_NEWADDR && (int)address->ifa_index != m->index)
		return 0;
	if (h->nlmsg_type == RTM_NEWROUTE) {
		rtnl_attrs(h, sizeof(*route), a, RTA_OIF);
		if (!a[RTA_OIF] || (int)mnl_attr_get_u32(a[RTA_OIF]) != m->index ||
		    route->rtm_flags & RTM_F_CLONED || route->rtm_protocol == RTPROT_KERNEL)
			return 0;
	}
	json_array_append_new(m->list, to_hex(h, h->nlmsg_len));
	return 0;
}

static int dump_messages(int sock, int index, json_t *x)
{
	static const struct {
		unsigned type;
		unsigned char family;
	} lists[] = {{RTM_GETADDR, AF_UNSPEC}, {RTM_GETROUTE, AF_INET}, {RTM_GETROUTE, AF_INET6}};
	struct messages m = {.index = index, .list = json_array()};
	int r = 0;

	json_object_set_new(x, "messages", m.list);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
		r = rtnl_list(sock, lists[i].type, lists[i].family, add_message, &m);
	return r;
}

static int open_rtnl(void *arg, int *ret_fd)
{
	return rtnl_open(ret_fd);
}

/* In "tuns": names are those of one namespace. */
static char *key_of(const char *name, uint32_t ns)
{
	return ns < NSID_FIRST_SPACE ? g_strdup(name) : g_strdup_printf("%u:%s", ns, name);
}

static int open_ns(const struct dump *d, uint64_t ino, int *ret)
{
	const struct space *s = spaces_find(d, NS_NET, ino);

	if (!s)
		return ns_open(dump_task(d, 0)->proc.dir, NS_NET, ret);
	*ret = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	return *ret < 0 ? err_errno("dup") : 0;
}

static int dump_device(struct dump *d, int fd, const struct ifreq *ifr, uint64_t ino)
{
	json_t *all = json_object_get(d->extra, "tuns"), *x;
	g_autoptr(GArray) links = g_array_new(FALSE, FALSE, sizeof(struct net_link));
	g_autofree char *key = key_of(ifr->ifr_name, spaces_id(d, NS_NET, ino));
	autoclose int ns = -1, sock = -1;
	const struct net_link *l = NULL;
	int r, size = 0, sndbuf = 0, le = 0;
	unsigned offloads = 0;

	if (json_object_get(all, key))
		return 0;
	if (!all)
		json_object_set_new(d->extra, "tuns", all = json_object());
	r = open_ns(d, ino, &ns);
	if (r == 0)
		r = ns_run(&ns, 1, open_rtnl, NULL, &sock);
	if (r == 0)
		r = net_links_read(sock, links);
	for (unsigned i = 0; r == 0 && i < links->len; i++)
		if (!strcmp(g_array_index(links, struct net_link, i).name, ifr->ifr_name))
			l = &g_array_index(links, struct net_link, i);
	if (r < 0 || !l)
		return r < 0 ? r : err_set(ENODEV, "device %s is not there", ifr->ifr_name);
	ioctl(fd, TUNGETVNETHDRSZ, &size);
	ioctl(fd, TUNGETSNDBUF, &sndbuf);
	ioctl(fd, TUNGETVNETLE, &le);
	r = tun_offloads(sock, ifr->ifr_name, &offloads);
	if (r < 0)
		return r;
	x = json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "flags",
		      l->tun_flags | ((unsigned)ifr->ifr_flags & NAPI), "owner", l->tun_owner,
		      "group", l->tun_group, "index", l->index, "mtu", l->mtu, "link",
		      l->flags & LINK_BITS, "header", size, "sndbuf", sndbuf, "le", le, "offloads",
		      offloads);
	json_object_set_new(x, "address", to_hex(l->address, l->address_len));
	json_object_set_new(all, key, x);
	return dump_messages(sock, l->index, x);
}

static int number(const json_t *x, const char *key)
{
	return (int)json_integer_value(json_object_get(x, key));
}

static struct tun_device device_of(const char *name, const json_t *device)
{
	return (struct tun_device){.name = name,
				   .flags = (unsigned)number(device, "flags"),
				   .header = number(device, "header")};
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *file)
{
	TunfileEntry *e = file->tunf = g_new0(TunfileEntry, 1);
	json_t *all = json_object_get(d->extra, "tunfiles");
	g_autofree char *key = NULL;
	struct tun_device t;
	autoclose int fd = -1;
	struct ifreq ifr;
	uint64_t ns;
	char id[16];
	int r = look(d, v, &fd, &ifr, &ns);

	tunfile_entry__init(e);
	e->id = file->id;
	if (r < 0)
		return r;
	e->has_ns_id = true;
	e->ns_id = spaces_id(d, NS_NET, ns);
	if (!all)
		json_object_set_new(d->extra, "tunfiles", all = json_object());
	g_snprintf(id, sizeof(id), "%u", file->id);
	json_object_set_new(all, id,
			    json_pack("{s:s,s:i}", "path", v->link, "flags",
				      v->info.flags & ~(unsigned)O_CLOEXEC));
	if (r == 1)
		return 0;
	e->netdev = g_strdup(ifr.ifr_name);
	e->has_detached = e->detached = ifr.ifr_flags & IFF_DETACH_QUEUE;
	r = dump_device(d, fd, &ifr, ns);
	if (r == 0) {
		key = key_of(e->netdev, e->ns_id);
		t = device_of(e->netdev, json_object_get(json_object_get(d->extra, "tuns"), key));
		tun_queue_dump(fd, &t, json_object_get(all, id));
	}
	return r < 0 ? err_wrap(r, "%s: %s", v->link, ifr.ifr_name) : 0;
}

static int load(struct restore *r, struct file *f)
{
	const TunfileEntry *e = f->entry->tunf;

	if (!e)
		return 1;
	if (e->netdev && strlen(e->netdev) >= IFNAMSIZ)
		return err_set(EBADMSG, "tun file %u has the device \"%s\"", f->id, e->netdev);
	return 0;
}

struct job {
	struct restore *r;
	struct file *f;
	json_t *device, *file;
};

static int set_link(int sock, int index, json_t *x)
{
	struct ifinfomsg head = {.ifi_index = index,
				 .ifi_flags = (unsigned)number(x, "link") & LINK_BITS,
				 .ifi_change = LINK_BITS};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h = rtnl_begin(buf, RTM_NEWLINK, 0, &head, sizeof(head));
	size_t len;
	g_autofree uint8_t *address = from_hex(json_object_get(x, "address"), &len);

	if (number(x, "mtu"))
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)number(x, "mtu"));
	if (len && len <= 32)
		mnl_attr_put(h, IFLA_ADDRESS, len, address);
	return rtnl_ask(sock, h, "set it up");
}

/* It may have another number now. */
static void set_index(struct nlmsghdr *h, int index)
{
	const struct nlattr *a[RTA_OIF + 1];

	if (h->nlmsg_type == RTM_NEWADDR) {
		((struct ifaddrmsg *)mnl_nlmsg_get_payload(h))->ifa_index = (unsigned)index;
		return;
	}
	rtnl_attrs(h, sizeof(struct rtmsg), a, RTA_OIF);
	if (a[RTA_OIF])
		memcpy(mnl_attr_get_payload(a[RTA_OIF]), &index, sizeof(index));
}

static int set_messages(int sock, int index, json_t *list)
{
	json_t *one;
	size_t i, len;

	json_array_foreach(list, i, one)
	{
		g_autofree uint8_t *bytes = from_hex(one, &len);
		struct nlmsghdr *h = (void *)bytes;
		int r;

		if (len > RTNL_BYTES || !mnl_nlmsg_ok(h, (int)len) ||
		    (h->nlmsg_type != RTM_NEWADDR && h->nlmsg_type != RTM_NEWROUTE) ||
		    mnl_nlmsg_get_payload_len(h) < sizeof(struct rtmsg))
			return err_set(EBADMSG, "its addresses");
		set_index(h, index);
		r = net_message_restore(sock, h, true);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What was made is like what was there. */
static int furnish(const struct job *j, const char *name)
{
	autoclose int sock = -1;
	int index = (int)if_nametoindex(name), r = rtnl_open(&sock);

	if (r == 0)
		r = set_link(sock, index, j->device);
	return r < 0 ? r : set_messages(sock, index, json_object_get(j->device, "messages"));
}

static int set_device(int fd, const json_t *x)
{
	int size = number(x, "header"), sndbuf = number(x, "sndbuf"), le = number(x, "le");
	int offloads = number(x, "offloads");
	unsigned flags = (unsigned)number(x, "flags");

	if ((flags & IFF_VNET_HDR && size && ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) ||
	    (sndbuf > 0 && ioctl(fd, TUNSETSNDBUF, &sndbuf) < 0) ||
	    (le && ioctl(fd, TUNSETVNETLE, &le) < 0) ||
	    (offloads && ioctl(fd, TUNSETOFFLOAD, offloads) < 0 &&
	     /* that of UDP is newer than the others (Linux 6.2); the kernel does it itself */
	     ioctl(fd, TUNSETOFFLOAD, offloads & TUN_OFFLOADS_OLD) < 0))
		return err_errno("settings");
	return ioctl(fd, TUNSETPERSIST, flags & IFF_PERSIST ? 1 : 0) < 0
		       ? err_errno("TUNSETPERSIST")
		       : 0;
}

static int attach(const struct job *j, int fd, const TunfileEntry *e)
{
	TunLinkEntry link = TUN_LINK_ENTRY__INIT;
	struct ifreq ifr = {.ifr_flags = IFF_DETACH_QUEUE};
	bool there = if_nametoindex(e->netdev) != 0;
	int r;

	if (!j->device)
		return err_set(EBADMSG, "%s does not know it", IMAGE_EXTRA);
	link.flags = (uint32_t)number(j->device, "flags");
	link.owner = there ? -1 : number(j->device, "owner");
	link.group = there ? -1 : number(j->device, "group");
	r = net_tun_make(fd, e->netdev, &link, there ? 0 : number(j->device, "index"));
	if (r == 0)
		r = set_device(fd, j->device);
	if (r == 0 && !there)
		r = furnish(j, e->netdev);
	if (r == 0 && e->detached && ioctl(fd, TUNSETQUEUE, &ifr) < 0)
		return err_errno("detach its queue");
	return r;
}

/* In the tree's network namespace: it is the device's. */
static int make(void *arg, int *ret_fd)
{
	const struct job *j = arg;
	const TunfileEntry *e = j->f->entry->tunf;
	const char *path = json_string_value(json_object_get(j->file, "path"));
	struct open_how how = {
		.flags = (uint64_t)(O_RDWR | O_CLOEXEC | (number(j->file, "flags") & O_NONBLOCK)),
		.resolve = RESOLVE_IN_ROOT};
	autoclose int fd = file_openat2(j->r->root, path ? path : "/dev/net/tun", &how);
	int r;

	if (fd < 0)
		return err_errno("open %s", path ? path : "/dev/net/tun");
	r = e->netdev ? attach(j, fd, e) : 0;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r < 0 ? err_wrap(r, "%s", e->netdev) : 0;
}

static int find(struct restore *r, struct file *f, struct job *ret, int *ret_ns)
{
	const TunfileEntry *e = f->entry->tunf;
	bool inside = e->has_ns_id && spaces_is(r, NS_NET, e->ns_id);
	g_autofree char *key = e->netdev ? key_of(e->netdev, inside ? e->ns_id : 0) : NULL;
	char id[16];

	*ret = (struct job){.r = r, .f = f};
	g_snprintf(id, sizeof(id), "%u", f->id);
	ret->file = json_object_get(json_object_get(r->extra, "tunfiles"), id);
	if (key)
		ret->device = json_object_get(json_object_get(r->extra, "tuns"), key);
	return spaces_fd(r, NS_NET, inside ? e->ns_id : 0, ret_ns);
}

static int open_(struct restore *r, struct file *f)
{
	struct job j;
	int ns, ret = find(r, f, &j, &ns);

	return ret < 0 ? ret : ns_run(&ns, 1, make, &j, &f->fd);
}

static int finish(struct restore *r, struct file *f)
{
	struct tun_device t;
	struct job j;
	int ns, ret = find(r, f, &j, &ns);

	if (ret == 0 && j.device) {
		t = device_of(f->entry->tunf->netdev, j.device);
		tun_queue_restore(f->fd, &t, j.file);
	}
	return ret;
}

const struct fd_kind fd_tun = {
	.name = "tun file",
	.type = FD_TYPES__TUNF,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.finish = finish,
};
