/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of link-local addresses (IPv6), which mean something at one device only. */
#include "cr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in6 at(int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
				 .sin6_port = htons((uint16_t)port),
				 .sin6_scope_id = if_nametoindex("lo")};

	check(inet_pton(AF_INET6, "fe80::77", &a.sin6_addr) == 1);
	return a;
}

static void give_address(int fd)
{
	struct { /* linux/ipv6.h: struct in6_ifreq */
		struct in6_addr addr;
		uint32_t prefix;
		int index;
	} six = {.addr = at(0).sin6_addr, .prefix = 64, .index = (int)if_nametoindex("lo")};
	struct ifreq lo = {.ifr_name = "lo"};

	check(ioctl(fd, SIOCGIFFLAGS, &lo) == 0);
	lo.ifr_flags |= IFF_UP;
	check(ioctl(fd, SIOCSIFFLAGS, &lo) == 0, "errno %d", errno);
	check(ioctl(fd, SIOCSIFADDR, &six) == 0, "errno %d", errno);
}

static void is_there(const struct sockaddr_in6 *a)
{
	struct sockaddr_in6 want = at(0);

	check(!memcmp(&a->sin6_addr, &want.sin6_addr, sizeof(want.sin6_addr)) &&
		      a->sin6_scope_id == want.sin6_scope_id,
	      "device %u", a->sin6_scope_id);
}

static void names(int fd, bool peer)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	is_there(&a);
	check(!peer || getpeername(fd, (struct sockaddr *)&a, &len) == 0, "errno %d", errno);
	is_there(&a);
}

int main(void)
{
	int heard = socket(AF_INET6, SOCK_DGRAM, 0), connected = socket(AF_INET6, SOCK_DGRAM, 0);
	int listens = socket(AF_INET6, SOCK_STREAM, 0), caller;
	struct sockaddr_in6 udp = at(5077), tcp = at(6077);
	char b[8];

	give_address(heard);
	/* a worker of the kernel takes the address into use (addrconf_dad_work()) */
	for (int i = 0; bind(heard, (struct sockaddr *)&udp, sizeof(udp)) < 0; i++) {
		check(errno == EADDRNOTAVAIL && i < 1500, "errno %d", errno);
		usleep(10000);
	}
	check(connect(connected, (struct sockaddr *)&udp, sizeof(udp)) == 0, "errno %d", errno);
	check(bind(listens, (struct sockaddr *)&tcp, sizeof(tcp)) == 0 && listen(listens, 3) == 0);
	ready();
	names(heard, false);
	names(connected, true);
	names(listens, false);
	check(send(connected, "text", 4, 0) == 4, "errno %d", errno);
	check(recv(heard, b, sizeof(b), 0) == 4 && !memcmp(b, "text", 4));
	caller = socket(AF_INET6, SOCK_STREAM, 0);
	check(connect(caller, (struct sockaddr *)&tcp, sizeof(tcp)) == 0, "errno %d", errno);
	check(accept(listens, NULL, NULL) >= 0);
	return ok();
}
