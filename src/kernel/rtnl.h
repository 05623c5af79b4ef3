/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink(7): lists and requests, one at a time. */
#pragma once

#include "base/err.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#define RTNL_BYTES 8192 /* of one request */

/* In our own network namespace; it stays there when we go elsewhere. */
int rtnl_open(int *ret_sock) MUST_CHECK;

/* Calls FN for each message of a list (RTM_GETLINK, ...); its error ends the list. */
int rtnl_list(int sock, unsigned type, unsigned char family,
	      int (*fn)(const struct nlmsghdr *h, void *arg), void *arg) MUST_CHECK;

/* The same with a HEAD of its own: to list what is marked by a flag in it. */
int rtnl_list_with(int sock, unsigned type, const void *head, size_t len,
		   int (*fn)(const struct nlmsghdr *h, void *arg), void *arg) MUST_CHECK;

/*
 * A request is begun in BUF (RTNL_BYTES), filled with mnl_attr_put*(), and asked.  rtnl_ask() gives
 * the kernel's errno, negative, described.
 */
struct nlmsghdr *rtnl_begin(char *buf, unsigned type, unsigned flags, const void *head, size_t len);
int rtnl_ask(int sock, struct nlmsghdr *h, const char *what) MUST_CHECK;

/* By which number the network namespace of SOCK knows NS (IFLA_LINK_NETNSID); -1: by none. */
int rtnl_nsid(int sock, int ns, int *ret) MUST_CHECK;

/* V[0..MAX] by type; NULL: it is not there. */
void rtnl_attrs(const struct nlmsghdr *h, size_t head, const struct nlattr **v, unsigned max);
void rtnl_nested(const struct nlattr *a, const struct nlattr **v, unsigned max);
