/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that wait in netlink sockets.  What programs have sent is there again, in its order, as
 * from the same ports; of what the kernel tells many, uevents are there, and instead of other
 * events the program hears that it has missed some (ENOBUFS).  In a network namespace of its own.
 */
#include "cr.h"

#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#define DEVICE	"crq0"
#define UDEV	2u /* mask of the group that udevd tells of uevents */
#define LONG	50000
#define PORT_A	0x70000001u
#define PORT_B	0x70000002u
#define PORT_UD 0x70000003u

static char buf[65536];

static int open_at(int protocol, unsigned port, unsigned groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, protocol), one = 1;

	if (fd < 0)
		skip("no netlink sockets of this protocol");
	check(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	return fd;
}

static void send_to(int fd, unsigned port, unsigned groups, const void *data, size_t len)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};

	check(sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len,
	      "errno %d", errno);
}

/* -1: nothing, or an error. */
static ssize_t get(int fd, struct sockaddr_nl *from, struct ucred *cred)
{
	char control[CMSG_SPACE(sizeof(*cred))];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {.msg_name = from,
			   .msg_namelen = sizeof(*from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, 0);

	if (n >= 0 && CMSG_FIRSTHDR(&m))
		memcpy(cred, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*cred));
	return n;
}

static void comes(int fd, const char *text, size_t len, unsigned port, unsigned groups)
{
	struct sockaddr_nl from;
	struct ucred cred = {0};
	ssize_t n = get(fd, &from, &cred);

	check(n == (ssize_t)len, "%s: %zd bytes, errno %d", text, n, errno);
	check(memcmp(buf, text, strlen(text)) == 0, "%s: %.20s", text, buf);
	check(from.nl_pid == port && from.nl_groups == groups, "%s: from %u, groups %#x", text,
	      from.nl_pid, from.nl_groups);
	check(cred.pid == getpid() && cred.uid == getuid(), "%s: of %d, user %u", text, cred.pid,
	      cred.uid);
}

static void is_empty(int fd)
{
	struct sockaddr_nl from;
	struct ucred cred;
	ssize_t n = get(fd, &from, &cred);

	check(n == -1 && errno == EAGAIN, "%zd bytes, errno %d", n, errno);
}

static void change_lo(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	check(ioctl(s, SIOCGIFFLAGS, &r) == 0, "errno %d", errno);
	r.ifr_flags ^= IFF_UP;
	check(ioctl(s, SIOCSIFFLAGS, &r) == 0, "errno %d", errno);
	close(s);
}

static void make_uevents(void)
{
	struct ifreq r = {.ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		skip("no /dev/net/tun");
	close(fd);
}

/* Those of our device; others come from all of the machine. */
static void find_uevents(int fd)
{
	static const char *const actions[] = {"add@", "remove@"};
	unsigned found = 0;
	struct sockaddr_nl from;
	struct ucred cred;
	ssize_t n;

	while (found < 2 && (n = get(fd, &from, &cred)) > 0) {
		if (strncmp(buf, actions[found], strlen(actions[found])) != 0 ||
		    !strstr(buf, "/net/" DEVICE) || strstr(buf, "/queues/"))
			continue;
		check(from.nl_pid == 0 && from.nl_groups == 1, "from %u, groups %#x", from.nl_pid,
		      from.nl_groups);
		check(cred.uid == 0, "user %u", cred.uid);
		check(memmem(buf, (size_t)n, "\0SEQNUM=", 8), "%s: no number", buf);
		check(memmem(buf, (size_t)n, "\0SUBSYSTEM=net", 15), "%s: no subsystem", buf);
		found++;
	}
	check(found == 2, "%u uevents, errno %d", found, errno);
}

/* What was there, or that it was missed; and what comes now. */
static void goes_on(int fd, bool missed)
{
	struct sockaddr_nl from;
	struct ucred cred;
	ssize_t n = get(fd, &from, &cred);

	check(n > 0 ? !missed : errno == ENOBUFS, "%zd bytes, errno %d", n, errno);
	while ((n = get(fd, &from, &cred)) > 0)
		check(from.nl_pid == 0);
	check(errno == EAGAIN, "errno %d", errno);
	change_lo();
	n = get(fd, &from, &cred);
	check(n > 0 && ((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWLINK, "%zd, errno %d", n,
	      errno);
	check(from.nl_pid == 0 && from.nl_groups == RTMGRP_LINK, "from %u, groups %#x", from.nl_pid,
	      from.nl_groups);
}

static int events, full, a, b, one, two, udevd, uevents;

/* In a child: nothing of this is to happen in the network namespace that the runner is in. */
static int make(void)
{
	static char large[LONG] = "large";
	struct sockaddr_nl peer = {.nl_family = AF_NETLINK, .nl_pid = PORT_A};
	int gone, least = 0;

	if (unshare(CLONE_NEWNET) < 0)
		skip("no network namespaces");
	events = open_at(NETLINK_ROUTE, 0, RTMGRP_LINK);
	full = open_at(NETLINK_ROUTE, 0, RTMGRP_LINK);
	check(setsockopt(full, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) == 0);
	uevents = open_at(NETLINK_KOBJECT_UEVENT, 0, 1);
	for (int i = 0; i < 10; i++)
		change_lo();
	make_uevents();

	a = open_at(NETLINK_USERSOCK, PORT_A, 0);
	b = open_at(NETLINK_USERSOCK, PORT_B, 0);
	check(connect(b, (struct sockaddr *)&peer, sizeof(peer)) == 0);
	send_to(a, PORT_B, 0, "first", 6);
	send_to(a, PORT_B, 0, large, sizeof(large));
	send_to(a, PORT_B, 0, "third", 6);
	send_to(b, PORT_A, 0, "back", 5);

	one = open_at(NETLINK_KOBJECT_UEVENT, 0, UDEV);
	two = open_at(NETLINK_KOBJECT_UEVENT, 0, UDEV);
	udevd = open_at(NETLINK_KOBJECT_UEVENT, PORT_UD, 0);
	gone = open_at(NETLINK_KOBJECT_UEVENT, PORT_UD + 1, 0);
	send_to(udevd, 0, UDEV, "libudev", 8);
	send_to(gone, 0, UDEV, "of one that has gone", 21);
	close(gone);
	return 0;
}

static int verify(void)
{
	goes_on(events, false);
	goes_on(full, true);
	find_uevents(uevents);
	comes(b, "first", 6, PORT_A, 0);
	comes(b, "large", LONG, PORT_A, 0);
	comes(b, "third", 6, PORT_A, 0);
	is_empty(b);
	comes(a, "back", 5, PORT_B, 0);
	is_empty(a);
	for (int i = 0; i < 2; i++) {
		comes(i ? two : one, "libudev", 8, PORT_UD, UDEV);
		comes(i ? two : one, "of one that has gone", 21, PORT_UD + 1, UDEV);
		is_empty(i ? two : one);
	}
	send_to(udevd, 0, UDEV, "more", 5);
	comes(two, "more", 5, PORT_UD, UDEV);
	comes(one, "more", 5, PORT_UD, UDEV);
	return 0;
}

int main(void)
{
	struct child c = child_start(make, verify);

	ready();
	child_go(&c);
	return ok();
}
