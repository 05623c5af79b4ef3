/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow labels that an IPv6 socket has leased (IPV6_FLOWLABEL_MGR).  /proc/net/ip6_flowlabel lists
 * those of a network namespace, not whose they are; where there are any, the kernel's memory tells.
 * They belong to a user or a process as well (net/ipv6/ip6_flowlabel.c: fl_create()): refused.
 */
#include "state/sock/inet.h"

#include "kernel/ns.h"
#include "kernel/peek.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define LABELS "/proc/thread-self/net/ip6_flowlabel"

/* 1: there are some. */
static int has_any(void *arg, int *ret_fd)
{
	autoclose int fd = open(LABELS, O_RDONLY | O_CLOEXEC);
	char buf[1024];
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	char *line;

	if (n <= 0)
		return 0;
	buf[n] = 0;
	line = strchr(buf, '\n'); /* behind the names of columns */
	return line && line[1] ? 1 : 0;
}

/* Once for each network namespace. */
static int may_have(struct dump *d, const struct sock_view *s)
{
	void *key = GUINT_TO_POINTER(s->ns), *known;
	autoclose int ns = -1;
	int r;

	if (!d->socks->labels)
		d->socks->labels = g_hash_table_new(NULL, NULL);
	if (g_hash_table_lookup_extended(d->socks->labels, key, NULL, &known))
		return GPOINTER_TO_INT(known);
	ns = ioctl(s->fd, SIOCGSKNS);
	r = ns < 0 ? err_errno("network namespace of %s", s->v->link)
		   : ns_run(&ns, 1, has_any, NULL, NULL);
	if (r >= 0)
		g_hash_table_insert(d->socks->labels, key, GINT_TO_POINTER(r));
	return r;
}

/* Since Linux 6.18 in struct inet_sock. */
static int read_list(struct peek *k, uint64_t sk, uint64_t *ret)
{
	uint64_t six;
	int r = peek_u64(k, sk, "inet_sock", "ipv6_fl_list", ret);

	if (r == 0)
		return 0;
	err_clear();
	r = peek_u64(k, sk, "inet_sock", "pinet6", &six);
	return r < 0 ? r : peek_u64(k, six, "ipv6_pinfo", "ipv6_fl_list", ret);
}

int flowlabel_check(struct dump *d, const struct sock_view *s)
{
	uint64_t sk, list = 0;
	struct peek *k;
	int r = s->family == AF_INET6 && !d->frozen ? may_have(d, s) : 0;

	if (r <= 0 || !dump_peek(d, &k))
		return MIN(r, 0);
	r = peek_sock(k, s->fd, &sk);
	if (r == 0)
		r = read_list(k, sk, &list);
	if (r < 0)
		err_clear(); /* another kernel's */
	if (!list)
		return 0;
	return err_set(
		EOPNOTSUPP,
		"%s: it has leased a flow label (IPV6_FLOWLABEL_MGR), which cannot be saved; "
		"release that (IPV6_FL_A_PUT) first",
		s->v->link);
}
