/* SPDX-License-Identifier: Apache-2.0 */
/* Features of the network; each is tried.  What changes anything is done in a namespace aside. */
#include "kernel/feature.h"

#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/net_namespace.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BUF_LOCK      72 /* SO_BUF_LOCK, Linux 5.15 */
#define V6_FREEBIND   78
#define SK_GET_NS     0x894C /* SIOCGSKNS */
#define UNIX_FILE     0x89E0 /* SIOCUNIXFILE */
#define NEW_IFINDEX   4242
#define MOVED_IFINDEX 49 /* IFLA_NEW_IFINDEX, Linux 5.12 */

struct request {
	struct nlmsghdr h;
	char body[256];
};

static void add_attr(struct request *q, unsigned short type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));

	a->nla_type = type;
	a->nla_len = (unsigned short)(NLA_HDRLEN + len);
	memcpy((char *)a + NLA_HDRLEN, data, len);
	q->h.nlmsg_len = NLMSG_ALIGN(q->h.nlmsg_len) + (uint32_t)NLA_ALIGN(a->nla_len);
}

/* Sends Q; 1: the answer is no error. */
static int ask(int protocol, struct request *q, const char *what)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	union {
		struct nlmsghdr h;
		char room[8192];
	} a;
	struct timeval limit = {.tv_sec = 2};
	ssize_t n;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, q, q->h.nlmsg_len, 0) < 0)
		return feature_answer(-1, what);
	n = recv(fd, &a, sizeof(a), 0);
	if (n < (ssize_t)sizeof(a.h))
		return feature_answer(-1, what);
	if (a.h.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(&a.h);

		errno = -e->error;
		return e->error ? feature_answer(-1, what) : 1;
	}
	return 1;
}

int feature_tun(void)
{
	autoclose int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	unsigned flags;

	return feature_answer(fd < 0 ? fd : ioctl(fd, TUNGETFEATURES, &flags), "/dev/net/tun");
}

static int try_tun_ns(void *arg, int *ret_fd)
{
	autoclose int fd = -1, ns = -1;
	struct ifreq q = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	if (unshare(CLONE_NEWNET) < 0)
		return err_errno("unshare");
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &q) < 0)
		return err_errno("tun device");
	ns = ioctl(fd, SK_GET_NS); /* drivers/net/tun.c: __tun_chr_ioctl() */
	return ns < 0 ? err_errno("SIOCGSKNS of a tun device") : 0;
}

int feature_tun_ns(void)
{
	return ns_run(NULL, 0, try_tun_ns, NULL, NULL) < 0 ? 0 : 1;
}

/* net/ipv4/tcp.c: tcp_can_repair_sock() */
int feature_tcp_half_closed(void)
{
	autoclose int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c = -1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int on = 1;

	c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l < 0 || c < 0 || bind(l, (void *)&a, sizeof(a)) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (void *)&a, &len) < 0 || connect(c, (void *)&a, sizeof(a)) < 0 ||
	    shutdown(c, SHUT_WR) < 0)
		return feature_answer(-1, "a connection to ourselves");
	return feature_answer(setsockopt(c, SOL_TCP, TCP_REPAIR, &on, sizeof(on)), "TCP_REPAIR");
}

/* Of a socket in repair: net/ipv4/tcp.c, do_tcp_getsockopt(). */
int feature_tcp_window(void)
{
	autoclose int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);
	int on = 1;

	if (s < 0 || setsockopt(s, SOL_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
		return feature_answer(-1, "TCP_REPAIR");
	return feature_answer(getsockopt(s, SOL_TCP, TCP_REPAIR_WINDOW, &w, &len),
			      "TCP_REPAIR_WINDOW");
}

static int peek_off(int family, int type)
{
	autoclose int s = socket(family, type | SOCK_CLOEXEC, 0);
	int at = 0;

	return feature_answer(s < 0 ? s : setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at)),
			      "SO_PEEK_OFF");
}

int feature_peek_off(void)
{
	int r = peek_off(AF_UNIX, SOCK_STREAM);

	return r == 1 ? peek_off(AF_INET, SOCK_DGRAM) : r;
}

int feature_tcp_peek_off(void)
{
	return peek_off(AF_INET, SOCK_STREAM);
}

/* net/ipv4/inet_diag.c: inet_diag_cmd_exact(): EOPNOTSUPP, or there is no such connection. */
int feature_sock_destroy(void)
{
	struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct inet_diag_req_v2)),
				  .nlmsg_type = SOCK_DESTROY,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	struct inet_diag_req_v2 *d = NLMSG_DATA(&q.h);
	int r;

	d->sdiag_family = AF_INET;
	d->sdiag_protocol = IPPROTO_TCP;
	d->id.idiag_cookie[0] = d->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	r = ask(NETLINK_SOCK_DIAG, &q, "SOCK_DESTROY");
	if (r == 0 && errno == ENOENT) {
		err_clear();
		r = 1;
	}
	return r;
}

int feature_raw_inject(void)
{
	autoclose int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	int mark = 1;

	return feature_answer(s < 0 ? s : setsockopt(s, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)),
			      "a raw socket with SO_MARK");
}

