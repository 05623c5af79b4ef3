/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/rtnl.h"

#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIST_BYTES (32u << 10) /* net/netlink/af_netlink.c: netlink_dump() */

static unsigned next_seq(void)
{
	static unsigned seq;

	return ++seq;
}

int rtnl_open(int *ret_sock)
{
	int on = 1;

	*ret_sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (*ret_sock < 0)
		return err_errno("rtnetlink");
	/* reasons in words, and filters that are checked; both may be unknown */
	(void)setsockopt(*ret_sock, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	return 0;
}

struct each {
	int (*fn)(const struct nlmsghdr *h, void *arg);
	void *arg;
	int result;
};

static int one(const struct nlmsghdr *h, void *arg)
{
	struct each *e = arg;

	e->result = e->fn(h, e->arg);
	return e->result < 0 ? MNL_CB_STOP : MNL_CB_OK;
}

int rtnl_list(int sock, unsigned type, unsigned char family,
	      int (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
	/* the largest head; what is beyond a shorter one is zero */
	const struct ifinfomsg head = {.ifi_family = family};

	return rtnl_list_with(sock, type, &head, sizeof(head), fn, arg);
}

int rtnl_list_with(int sock, unsigned type, const void *head, size_t len,
		   int (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
	g_autofree char *buf = g_malloc(LIST_BYTES);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct each e = {.fn = fn, .arg = arg};
	unsigned seq = next_seq();
	int r = MNL_CB_OK;

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	memcpy(mnl_nlmsg_put_extra_header(h, len), head, len);
	if (send(sock, h, h->nlmsg_len, 0) < 0)
		return err_errno("rtnetlink");
	while (r == MNL_CB_OK) {
		ssize_t n = recv(sock, buf, LIST_BYTES, 0);

		if (n < 0)
			return err_errno("rtnetlink");
		r = mnl_cb_run(buf, (size_t)n, seq, 0, one, &e);
		if (e.result < 0)
			return e.result;
	}
	return r < 0 ? err_errno("rtnetlink, list %u", type) : 0;
}

struct nlmsghdr *rtnl_begin(char *buf, unsigned type, unsigned flags, const void *head, size_t len)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	memcpy(mnl_nlmsg_put_extra_header(h, len), head, len);
	return h;
}

/* NLMSGERR_ATTR_MSG, behind the error and, without NLM_F_CAPPED, the request. */
static const char *reason(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	size_t skip = sizeof(*e);
	const struct nlattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	mnl_attr_for_each(a, h, skip)
	{
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			return mnl_attr_get_str(a);
	}
	return NULL;
}

int rtnl_ask(int sock, struct nlmsghdr *h, const char *what)
{
	g_autofree char *buf = g_malloc(LIST_BYTES);
	const struct nlmsghdr *answer = (const struct nlmsghdr *)(void *)buf;
	const char *why;
	ssize_t n;
	int e;

	h->nlmsg_seq = next_seq();
	if (send(sock, h, h->nlmsg_len, 0) < 0)
		return err_errno("%s", what);
	do
		n = recv(sock, buf, LIST_BYTES, 0);
	while (n > 0 && answer->nlmsg_seq != h->nlmsg_seq);
	if (n < 0)
		return err_errno("%s", what);
	if (answer->nlmsg_type != NLMSG_ERROR)
		return err_set(EPROTO, "%s: unexpected answer %u", what, answer->nlmsg_type);
	e = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(answer))->error;
	if (e == 0)
		return 0;
	why = reason(answer);
	return why ? err_code(e, "%s: %s", what, why) : err_code(e, "%s", what);
}

int rtnl_nsid(int sock, int ns, int *ret)
{
	struct rtgenmsg head = {0};
	char buf[RTNL_BYTES];
	struct nlmsghdr *h = rtnl_begin(buf, RTM_GETNSID, 0, &head, sizeof(head));
	const struct nlattr *a[NETNSA_MAX + 1];
	unsigned seq = h->nlmsg_seq = next_seq();
	ssize_t n;

	h->nlmsg_flags = NLM_F_REQUEST; /* the answer is one message */
	mnl_attr_put_u32(h, NETNSA_FD, (uint32_t)ns);
	if (send(sock, h, h->nlmsg_len, 0) < 0)
		return err_errno("RTM_GETNSID");
	do
		n = recv(sock, buf, sizeof(buf), 0);
	while (n > 0 && h->nlmsg_seq != seq);
	if (n < 0 || h->nlmsg_type != RTM_NEWNSID)
		return err_set(EPROTO, "RTM_GETNSID: unexpected answer %u", h->nlmsg_type);
	rtnl_attrs(h, sizeof(head), a, NETNSA_MAX);
	*ret = a[NETNSA_NSID] ? (int)mnl_attr_get_u32(a[NETNSA_NSID]) : -1;
	return 0;
}

void rtnl_attrs(const struct nlmsghdr *h, size_t head, const struct nlattr **v, unsigned max)
{
	const struct nlattr *a;

	memset(v, 0, (max + 1) * sizeof(*v));
	mnl_attr_for_each(a, h, head)
	{
		if (mnl_attr_get_type(a) <= max)
			v[mnl_attr_get_type(a)] = a;
	}
}

void rtnl_nested(const struct nlattr *nest, const struct nlattr **v, unsigned max)
{
	const struct nlattr *a;

	memset(v, 0, (max + 1) * sizeof(*v));
	if (!nest)
		return;
	mnl_attr_for_each_nested(a, nest)
	{
		if (mnl_attr_get_type(a) <= max)
			v[mnl_attr_get_type(a)] = a;
	}
}
