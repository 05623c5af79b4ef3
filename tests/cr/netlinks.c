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

/* Two sockets of programs; what one sends without an address goes to the other. */
static int heard, connected;

static void connect_two(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	unsigned groups;

	heard = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_USERSOCK);
	connected = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK);
	check(bind(heard, (struct sockaddr *)&a, sizeof(a)) == 0);
	a.nl_pid = port_of(heard, &groups);
	check(connect(connected, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
}

static void is_connected(void)
{
	struct sockaddr_nl a = {0};
	socklen_t len = sizeof(a);
	unsigned groups;
	char b[8];

	check(getpeername(connected, (struct sockaddr *)&a, &len) == 0 &&
		      a.nl_pid == port_of(heard, &groups),
	      "port %u", a.nl_pid);
	check(send(connected, "text", 4, 0) == 4, "errno %d", errno);
	check(recv(heard, b, sizeof(b), 0) == 4 && !memcmp(b, "text", 4), "errno %d", errno);
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
	connect_two();
	ready();
	is_connected();
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
