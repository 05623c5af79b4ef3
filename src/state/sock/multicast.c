/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multicast groups that a socket has joined.  The kernel lists them per interface only
 * (/proc/net/igmp, igmp6); whether a socket is a member of one tells MCAST_MSFILTER, which fails
 * for others (net/ipv4/igmp.c: ip_mc_gsfget(), net/ipv6/mcast.c: ip6_mc_msfget()).
 */
#include "state/sock/inet.h"

#include "base/file.h"
#include "kernel/peek.h"
#include "state/ns/spaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define LIST_MAX    (4u << 20)
#define SOURCES_MAX 1024

struct group {
	char device[IFNAMSIZ];
	struct group_req req;
};

static void add(GArray *list, const char *device, unsigned index, int family, const void *addr)
{
	struct group g = {0};

	g_strlcpy(g.device, device, sizeof(g.device));
	g.req.gr_interface = index;
	g.req.gr_group.ss_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&((struct sockaddr_in *)&g.req.gr_group)->sin_addr, addr, 4);
	else
		memcpy(&((struct sockaddr_in6 *)&g.req.gr_group)->sin6_addr, addr, 16);
	g_array_append_val(list, g);
}

/* "2\teth0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" */
static void parse_igmp(GArray *list, char *text)
{
	char device[IFNAMSIZ] = "", *save = NULL;
	unsigned index = 0;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		uint32_t addr;

		if (l[0] == '\t' && device[0] && sscanf(l, " %x", &addr) == 1)
			add(list, device, index, AF_INET, &addr);
		else if (l[0] != '\t' && sscanf(l, "%u %15[^ \t:]", &index, device) != 2)
			device[0] = 0; /* the heading */
	}
}

/* "2    eth0            ff020000000000000000000000000001     1 0000000C 0\n" */
static void parse_igmp6(GArray *list, char *text)
{
	char device[IFNAMSIZ], hex[33], *save = NULL;
	unsigned index;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		uint8_t addr[16];

		if (sscanf(l, "%u %15s %32[0-9a-f]", &index, device, hex) != 3 || strlen(hex) != 32)
			continue;
		for (int i = 0; i < 16; i++)
			sscanf(hex + 2 * i, "%2hhx", &addr[i]);
		add(list, device, index, AF_INET6, addr);
	}
}

static int list_groups(int dir, int family, GArray *list)
{
	g_autofree char *text = NULL;
	int r = file_read_at(dir, family == AF_INET ? "net/igmp" : "net/igmp6", LIST_MAX, &text,
			     NULL);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r == 0)
		(family == AF_INET ? parse_igmp : parse_igmp6)(list, text);
	return r;
}

/* 1: a member of it.  *RET has what sources it hears, or does not; the caller's. */
static int is_member(int fd, const struct group *g, struct group_filter **ret)
{
	g_autofree struct group_filter *f = g_malloc0(GROUP_FILTER_SIZE(SOURCES_MAX));
	socklen_t len = GROUP_FILTER_SIZE(SOURCES_MAX);
	int level = g->req.gr_group.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	f->gf_interface = g->req.gr_interface;
	f->gf_group = g->req.gr_group;
	f->gf_numsrc = SOURCES_MAX;
	if (getsockopt(fd, level, MCAST_MSFILTER, f, &len) < 0)
		return 0;
	if (f->gf_numsrc > SOURCES_MAX)
		return err_set(
			EOPNOTSUPP,
			"it has joined a multicast group with %u sources, which are too many",
			f->gf_numsrc);
	*ret = g_steal_pointer(&f);
	return 1;
}

static void show(const struct sockaddr_storage *a, char ret[static INET6_ADDRSTRLEN])
{
	const union inet_addr *u = (const void *)a;

	inet_ntop(a->ss_family,
		  a->ss_family == AF_INET ? (const void *)&u->v4.sin_addr
					  : (const void *)&u->v6.sin6_addr,
		  ret, INET6_ADDRSTRLEN);
}

/* [DEVICE, GROUP], and if it is not to be heard from all: [..., MODE, SOURCE, ...] */
static json_t *group_new(const struct group *g, const struct group_filter *f)
{
	char text[INET6_ADDRSTRLEN] = "";
	json_t *one;

	show(&g->req.gr_group, text);
	one = json_pack("[s,s]", g->device, text);
	if (f->gf_fmode == MCAST_EXCLUDE && !f->gf_numsrc)
		return one;
	json_array_append_new(one, json_integer(f->gf_fmode));
	for (unsigned i = 0; i < f->gf_numsrc; i++) {
		show(&f->gf_slist[i], text);
		json_array_append_new(one, json_string(text));
	}
	return one;
}

/* Something about it is as only who uses multicast has it. */
static bool uses_multicast(const struct sock_view *s, const json_t *x)
{
	int ttl, loop;

	return json_object_get(x, "groups") ||
	       (sock_get_int(s->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl) && ttl != 1) ||
	       (sock_get_int(s->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop) && !loop);
}

/*
 * The interface that it sends by.  IP_MULTICAST_IF tells its address only, and nothing where it was
 * chosen by number (struct ip_mreqn).
 */
