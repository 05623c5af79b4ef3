/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the kernel gives packets to: queues whose packets a program decides on (NFQUEUE), and groups
 * whose packets it is told of (NFLOG).  They are bound to the port of a netlink(7) socket and end
 * with it; /proc/net/netfilter lists them (net/netfilter/nfnetlink_queue.c: seq_show(), and
 * nfnetlink_log.c).  Lengths and flags (NFQA_CFG_FLAGS, NFQA_CFG_QUEUE_MAXLEN, NFULA_CFG_FLAGS,
 * NFULA_CFG_QTHRESH) are shown nowhere, and are what they are at first.
 */
#include "state/sock/netlink.h"

#include "kernel/ns.h"
#include "kernel/peek.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define LINE_MAX_  256
#define BOUND_MAX  1024
#define ANSWER_MAX 1024 /* with the question in it */

/* A kind.  Its lines: "number port waiting mode range", of a log also its timeout. */
struct table {
	const char *name, *key, *file;
	uint16_t configure; /* subsystem and message */
	uint16_t command, mode, timeout;
	uint8_t bind;
	size_t mode_bytes;
};
static const struct table tables[] = {
	{"NFQUEUE", "nfqueues", "/proc/thread-self/net/netfilter/nfnetlink_queue",
	 NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NFQA_CFG_CMD, NFQA_CFG_PARAMS, 0,
	 NFQNL_CFG_CMD_BIND, sizeof(struct nfqnl_msg_config_params)},
	{"NFLOG", "nflogs", "/proc/thread-self/net/netfilter/nfnetlink_log",
	 NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, NFULA_CFG_CMD, NFULA_CFG_MODE,
	 NFULA_CFG_TIMEOUT, NFULNL_CFG_CMD_BIND, sizeof(struct nfulnl_msg_config_mode)},
};

struct bound {
	uint32_t number, mode, range, timeout; /* TIMEOUT in 1/100 s */
};

static int open_table(void *arg, int *ret_fd)
{
	*ret_fd = open(arg, O_RDONLY | O_CLOEXEC);
	/* no such part of the kernel: nobody can be bound to it */
	return *ret_fd < 0 && errno != ENOENT ? err_errno("%s", (const char *)arg) : 0;
}

static void add_line(const char *line, uint32_t port, json_t *list)
{
	struct bound b;
	uint32_t its;

	if (sscanf(line, "%u %u %*u %u %u %u", &b.number, &its, &b.mode, &b.range, &b.timeout) ==
		    5 &&
	    its == port)
		json_array_append_new(list, json_pack("[I,I,I,I]", (json_int_t)b.number,
						      (json_int_t)b.mode, (json_int_t)b.range,
						      (json_int_t)b.timeout));
}

static int read_table(int ns, const struct table *t, uint32_t port, json_t *list)
{
	int fd = -1, r = ns_run(&ns, 1, open_table, (void *)t->file, &fd);
	char line[LINE_MAX_];
	FILE *f;

	if (r < 0 || fd < 0)
		return r;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return err_errno("%s", t->file);
	}
	while (fgets(line, sizeof(line), f) && json_array_size(list) < BOUND_MAX)
		add_line(line, port, list);
	fclose(f);
	return 0;
}

int netlink_packets_dump(const struct sock_view *s, uint32_t port, json_t *x)
{
	autoclose int ns = -1;
	int r = 0;

	if (s->protocol != NETLINK_NETFILTER || !port)
		return 0;
	ns = ioctl(s->fd, SIOCGSKNS);
	if (ns < 0)
		return err_errno("network namespace of %s", s->v->link);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(tables); i++) {
		json_t *list = json_array();

		r = read_table(ns, &tables[i], port, list);
		if (json_array_size(list))
			json_object_set(x, tables[i].key, list);
		json_decref(list);
	}
	return r;
}

bool netlink_is_packet(struct peek *k, uint64_t skb, int protocol)
{
	struct nlmsghdr h = {0};
	uint64_t data;
	int r = peek_u64(k, skb, "sk_buff", "data", &data);

	if (r == 0)
		r = peek_read(k, data, &h, sizeof(h));
	if (r < 0)
		err_clear();
	return protocol == NETLINK_NETFILTER &&
	       (h.nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
		h.nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET));
}

/* Asks, and takes the acknowledgement away again: nobody else has sent anything to FD yet. */
static int ask(int fd, const struct nlmsghdr *h)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	char buf[ANSWER_MAX];
	const struct nlmsghdr *a = (const void *)buf;
	ssize_t n;

	if (sendto(fd, h, h->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return err_errno("ask");
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return err_errno("no answer");
	if (n < (ssize_t)(NLMSG_HDRLEN + sizeof(struct nlmsgerr)) || a->nlmsg_type != NLMSG_ERROR)
		return err_set(EBADMSG, "the answer is another one");
	errno = -((const struct nlmsgerr *)NLMSG_DATA(a))->error;
	return errno ? err_errno("refused") : 0;
}

static int configure(int fd, const struct table *t, uint32_t number, uint16_t attr,
		     const void *data, size_t len)
{
	const struct nfgenmsg g = {.res_id = htons((uint16_t)number)};
	char buf[MNL_NLMSG_HDRLEN + 256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = t->configure;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	memcpy(mnl_nlmsg_put_extra_header(h, sizeof(g)), &g, sizeof(g));
	mnl_attr_put(h, attr, len, data);
	return ask(fd, h);
}

static int bind_again(int fd, const struct table *t, const struct bound *b)
{
	/* struct nf{qn,u}l_msg_config_cmd; both modes begin alike */
	const uint8_t command[4] = {t->bind};
	const struct nfulnl_msg_config_mode mode = {.copy_range = htonl(b->range),
						    .copy_mode = (uint8_t)b->mode};
	const uint32_t timeout = htonl(b->timeout);
	int r = configure(fd, t, b->number, t->command, command, sizeof(command));

	if (r == 0)
		r = configure(fd, t, b->number, t->mode, &mode, t->mode_bytes);
	if (r == 0 && t->timeout)
		r = configure(fd, t, b->number, t->timeout, &timeout, sizeof(timeout));
	return r;
}

int netlink_packets_restore(int fd, const json_t *x)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		const json_t *list = json_object_get(x, tables[i].key), *one;
		size_t k;

		json_array_foreach((json_t *)list, k, one)
		{
			json_int_t n, mode, range, timeout;
			struct bound b;
			int r;

			if (json_unpack((json_t *)one, "[I,I,I,I]", &n, &mode, &range, &timeout) <
			    0)
				return err_set(EBADMSG, "what it is bound to");
			b = (struct bound){(uint32_t)n, (uint32_t)mode, (uint32_t)range,
					   (uint32_t)timeout};
			r = bind_again(fd, &tables[i], &b);
			if (r < 0)
				return err_wrap(r, "%s %u", tables[i].name, b.number);
		}
	}
	return 0;
}
