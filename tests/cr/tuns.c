/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun and tap devices: with queues, one of them detached, addresses, offloads, packets that wait,
 * and what is not attached yet; of the same names in a network namespace inside.
 */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <linux/udp.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int any(int flags)
{
	int fd = open("/dev/net/tun", O_RDWR | flags);

	if (fd < 0)
		skip("no /dev/net/tun");
	return fd;
}

static int attach(int fd, const char *name, int flags)
{
	struct ifreq r = {.ifr_flags = (short)flags};

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &r);
}

static int opened(const char *name, int flags)
{
	int fd = any(0);

	check(attach(fd, name, flags) == 0, "%s: errno %d", name, errno);
	return fd;
}

static void queue(int fd, int what)
{
	struct ifreq r = {.ifr_flags = (short)what};

	check(ioctl(fd, TUNSETQUEUE, &r) == 0, "errno %d", errno);
}

static void is(int fd, const char *name, int flags)
{
	struct ifreq r = {0};

	check(ioctl(fd, TUNGETIFF, &r) == 0 && !strcmp(r.ifr_name, name), "%s, errno %d",
	      r.ifr_name, errno);
	check((r.ifr_flags & flags) == flags, "%#x", (unsigned)r.ifr_flags);
}

static void set_address(const char *dev, const char *text)
{
	struct ifreq r = {0};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(text)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r.ifr_name, dev, IFNAMSIZ - 1);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	check(ioctl(s, SIOCSIFADDR, &r) == 0, "errno %d", errno);
	a.sin_addr.s_addr = inet_addr("255.255.255.0");
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	check(ioctl(s, SIOCSIFNETMASK, &r) == 0);
	r.ifr_mtu = 1300;
	check(ioctl(s, SIOCSIFMTU, &r) == 0);
	r.ifr_flags = IFF_UP;
	check(ioctl(s, SIOCSIFFLAGS, &r) == 0);
	close(s);
}

static void add_route(const char *dev, const char *net)
{
	struct rtentry e = {.rt_flags = RTF_UP, .rt_dev = (char *)dev};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(net)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(&e.rt_dst, &a, sizeof(a));
	a.sin_addr.s_addr = inet_addr("255.255.255.0");
	memcpy(&e.rt_genmask, &a, sizeof(a));
	check(ioctl(s, SIOCADDRT, &e) == 0, "errno %d", errno);
	close(s);
}

static void hwaddr(const char *dev, unsigned char ret[6])
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r.ifr_name, dev, IFNAMSIZ - 1);
	check(ioctl(s, SIOCGIFHWADDR, &r) == 0, "%s: errno %d", dev, errno);
	memcpy(ret, r.ifr_hwaddr.sa_data, 6);
	close(s);
}

static char packet[70000];

/* The next packet that ends with TEXT; others may send as well. */
static ssize_t comes(int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < 50; i++) {
		ssize_t n;

		check(poll(&p, 1, 15000) == 1, "%s does not come", text);
		n = read(fd, packet, sizeof(packet));
		if (n > (ssize_t)strlen(text) &&
		    !memcmp(packet + n - strlen(text), text, strlen(text)))
			return n;
	}
	check(0, "%s does not come", text);
	return 0;
}

/* In datagrams of SEGMENT each, if that is not 0. */
static void send_it(const char *address, const void *data, size_t len, int segment)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr(address)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	check(!segment || setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0);
	check(sendto(s, data, len, 0, (struct sockaddr *)&a, sizeof(a)) > 0, "errno %d", errno);
	close(s);
}

/* A datagram to ADDRESS comes out of the device. */
static void carries(int fd, const char *address, const char *text)
{
	send_it(address, text, strlen(text), 0);
	comes(fd, text);
}

#define LARGE	4000
#define SEGMENT 1000

/* One that the program does more for: checksums, and large ones if USO. */
static bool uso;

static int open_offloaded(void)
{
	int fd = opened("crtun5", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);

	uso = ioctl(fd, TUNSETOFFLOAD,
		    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | 0x60 /* TUN_F_USO* */) == 0;
	check(uso || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0);
	set_address("crtun5", "10.231.5.1");
	return fd;
}

static void send_offloaded(void)
{
	static char large[LARGE];

	memset(large, 'x', sizeof(large));
	memcpy(large + sizeof(large) - 5, "large", 5);
	send_it("10.231.5.2", "small", 5, 0);
	send_it("10.231.5.2", large, sizeof(large), SEGMENT);
}

