/* SPDX-License-Identifier: Apache-2.0 */
/* packet(7): names, options, memberships, groups, filters, and rings that are mapped. */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#define PORT	 47110
#define BLOCK	 65536
#define GROUP	 4711
#define GROUP_LB (GROUP | PACKET_FANOUT_LB << 16)

static int bound(int type, int protocol)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
				.sll_protocol = htons((uint16_t)protocol),
				.sll_ifindex = (int)if_nametoindex("lo")};
	int fd = socket(AF_PACKET, type, 0);

	if (fd < 0 && errno == EPERM)
		skip("packet sockets are not allowed");
	check(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	return fd;
}

static void set(int fd, int name, int v)
{
	check(setsockopt(fd, SOL_PACKET, name, &v, sizeof(v)) == 0, "%d: errno %d", name, errno);
}

static int get(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	check(getsockopt(fd, SOL_PACKET, name, &v, &len) == 0, "%d: errno %d", name, errno);
	return v;
}

static void ring(int fd, int name, int version)
{
	struct tpacket_req3 q = {.tp_block_size = BLOCK,
				 .tp_block_nr = 2,
				 .tp_frame_size = 2048,
				 .tp_frame_nr = 2 * BLOCK / 2048,
				 .tp_retire_blk_tov = version == TPACKET_V3 ? 20 : 0};

	check(setsockopt(fd, SOL_PACKET, name, &q, sizeof(q)) == 0, "errno %d", errno);
}

static void membership(int fd, int option, int type)
{
	struct packet_mreq q = {.mr_ifindex = (int)if_nametoindex("lo"),
				.mr_type = (unsigned short)type};

	if (type == PACKET_MR_UNICAST)
		q.mr_alen = 6;
	check(setsockopt(fd, SOL_PACKET, option, &q, sizeof(q)) == 0, "%d: errno %d", option,
	      errno);
}

/* The kernel drops what nobody has joined without an error: how often a group is joined it tells.
 */
static void joins(int fd, int option)
{
	struct packet_mreq q = {.mr_ifindex = (int)if_nametoindex("lo"),
				.mr_type = PACKET_MR_MULTICAST,
				.mr_alen = 6,
				.mr_address = {1, 0, 0x5e, 0x7a, 0x51, 0x3c}};

	check(setsockopt(fd, SOL_PACKET, option, &q, sizeof(q)) == 0, "errno %d", errno);
}

static int joined(void)
{
	FILE *f = fopen("/proc/net/dev_mcast", "re");
	char line[200];
	int users = 0;

	check(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "01005e7a513c"))
			check(sscanf(line, "%*d lo %d", &users) == 1, "%s", line);
	fclose(f);
	return users;
}

/* UDP to PORT only. */
static void filter(int fd)
{
	struct sock_filter v[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)(SKF_NET_OFF + 9)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (unsigned)(SKF_NET_OFF + 22)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {.len = ARRAY_SIZE(v), .filter = v};

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == 0);
}

static void is_filtered(int fd)
{
	struct sock_filter v[7];
	socklen_t n = ARRAY_SIZE(v);

	check(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, v, &n) == 0 && n == 6 && v[3].k == PORT,
	      "a filter of %u", n);
}

static void send_one(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(PORT),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	check(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof(a)) > 0);
	close(fd);
}

static void is_bound(int fd, int protocol)
{
	struct sockaddr_ll a = {0};
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	check(a.sll_ifindex == (int)if_nametoindex("lo") && ntohs(a.sll_protocol) == protocol,
	      "%d, %#x", a.sll_ifindex, ntohs(a.sll_protocol));
}

static void receives(int fd, size_t headers, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char b[512];
	ssize_t n;

	check(poll(&p, 1, 15000) == 1, "nothing comes");
	n = recv(fd, b, sizeof(b), 0);
	check(n == (ssize_t)(headers + strlen(text)) && !memcmp(b + headers, text, strlen(text)),
	      "%zd", n);
}