static int dump_sender(struct dump *d, const struct sock_view *s, json_t *x)
{
	struct ifreq ifr = {0};
	struct peek *k;
	uint32_t index = 0;
	uint64_t sk;
	int r;

	if (!uses_multicast(s, x) || !dump_peek(d, &k))
		return 0;
	r = peek_sock(k, s->fd, &sk);
	if (r == 0)
		r = peek_u32(k, sk, "inet_sock", "mc_index", &index);
	ifr.ifr_ifindex = (int)index;
	if (r == 0 && index && ioctl(s->fd, SIOCGIFNAME, &ifr) == 0)
		json_object_set_new(x, "multicast_if", json_string(ifr.ifr_name));
	if (r == -EOPNOTSUPP) { /* another kernel's */
		err_clear();
		r = 0;
	}
	return r;
}

static int restore_sender(int fd, const json_t *x)
{
	const char *device = json_string_value(json_object_get(x, "multicast_if"));
	struct ip_mreqn m = {0};
	struct ifreq ifr = {0};
	int addr;

	if (!device)
		return 0;
	g_strlcpy(ifr.ifr_name, device, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		return err_errno("interface %s, by which multicast is sent", device);
	m.imr_ifindex = ifr.ifr_ifindex;
	if (sock_get_int(fd, IPPROTO_IP, IP_MULTICAST_IF, &addr))
		m.imr_address.s_addr = (in_addr_t)addr;
	return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)) < 0
		       ? err_errno("send multicast by %s", device)
		       : 0;
}

/* /proc/PID of somebody who is in the network namespace of S; -1: nobody is. */
static int somebody(struct dump *d, const struct sock_view *s)
{
	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (!t->zombie && spaces_id(d, NS_NET, spaces_of(d, t->proc.pid)[NS_NET]) == s->ns)
			return t->proc.dir;
	}
	return -1;
}

int multicast_dump(struct dump *d, const struct sock_view *s, json_t *x)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct group));
	int dir, r = 0;

	if (s->type == SOCK_STREAM)
		return 0;
	dir = somebody(d, s);
	if (dir >= 0)
		r = list_groups(dir, AF_INET, list);
	if (r == 0 && dir >= 0 && s->family == AF_INET6)
		r = list_groups(dir, AF_INET6, list);
	for (unsigned i = 0; r >= 0 && i < list->len; i++) {
		const struct group *g = &g_array_index(list, struct group, i);
		g_autofree struct group_filter *f = NULL;
		json_t *all = x ? json_object_get(x, "groups") : NULL;

		r = is_member(s->fd, g, &f);
		if (r != 1 || !x)
			continue;
		if (!all)
			json_object_set_new(x, "groups", all = json_array());
		json_array_append_new(all, group_new(g, f));
	}
	return r < 0 || !x ? MIN(r, 0) : dump_sender(d, s, x);
}

static int parse(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){.ss_family = AF_INET};
	if (text && inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		return 0;
	*ret = (struct sockaddr_storage){.ss_family = AF_INET6};
	return text && inet_pton(AF_INET6, text, &v6->sin6_addr) == 1
		       ? 0
		       : err_set(EBADMSG, "multicast group %s", text ? text : "");
}

static int set_sources(int fd, int level, const struct group_req *q, const json_t *one)
{
	size_t n = json_array_size(one) - 3;
	g_autofree struct group_filter *f = NULL;
	int r = 0;

	if (n > SOURCES_MAX)
		return err_set(EBADMSG, "a multicast group with %zu sources", n);
	f = g_malloc0(GROUP_FILTER_SIZE(SOURCES_MAX));
	f->gf_interface = q->gr_interface;
	f->gf_group = q->gr_group;
	f->gf_fmode = (uint32_t)json_integer_value(json_array_get(one, 2));
	f->gf_numsrc = (uint32_t)n;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = parse(json_string_value(json_array_get(one, i + 3)), &f->gf_slist[i]);
	if (r == 0 && setsockopt(fd, level, MCAST_MSFILTER, f, GROUP_FILTER_SIZE((unsigned)n)) < 0)
		return err_errno("sources of a multicast group");
	return r;
}

static int join(int fd, const json_t *one)
{
	const char *device = json_string_value(json_array_get(one, 0));
	const char *text = json_string_value(json_array_get(one, 1));
	struct ifreq ifr = {0};
	struct group_req q = {0};
	int level, r = parse(text, &q.gr_group);

	if (r < 0 || !device)
		return r < 0 ? r : err_set(EBADMSG, "a multicast group without a device");
	level = q.gr_group.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	/* the number that it has where the socket is */
	g_strlcpy(ifr.ifr_name, device, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		return err_errno("interface %s of multicast group %s", device, text);
	q.gr_interface = (uint32_t)ifr.ifr_ifindex;
	if (setsockopt(fd, level, MCAST_JOIN_GROUP, &q, sizeof(q)) < 0)
		return err_errno("join multicast group %s at %s", text, device);
	return json_array_size(one) > 2 ? set_sources(fd, level, &q, one) : 0;
}

int multicast_restore(int fd, json_t *x)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(x, "groups"), i, one)
	{
		int r = join(fd, one);

		if (r < 0)
			return r;
	}
	return restore_sender(fd, x);
}
