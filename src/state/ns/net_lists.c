/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, routes and rules: a magic number and the kernel's messages, as "ip address save",
 * "ip route save" and "ip rule save" write them.  Given back, each becomes a request.
 */
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/rtnl.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIST_MAX (64u << 20)

struct list {
	enum image_kind image;
	uint32_t magic; /* of iproute2 */
	unsigned get;
	unsigned char family;
	bool (*is_kernels)(const struct nlmsghdr *h); /* comes back by itself */
};

/* Local and broadcast addresses, prefixes of interfaces. */
static bool is_kernels_route(const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);

	return m->rtm_flags & RTM_F_CLONED || m->rtm_protocol == RTPROT_KERNEL;
}

/* The first one, of the table "local", has priority 0, which is not written. */
static bool is_kernels_rule(const struct nlmsghdr *h)
{
	const struct nlattr *a[FRA_PRIORITY + 1];

	rtnl_attrs(h, sizeof(struct fib_rule_hdr), a, FRA_PRIORITY);
	return !a[FRA_PRIORITY];
}

static bool is_no_kernels(const struct nlmsghdr *h)
{
	return false;
}

static const struct list lists[] = {
	{IMG_IFADDR, 0x47361222, RTM_GETADDR, AF_UNSPEC, is_no_kernels},
	{IMG_ROUTE, 0x45311224, RTM_GETROUTE, AF_INET, is_kernels_route},
	{IMG_ROUTE6, 0x45311224, RTM_GETROUTE, AF_INET6, is_kernels_route},
	{IMG_RULE, 0x71706986, RTM_GETRULE, AF_UNSPEC, is_kernels_rule},
};

struct collect {
	const struct list *list;
	GByteArray *bytes;
};

static int add(const struct nlmsghdr *h, void *arg)
{
	struct collect *c = arg;
	static const uint8_t zeros[MNL_ALIGNTO];

	g_byte_array_append(c->bytes, (const uint8_t *)h, h->nlmsg_len);
	g_byte_array_append(c->bytes, zeros, MNL_ALIGN(h->nlmsg_len) - h->nlmsg_len);
	return 0;
}

int net_lists_dump(struct dump *d, uint32_t id, int sock)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		struct collect c = {.list = &lists[i], .bytes = bytes};

		g_byte_array_append(bytes, (const uint8_t *)&lists[i].magic, 4);
		r = rtnl_list(sock, lists[i].get, lists[i].family, add, &c);
		if (r == 0)
			r = image_write_raw(&d->w, lists[i].image, id, bytes->data, bytes->len);
	}
	return r;
}

/*
 * The kernel does not take these back: what a cache knows (IFA_CACHEINFO is a life time, which it
 * does take), and flags that it sets itself.
 */