int main(void)
{
	size_t ip = sizeof(struct iphdr) + sizeof(struct udphdr);
	int users, raw = bound(SOCK_RAW, ETH_P_IP), dgram = bound(SOCK_DGRAM, ETH_P_IP), members[2],
		   ring2, ring3, fresh = socket(AF_PACKET, SOCK_RAW, 0), old;
	struct sockaddr spkt = {.sa_family = AF_PACKET, .sa_data = "lo"};
	struct tpacket2_hdr *frame;
	struct tpacket_block_desc *block;
	unsigned char *map;
	socklen_t len = sizeof(spkt);
	struct pollfd p = {.events = POLLIN};

	filter(raw);
	filter(dgram);
	set(raw, PACKET_AUXDATA, 1);
	set(raw, PACKET_ORIGDEV, 1);
	set(raw, PACKET_IGNORE_OUTGOING, 1);
	set(dgram, PACKET_COPY_THRESH, 99);
	membership(raw, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC);
	membership(raw, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC);
	membership(dgram, PACKET_ADD_MEMBERSHIP, PACKET_MR_UNICAST);
	joins(dgram, PACKET_ADD_MEMBERSHIP);
	users = joined();
	for (int i = 0; i < 2; i++) {
		members[i] = bound(SOCK_RAW, ETH_P_IP);
		filter(members[i]);
		set(members[i], PACKET_FANOUT, GROUP_LB);
	}

	ring2 = socket(AF_PACKET, SOCK_RAW, 0);
	filter(ring2);
	set(ring2, PACKET_VERSION, TPACKET_V2);
	set(ring2, PACKET_RESERVE, 8);
	ring(ring2, PACKET_RX_RING, TPACKET_V2);
	ring(ring2, PACKET_TX_RING, TPACKET_V2);
	map = mmap(NULL, 4 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, ring2, 0);
	check(map != MAP_FAILED);
	ring3 = bound(SOCK_RAW, ETH_P_IP);
	filter(ring3);
	set(ring3, PACKET_VERSION, TPACKET_V3);
	ring(ring3, PACKET_RX_RING, TPACKET_V3);
	block = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, ring3, 0);
	check(block != MAP_FAILED);

	old = socket(AF_PACKET, SOCK_PACKET, htons(ETH_P_ARP));
	check(old >= 0 && bind(old, &spkt, sizeof(spkt)) == 0);

	ready();

	is_bound(raw, ETH_P_IP);
	is_bound(dgram, ETH_P_IP);
	check(get(raw, PACKET_AUXDATA) == 1 && get(raw, PACKET_ORIGDEV) == 1);
	check(get(raw, PACKET_IGNORE_OUTGOING) == 1 && get(dgram, PACKET_AUXDATA) == 0);
	check(users > 0 && joined() == users, "%d of %d", joined(), users);
	joins(dgram, PACKET_DROP_MEMBERSHIP);
	check(joined() == users - 1, "%d of %d", joined(), users);
	is_filtered(members[0]);
	is_filtered(ring2);
	membership(raw, PACKET_DROP_MEMBERSHIP, PACKET_MR_PROMISC);
	membership(raw, PACKET_DROP_MEMBERSHIP, PACKET_MR_PROMISC);
	membership(dgram, PACKET_DROP_MEMBERSHIP, PACKET_MR_UNICAST);
	check(get(members[0], PACKET_FANOUT) == GROUP_LB &&
	      get(members[1], PACKET_FANOUT) == GROUP_LB);
	check(get(raw, PACKET_FANOUT) == 0);
	check(get(ring2, PACKET_VERSION) == TPACKET_V2 && get(ring2, PACKET_RESERVE) == 8);
	check(get(ring3, PACKET_VERSION) == TPACKET_V3);
	memset(&spkt, 0, sizeof(spkt));
	check(getsockname(old, &spkt, &len) == 0 && strcmp(spkt.sa_data, "lo") == 0);

	send_one("packet");
	receives(raw, 14 + ip, "packet");
	receives(dgram, ip, "packet");
	p.fd = ring3;
	check(poll(&p, 1, 15000) == 1 && block->hdr.bh1.block_status & TP_STATUS_USER);
	check(block->hdr.bh1.num_pkts >= 1);
	is_bound(ring3, ETH_P_IP);

	/* it takes packets only from now on */
	{
		struct sockaddr_ll a = {.sll_family = AF_PACKET,
					.sll_protocol = htons(ETH_P_IP),
					.sll_ifindex = (int)if_nametoindex("lo")};

		check(bind(ring2, (struct sockaddr *)&a, sizeof(a)) == 0);
	}
	send_one("ring");
	p.fd = ring2;
	check(poll(&p, 1, 15000) == 1);
	frame = (struct tpacket2_hdr *)map;
	check(frame->tp_status & TP_STATUS_USER, "%#x", frame->tp_status);
	check(!memcmp(map + frame->tp_net + ip, "ring", 4));
	check(fresh >= 0);
	return ok();
}
