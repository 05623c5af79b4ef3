/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets: their port, groups and options; they answer. */
#include "cr.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static unsigned port_of(int fd, unsigned *ret_groups)
{
	struct sockaddr_nl a;
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*ret_groups = a.nl_groups;
	return a.nl_pid;
}

static void ask(int fd)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = RTM_GETLINK,
		     .nlmsg_flags = NLM_F_REQUEST},
	       .i = {.ifi_index = 1}};
	static char buf[65536];

	check(send(fd, &q, sizeof(q), 0) == sizeof(q), "errno %d", errno);
	check(recv(fd, buf, sizeof(buf), 0) > 0, "errno %d", errno);
	check(((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWLINK);
}

int main(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int bound = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), v = 1;
	int fresh = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
	int uevent = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
	unsigned port, groups, port2, groups2;
	socklen_t len = sizeof(v);

	check(bind(bound, (struct sockaddr *)&a, sizeof(a)) == 0);
	check(setsockopt(bound, SOL_NETLINK, NETLINK_EXT_ACK, &v, sizeof(v)) == 0);
	port = port_of(bound, &groups);
	ready();
	check(getsockopt(uevent, SOL_SOCKET, SO_TYPE, &v, &(socklen_t){sizeof(v)}) == 0 &&
		      v == SOCK_DGRAM,
	      "type %d", v);
	port2 = port_of(bound, &groups2);
	check(port2 == port && groups2 == groups, "port %u, groups %#x", port2, groups2);
	v = 0;
	check(getsockopt(bound, SOL_NETLINK, NETLINK_EXT_ACK, &v, &len) == 0 && v == 1);
	ask(bound);
	check(fcntl(fresh, F_GETFL) & O_NONBLOCK);
	ask(fresh);
	check(uevent >= 0);
	return ok();
}