int feature_scm_fds(void)
{
	autoclose int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s);
	return feature_in_text(path, "scm_fds:");
}

int feature_sk_ns(void)
{
	autoclose int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	autoclose int ns = s < 0 ? s : ioctl(s, SK_GET_NS);

	return feature_answer(ns, "SIOCGSKNS");
}

int feature_sk_unix_file(void)
{
	autoclose int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	autoclose int fd = s < 0 ? s : ioctl(s, UNIX_FILE);

	/* ENOENT: it has no name (net/unix/af_unix.c: unix_open_file()) */
	return fd < 0 && errno == ENOENT ? 1 : feature_answer(fd, "SIOCUNIXFILE");
}

int feature_net_diag_raw(void)
{
	struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct inet_diag_req_v2)),
				  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	struct inet_diag_req_v2 *d = NLMSG_DATA(&q.h);

	d->sdiag_family = AF_INET;
	d->sdiag_protocol = IPPROTO_RAW;
	d->idiag_states = ~0u;
	return ask(4 /* NETLINK_SOCK_DIAG */, &q, "sock_diag of raw sockets");
}

int feature_nsid(void)
{
	autoclose int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
				  .nlmsg_type = RTM_GETNSID,
				  .nlmsg_flags = NLM_F_REQUEST}};

	if (ns < 0)
		return feature_answer(ns, "/proc/self/ns/net");
	add_attr(&q, NETNSA_FD, &ns, sizeof(ns));
	return ask(NETLINK_ROUTE, &q, "RTM_GETNSID");
}

int feature_external_net_ns(void)
{
	autoclose int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	autoclose int user = ns < 0 ? ns : ioctl(ns, NS_GET_USERNS);

	return feature_answer(user, "NS_GET_USERNS");
}

/* A pair of devices in a new network namespace, the first with number NEW_IFINDEX. */
static int make_device(void)
{
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
		      .nlmsg_type = RTM_NEWLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL}};
	struct ifinfomsg *i = NLMSG_DATA(&q.h);
	struct {
		struct nlattr a;
		char name[8];
	} kind = {{.nla_len = NLA_HDRLEN + 5, .nla_type = IFLA_INFO_KIND}, "veth"};

	if (unshare(CLONE_NEWNET) < 0)
		return err_errno("unshare");
	i->ifi_index = NEW_IFINDEX;
	add_attr(&q, IFLA_LINKINFO, &kind, sizeof(kind));
	return ask(NETLINK_ROUTE, &q, "a device with its number") == 1 ? 0 : -EIO;
}

static int try_ifindex(void *arg, int *ret_fd)
{
	return make_device();
}

/* It goes to another namespace, where it gets another number. */
static int try_move(void *arg, int *ret_fd)
{
	struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
				  .nlmsg_type = RTM_SETLINK,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	struct request look = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
				     .nlmsg_type = RTM_GETLINK,
				     .nlmsg_flags = NLM_F_REQUEST}};
	struct ifinfomsg *i = NLMSG_DATA(&q.h), *moved = NLMSG_DATA(&look.h);
	int number = NEW_IFINDEX + 1;
	autoclose int there = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return err_errno("unshare");
	there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (there < 0 || make_device() < 0)
		return err_errno("a device to move");
	i->ifi_index = NEW_IFINDEX;
	moved->ifi_index = number;
	add_attr(&q, IFLA_NET_NS_FD, &there, sizeof(there));
	add_attr(&q, MOVED_IFINDEX, &number, sizeof(number));
	if (ask(NETLINK_ROUTE, &q, "moving a device") != 1 || setns(there, CLONE_NEWNET) < 0)
		return err_wrap(-EIO, "IFLA_NEW_IFINDEX");
	return ask(NETLINK_ROUTE, &look, "IFLA_NEW_IFINDEX") == 1 ? 0 : -EIO;
}

int feature_newifindex(void)
{
	return ns_run(NULL, 0, try_ifindex, NULL, NULL) < 0 ? 0 : 1;
}

int feature_move_ifindex(void)
{
	return ns_run(NULL, 0, try_move, NULL, NULL) < 0 ? 0 : 1;
}

int feature_nftables(void)
{
	struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
				  .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
				  .nlmsg_flags = NLM_F_REQUEST}};

	return ask(12 /* NETLINK_NETFILTER */, &q, "nftables");
}

int feature_ipt_legacy(void)
{
	return feature_answer(access("/proc/net/ip_tables_names", F_OK),
			      "/proc/net/ip_tables_names");
}

static int sockopt(int family, int level, int option)
{
	autoclose int s = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int value = 0;
	socklen_t len = sizeof(value);

	return feature_answer(s < 0 ? s : getsockopt(s, level, option, &value, &len), "getsockopt");
}

int feature_buf_lock(void)
{
	return sockopt(AF_INET, SOL_SOCKET, BUF_LOCK);
}

int feature_ipv6_freebind(void)
{
	return sockopt(AF_INET6, IPPROTO_IPV6, V6_FREEBIND);
}
