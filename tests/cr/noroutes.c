/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of datagrams that are connected to where no route leads any more, one bound to an address
 * that nobody has now: they keep both addresses, and hear from there what comes once there is a
 * way.
 */
#include "cr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in at(const char *text, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	check(inet_pton(AF_INET, text, &a.sin_addr) == 1);
	return a;
}

/* An address of the loopback device, as a second name of it. */
static void address(int fd, const char *text, bool up)
{
	struct sockaddr_in a = at(text, 0), mask = at("255.255.255.0", 0);
	struct ifreq i = {.ifr_name = "lo:1"};

	memcpy(&i.ifr_addr, &a, sizeof(a));
	if (up) {
		check(ioctl(fd, SIOCSIFADDR, &i) == 0, "errno %d", errno);
		memcpy(&i.ifr_netmask, &mask, sizeof(mask));
		check(ioctl(fd, SIOCSIFNETMASK, &i) == 0, "errno %d", errno);
		return;
	}
	i.ifr_flags = 0;
	check(ioctl(fd, SIOCSIFFLAGS, &i) == 0, "errno %d", errno);
}

static void verify(int fd, const char *mine, const char *its)
{
	struct sockaddr_in a, want = at(mine, 0);
	socklen_t len = sizeof(a);
	char device[IFNAMSIZ] = "";

	check(getsockname(fd, (void *)&a, &len) == 0);
	check(a.sin_addr.s_addr == want.sin_addr.s_addr, "%s", inet_ntoa(a.sin_addr));
	want = at(its, 0);
	len = sizeof(a);
	check(getpeername(fd, (void *)&a, &len) == 0, "errno %d", errno);
	check(a.sin_addr.s_addr == want.sin_addr.s_addr && a.sin_port == htons(9));
	len = sizeof(device);
	check(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && len == 0, "%s",
	      device);
	check(send(fd, "x", 1, 0) < 0 && (errno == ENETUNREACH || errno == EINVAL), "errno %d",
	      errno);
}

/* The same of IPv6: struct in6_ifreq. */
static void address6(int fd, const char *text, bool up)
{
	struct {
		struct in6_addr addr;
		uint32_t prefix;
		int index;
	} r = {.prefix = 64, .index = 1};

	check(inet_pton(AF_INET6, text, &r.addr) == 1);
	check(ioctl(fd, up ? SIOCSIFADDR : SIOCDIFADDR, &r) == 0, "errno %d", errno);
}

static struct sockaddr_in6 at6(const char *text, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	check(inet_pton(AF_INET6, text, &a.sin6_addr) == 1);
	return a;
}

static void verify6(int fd)
{
	struct sockaddr_in6 a, mine = at6("fd77::1", 7006), its = at6("fd77::2", 9);
	socklen_t len = sizeof(a);

	check(getsockname(fd, (void *)&a, &len) == 0 &&
	      !memcmp(&a.sin6_addr, &mine.sin6_addr, sizeof(a.sin6_addr)) &&
	      a.sin6_port == mine.sin6_port);
	check(getpeername(fd, (void *)&a, &len) == 0 &&
	      !memcmp(&a.sin6_addr, &its.sin6_addr, sizeof(a.sin6_addr)) &&
	      a.sin6_port == its.sin6_port);
	check(send(fd, "x", 1, 0) < 0 && (errno == ENETUNREACH || errno == EADDRNOTAVAIL),
	      "errno %d", errno);
}

static int connected6(void)
{
	struct sockaddr_in6 mine = at6("fd77::1", 7006), its = at6("fd77::2", 9);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	address6(fd, "fd77::1", true);
	while (bind(fd, (void *)&mine, sizeof(mine)) < 0) { /* addrconf_dad_work() is a task's */
		check(errno == EADDRNOTAVAIL, "errno %d", errno);
		usleep(1000);
	}
	check(connect(fd, (void *)&its, sizeof(its)) == 0, "errno %d", errno);
	address6(fd, "fd77::1", false);
	verify6(fd);
	return fd;
}

int main(void)
{
	int bound = socket(AF_INET, SOCK_DGRAM, 0), any = socket(AF_INET, SOCK_DGRAM, 0), from;
	struct sockaddr_in mine = at("10.77.0.1", 7006), its = at("10.77.0.2", 9), a;
	socklen_t len = sizeof(a);
	int six = connected6();
	char b[4], text[32];

	address(bound, "10.77.0.1", true);
	check(bind(bound, (void *)&mine, sizeof(mine)) == 0, "errno %d", errno);
	check(connect(bound, (void *)&its, sizeof(its)) == 0, "errno %d", errno);
	check(connect(any, (void *)&its, sizeof(its)) == 0, "errno %d", errno);
	check(getsockname(any, (void *)&a, &len) == 0);
	snprintf(text, sizeof(text), "%s", inet_ntoa(a.sin_addr));
	address(bound, "10.77.0.1", false);
	verify(bound, "10.77.0.1", "10.77.0.2");
	ready();
	verify6(six);
	verify(bound, "10.77.0.1", "10.77.0.2");
	verify(any, text, "10.77.0.2");
	address(bound, "10.77.0.1", true);
	from = socket(AF_INET, SOCK_DGRAM, 0);
	check(bind(from, (void *)&its, sizeof(its)) == 0, "errno %d", errno);
	check(sendto(from, "hi", 2, 0, (void *)&mine, sizeof(mine)) == 2, "errno %d", errno);
	check(recv(bound, b, sizeof(b), 0) == 2);
	check(send(bound, "ho", 2, 0) == 2, "errno %d", errno);
	check(recv(from, b, sizeof(b), 0) == 2);
	return ok();
}
