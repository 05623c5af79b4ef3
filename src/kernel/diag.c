/* SPDX-License-Identifier: Apache-2.0 */
/* net/unix/diag.c, net/ipv4/inet_diag.c */
#include "kernel/diag.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>

#define LIST_BYTES (32u << 10) /* what one message of a list has at most: netlink_dump() */

static int open_here(void *arg, int *ret_fd)
{
	*ret_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	return *ret_fd < 0 ? err_errno("sock_diag") : 0;
}

int diag_open_ns(int ns, int *ret_fd)
{
	return ns_run(&ns, 1, open_here, NULL, ret_fd);
}

int diag_open(int dir, int *ret_fd)
{
	autoclose int ns = -1;
	int r = ns_open(dir, NS_NET, &ns);

	return r < 0 ? r : diag_open_ns(ns, ret_fd);
}

int diag_list(int sock, const void *req, size_t len, mnl_cb_t cb, void *arg)
{
	g_autofree char *buf = g_malloc(LIST_BYTES);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	static unsigned seq;
	int r = MNL_CB_OK;

	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++seq;
	memcpy(mnl_nlmsg_put_extra_header(h, len), req, len);
	if (send(sock, h, h->nlmsg_len, 0) < 0)
		return err_errno("sock_diag");
	while (r == MNL_CB_OK) {
		ssize_t n = recv(sock, buf, LIST_BYTES, 0);

		if (n < 0)
			return err_errno("sock_diag");
		r = mnl_cb_run(buf, (size_t)n, h->nlmsg_seq, 0, cb, arg);
	}
	return r < 0 ? err_errno("sock_diag") : 0;
}

static void read_name(struct diag_unix *u, const struct nlattr *a)
{
	u->name_len = MIN(mnl_attr_get_payload_len(a), sizeof(u->name));
	memcpy(u->name, mnl_attr_get_payload(a), u->name_len);
}

static void read_icons(struct diag_unix *u, const struct nlattr *a)
{
	size_t len = mnl_attr_get_payload_len(a);

	g_free(u->icons);
	u->nicons = (unsigned)(len / sizeof(uint32_t));
	u->icons = g_memdup2(mnl_attr_get_payload(a), len);
}

static int unix_attr(const struct nlattr *a, void *arg)
{
	struct diag_unix *u = arg;
	unsigned type = mnl_attr_get_type(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (type == UNIX_DIAG_NAME) {
		read_name(u, a);
	} else if (type == UNIX_DIAG_VFS) {
		u->has_vfs = true;
	} else if (type == UNIX_DIAG_PEER && len >= sizeof(uint32_t)) {
		u->has_peer = true;
		u->peer = mnl_attr_get_u32(a);
	} else if (type == UNIX_DIAG_ICONS) {
		read_icons(u, a);
	} else if (type == UNIX_DIAG_RQLEN && len >= sizeof(struct unix_diag_rqlen)) {
		const struct unix_diag_rqlen *q = mnl_attr_get_payload(a);

		u->rqueue = q->udiag_rqueue;
		u->wqueue = q->udiag_wqueue;
	} else if (type == UNIX_DIAG_SHUTDOWN && len >= 1) {
		u->shutdown = mnl_attr_get_u8(a);
	}
	return MNL_CB_OK;
}

static void unix_free(void *p)
{
	struct diag_unix *u = p;

	g_free(u->icons);
	g_free(u);
}

static int unix_msg(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct diag_unix *u;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || m->udiag_ino == 0)
		return MNL_CB_OK;
	u = g_new0(struct diag_unix, 1);
	u->ino = m->udiag_ino;
	u->type = m->udiag_type;
	u->state = m->udiag_state;
	mnl_attr_parse(h, sizeof(*m), unix_attr, u);
	g_hash_table_insert((GHashTable *)arg, GUINT_TO_POINTER(u->ino), u);
	return MNL_CB_OK;
}

int diag_unix(int sock, GHashTable **ret)
{
	const struct unix_diag_req req = {
		.sdiag_family = AF_UNIX,
		.udiag_states = ~0u,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
			      UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN,
	};
	g_autoptr(GHashTable) all = g_hash_table_new_full(NULL, NULL, NULL, unix_free);
	int r = diag_list(sock, &req, sizeof(req), unix_msg, all);

	if (r < 0)
		return err_wrap(r, "unix sockets");
	*ret = g_steal_pointer(&all);
	return 0;
}

/* Keys and protocols on top are only told of together with struct tcp_info: inet_sk_diag_fill() */
#define WITH_KEYS (1 << (INET_DIAG_INFO - 1))

static int inet_attr(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == INET_DIAG_SHUTDOWN && mnl_attr_get_payload_len(a) >= 1)
		*(uint8_t *)arg |= mnl_attr_get_u8(a);
	if (mnl_attr_get_type(a) == INET_DIAG_MD5SIG)
		*(uint8_t *)arg |= DIAG_SIGNS;
	return MNL_CB_OK;
}

static int inet_msg(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	uint8_t how = 0;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || m->idiag_inode == 0)
		return MNL_CB_OK;
	mnl_attr_parse(h, sizeof(*m), inet_attr, &how);
	if (how)
		g_hash_table_insert((GHashTable *)arg, GUINT_TO_POINTER(m->idiag_inode),
				    GUINT_TO_POINTER(how));
	return MNL_CB_OK;
}