static void is_offloaded(int fd)
{
	const struct virtio_net_hdr *h = (void *)packet;
	ssize_t n = comes(fd, "small");

	check(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, "flags %#x", h->flags);
	n = comes(fd, "large");
	check(!uso || (n > LARGE && h->gso_size == SEGMENT), "%zd bytes, in %u", n, h->gso_size);
}

static int inside, inside_fresh;

static int make_inside(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	inside = opened("crtun0", IFF_TUN | IFF_NO_PI);
	opened("crtap7", IFF_TAP);
	inside_fresh = any(0);
	set_address("crtun0", "10.231.9.1");
	send_it("10.231.9.2", "waits inside", 12, 0);
	return 0;
}

static int verify_inside(void)
{
	is(inside, "crtun0", IFF_TUN | IFF_NO_PI);
	comes(inside, "waits inside");
	carries(inside, "10.231.9.2", "inside");
	check(if_nametoindex("crtap7") && !if_nametoindex("crtap0"));
	check(attach(inside_fresh, "crtun9", IFF_TUN) == 0, "errno %d", errno);
	check(if_nametoindex("crtun9"), "it is of this namespace");
	return 0;
}

/* As sysfs has it, if that is here. */
static int owner_of(const char *dev)
{
	char path[64], text[16] = "";
	int fd, owner = -2;

	snprintf(path, sizeof(path), "/sys/class/net/%s/owner", dev);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		owner = atoi(text);
	close(fd);
	return owner;
}

int main(void)
{
	int fresh = any(O_NONBLOCK), tun = opened("crtun0", IFF_TUN | IFF_NO_PI),
	    q0 = opened("crtun1", IFF_TUN | IFF_MULTI_QUEUE),
	    q1 = opened("crtun1", IFF_TUN | IFF_MULTI_QUEUE),
	    tap = opened("crtap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), size = 12, room = 54321,
	    one = 1;
	unsigned char before[6], after[6];
	int owner;
	unsigned index = if_nametoindex("crtun0");
	struct ifreq r = {.ifr_name = "crtun0"};
	struct child c = child_start(make_inside, verify_inside);
	static const char *const waiting[] = {"first", "second", "third"};
	int offloaded = open_offloaded();

	queue(q1, IFF_DETACH_QUEUE);
	set_address("crtun0", "10.231.7.1");
	add_route("crtun0", "10.231.8.0");
	check(ioctl(tap, TUNSETVNETHDRSZ, &size) == 0 && ioctl(tap, TUNSETOWNER, 12) == 0);
	check(ioctl(tap, TUNSETSNDBUF, &room) == 0 && ioctl(tap, TUNSETVNETLE, &one) == 0);
	owner = owner_of("crtap0");
	check(owner == 12 || owner == -2, "%d", owner);
	hwaddr("crtap0", before);
	carries(tun, "10.231.7.2", "before");
	for (int i = 0; i < 3; i++)
		send_it("10.231.7.2", waiting[i], strlen(waiting[i]), 0);
	send_offloaded();
	ready();
	is(tun, "crtun0", IFF_TUN | IFF_NO_PI);
	for (int i = 0; i < 3; i++)
		comes(tun, waiting[i]);
	is_offloaded(offloaded);
	send_offloaded();
	is_offloaded(offloaded);
	check(if_nametoindex("crtun0") == index);
	carries(tun, "10.231.7.2", "after");
	carries(tun, "10.231.8.9", "by the route");
	check(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFMTU, &r) == 0 && r.ifr_mtu == 1300);
	is(q0, "crtun1", IFF_TUN | IFF_MULTI_QUEUE);
	is(q1, "crtun1", IFF_TUN | IFF_MULTI_QUEUE | IFF_DETACH_QUEUE);
	queue(q1, IFF_ATTACH_QUEUE);
	queue(q0, IFF_DETACH_QUEUE);
	is(tap, "crtap0", IFF_TAP | IFF_VNET_HDR);
	size = 0;
	check(ioctl(tap, TUNGETVNETHDRSZ, &size) == 0 && size == 12);
	room = one = 0;
	check(ioctl(tap, TUNGETSNDBUF, &room) == 0 && room == 54321, "%d", room);
	check(ioctl(tap, TUNGETVNETLE, &one) == 0 && one == 1);
	check(owner_of("crtap0") == owner, "%d", owner_of("crtap0"));
	hwaddr("crtap0", after);
	check(!memcmp(before, after, 6));
	check(fcntl(fresh, F_GETFL) & O_NONBLOCK);
	check(attach(fresh, "crtun2", IFF_TUN) == 0, "errno %d", errno);
	check(!if_nametoindex("crtun9"));
	child_go(&c);
	return ok();
}