static void prepare(struct nlmsghdr *h)
{
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
	h->nlmsg_pid = 0;
	if (h->nlmsg_type == RTM_NEWROUTE)
		((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_flags &=
			~(unsigned)(RTNH_F_DEAD | RTNH_F_LINKDOWN | RTNH_F_OFFLOAD | RTNH_F_TRAP);
	else if (h->nlmsg_type == RTM_NEWRULE)
		h->nlmsg_flags |= NLM_F_EXCL;
}

/*
 * EEXIST: it has come with its device or address.  Routes that need others are refused until those
 * are there.
 */
int net_message_restore(int sock, struct nlmsghdr *h, bool last)
{
	int r;

	prepare(h);
	r = rtnl_ask(sock, h,
		     h->nlmsg_type == RTM_NEWADDR    ? "address"
		     : h->nlmsg_type == RTM_NEWROUTE ? "route"
						     : "rule");
	if (r == -EEXIST || (!last && (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EINVAL ||
				       r == -ENETDOWN))) {
		err_clear();
		return r == -EEXIST ? 0 : 1;
	}
	return r;
}

/* What only a user has made: the kernel adds its own multicast and device addresses. */
static bool is_made(const struct nlmsghdr *h)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[NDA_DST + 1];

	rtnl_attrs(h, sizeof(*m), a, NDA_DST);
	if (m->ndm_family == AF_BRIDGE) /* of vxlan; "static" of a bridge */
		return a[NDA_DST] || m->ndm_state == NUD_NOARP;
	return m->ndm_state & NUD_PERMANENT || m->ndm_flags & NTF_PROXY;
}

static int add_made(const struct nlmsghdr *h, void *arg)
{
	return h->nlmsg_type == RTM_NEWNEIGH && is_made(h) ? add(h, arg) : 0;
}

static char *neighbours_key(uint32_t id)
{
	return g_strdup_printf("neighbours-%u", id);
}

int net_neighbours_dump(struct dump *d, uint32_t id, int sock)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autofree char *text = NULL, *key = neighbours_key(id);
	struct collect c = {.bytes = bytes};
	const struct ndmsg proxies = {.ndm_flags = NTF_PROXY}; /* neigh_dump_info() */
	/* a head of its own size: the kernel's log has a line for what is more (nla_parse()) */
	const struct ndmsg all = {.ndm_family = AF_UNSPEC};
	int r = rtnl_list_with(sock, RTM_GETNEIGH, &all, sizeof(all), add_made, &c);

	if (r == 0)
		r = rtnl_list_with(sock, RTM_GETNEIGH, &proxies, sizeof(proxies), add_made, &c);
	if (r == 0)
		r = rtnl_list(sock, RTM_GETNEIGH, AF_BRIDGE, add_made, &c);
	if (r < 0 || !bytes->len)
		return r;
	text = g_base64_encode(bytes->data, bytes->len);
	json_object_set_new(d->extra, key, json_string(text));
	return 0;
}

int net_neighbours_restore(const json_t *extra, uint32_t id, int sock)
{
	g_autofree char *key = neighbours_key(id);
	const char *text = json_string_value(json_object_get(extra, key));
	gsize len = 0;
	g_autofree unsigned char *bytes = text ? g_base64_decode(text, &len) : NULL;
	int r = 0, left = (int)len;

	for (struct nlmsghdr *h = (void *)bytes; r == 0 && bytes && mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left)) {
		if (h->nlmsg_type != RTM_NEWNEIGH ||
		    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ndmsg)))
			return err_set(EBADMSG, "%s: %s", IMAGE_EXTRA, key);
		h->nlmsg_pid = 0;
		h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
		h->nlmsg_flags |=
			((struct ndmsg *)mnl_nlmsg_get_payload(h))->ndm_family == AF_BRIDGE
				? NLM_F_APPEND
				: NLM_F_REPLACE;
		r = rtnl_ask(sock, h, "neighbour");
		if (r == -EEXIST) {
			err_clear();
			r = 0;
		}
	}
	return r;
}

#define ROUNDS 4

static int restore_list(int images, uint32_t id, int sock, const struct list *l)
{
	CLEANUP(image_close) struct image *img = NULL;
	g_autofree char *bytes = NULL;
	int r = image_open(images, l->image, id, &img), refused = 1;
	uint64_t len;

	if (r != 0)
		return r < 0 ? r : 0;
	len = image_rest(img);
	if (len < 4 || len > LIST_MAX)
		return err_set(EBADMSG, "%s: %" PRIu64 " bytes", img->name, len);
	bytes = g_malloc(len + MNL_ALIGNTO);
	r = image_read_raw(img, bytes, len);
	if (r == 0 && memcmp(bytes, &l->magic, 4) != 0)
		return err_set(EBADMSG, "%s: it is none of that kind", img->name);
	for (unsigned round = 1; r == 0 && refused && round <= ROUNDS; round++) {
		int left = (int)len - 4;

		refused = 0;
		for (struct nlmsghdr *h = (void *)(bytes + 4); r >= 0 && mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_type != l->get - 2 || l->is_kernels(h)) /* RTM_NEW* */
				continue;
			r = net_message_restore(sock, h, round == ROUNDS);
			refused += r == 1;
		}
		r = r > 0 ? 0 : r;
	}
	return r < 0 ? err_wrap(r, "%s", img->name) : 0;
}

int net_lists_restore(int images, uint32_t id, int sock)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
		r = restore_list(images, id, sock, &lists[i]);
	return r;
}