int diag_inet_shutdown(int sock, int family, int protocol, GHashTable *map)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = (uint8_t)protocol,
		.idiag_ext = protocol == IPPROTO_TCP ? WITH_KEYS : 0,
		.idiag_states = ~0u,
	};
	int r = diag_list(sock, &req, sizeof(req), inet_msg, map);

	/* no module for this protocol (inet_diag_handler_cmd()) */
	if (r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL) {
		err_clear();
		return 0;
	}
	return r;
}

static void read_info(struct diag_tcp *t, const struct nlattr *a)
{
	struct tcp_info info = {0};

	memcpy(&info, mnl_attr_get_payload(a), MIN(mnl_attr_get_payload_len(a), sizeof(info)));
	t->options = info.tcpi_options;
	t->snd_wscale = info.tcpi_snd_wscale;
	t->rcv_wscale = info.tcpi_rcv_wscale;
}

/* tcp_diag_get_aux() */
static int tcp_attr(const struct nlattr *a, void *arg)
{
	struct diag_tcp *t = arg;
	unsigned type = mnl_attr_get_type(a);

	if (type == INET_DIAG_MD5SIG)
		t->md5 = true;
	else if (type == INET_DIAG_ULP_INFO)
		t->ulp = true;
	else if (type == INET_DIAG_INFO)
		read_info(t, a);
	return MNL_CB_OK;
}

static int tcp_msg(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct diag_tcp t = {0};
	unsigned at = 0;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return MNL_CB_OK;
	t.ino = m->idiag_inode;
	t.state = m->idiag_state;
	t.family = m->idiag_family;
	if (t.family == AF_INET6 && !m->id.idiag_src[0] && !m->id.idiag_src[1] &&
	    m->id.idiag_src[2] == htonl(0xffff)) {
		t.family = AF_INET;
		at = 3;
	}
	memcpy(t.src, m->id.idiag_src + at, t.family == AF_INET ? 4 : 16);
	memcpy(t.dst, m->id.idiag_dst + at, t.family == AF_INET ? 4 : 16);
	t.sport = ntohs(m->id.idiag_sport);
	t.dport = ntohs(m->id.idiag_dport);
	t.device = m->id.idiag_if;
	t.rqueue = m->idiag_rqueue;
	_Static_assert(sizeof(m->id) == sizeof(t.id), "struct diag_tcp.id");
	memcpy(t.id, &m->id, sizeof(t.id));
	mnl_attr_parse(h, sizeof(*m), tcp_attr, &t);
	g_array_append_val((GArray *)arg, t);
	return MNL_CB_OK;
}

int diag_tcp(int sock, int family, GArray *all)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = WITH_KEYS,
		.idiag_states = ~0u,
	};
	int r = diag_list(sock, &req, sizeof(req), tcp_msg, all);

	return r < 0 ? err_wrap(r, "TCP sockets") : 0;
}

/* inet_diag_find_one_icsk() */
int diag_tcp_find(int sock, const struct diag_tcp *who, struct diag_tcp *ret)
{
	g_autoptr(GArray) one = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)who->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = WITH_KEYS,
		.idiag_states = ~0u,
		.id = {.idiag_sport = htons(who->sport),
		       .idiag_dport = htons(who->dport),
		       .idiag_if = who->device,
		       .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
	};
	g_autofree char *buf = g_malloc(LIST_BYTES);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	ssize_t n;
	int r;

	memcpy(req.id.idiag_src, who->src, sizeof(who->src));
	memcpy(req.id.idiag_dst, who->dst, sizeof(who->dst));
	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST;
	memcpy(mnl_nlmsg_put_extra_header(h, sizeof(req)), &req, sizeof(req));
	n = send(sock, h, h->nlmsg_len, 0) < 0 ? -1 : recv(sock, buf, LIST_BYTES, 0);
	r = n < 0 ? MNL_CB_ERROR : mnl_cb_run(buf, (size_t)n, 0, 0, tcp_msg, one);
	if (r < 0 && errno != ENOENT)
		return err_errno("a TCP socket");
	if (r < 0 || !one->len)
		return 1;
	*ret = g_array_index(one, struct diag_tcp, 0);
	return 0;
}

/* tcp_diag_destroy() (Linux 4.5, CONFIG_INET_DIAG_DESTROY) */
static void destroy(int sock, const struct diag_tcp *t, int family)
{
	struct inet_diag_req_v2 req = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0u,
	};
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	memcpy(&req.id, t->id, sizeof(req.id));
	h->nlmsg_type = SOCK_DESTROY;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	memcpy(mnl_nlmsg_put_extra_header(h, sizeof(req)), &req, sizeof(req));
	if (send(sock, h, h->nlmsg_len, 0) >= 0)
		(void)recv(sock, buf, sizeof(buf), 0); /* the answer: who needs the port will see */
}

int diag_tcp_free_port(int sock, uint16_t port)
{
	static const int families[] = {AF_INET, AF_INET6};
	const unsigned ending = 1 << TCP_TIME_WAIT | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 |
				1 << TCP_CLOSING | 1 << TCP_LAST_ACK;

	for (unsigned k = 0; k < ARRAY_SIZE(families); k++) {
		g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct diag_tcp));
		int r = diag_tcp(sock, families[k], all);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < all->len; i++) {
			const struct diag_tcp *t = &g_array_index(all, struct diag_tcp, i);

			if (t->ino == 0 && t->sport == port && ending & 1u << t->state)
				destroy(sock, t, families[k]);
		}
	}
	return 0;
}
