/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of a listening socket, from a peer that is nowhere. */
#include "kernel/born.h"
#include "kernel/diag.h"
#include "kernel/kernel_test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MARK	   77
#define PEER	   0x7f090909u /* 127.9.9.9 */
#define PEERS_PORT 4711

static uint16_t checksum(const struct iphdr *ip, const struct tcphdr *t)
{
	const uint16_t *addrs = (const void *)&ip->saddr, *words = (const void *)t;
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(*t));

	for (unsigned i = 0; i < 4; i++)
		sum += addrs[i];
	for (unsigned i = 0; i < sizeof(*t) / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void send_segment(int raw, uint16_t port, uint32_t seq, uint32_t ack)
{
	struct {
		struct iphdr ip;
		struct tcphdr t;
	} p = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP},
		.t = {.th_sport = htons(PEERS_PORT),
		      .th_seq = htonl(seq),
		      .th_ack = htonl(ack),
		      .th_off = 5,
		      .th_flags = TH_ACK,
		      .th_win = htons(100)},
	};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	p.t.th_dport = port;
	p.ip.tot_len = htons(sizeof(p));
	p.ip.saddr = htonl(PEER);
	p.ip.daddr = to.sin_addr.s_addr;
	p.t.th_sum = checksum(&p.ip, &p.t);
	assert_int_equal(sendto(raw, &p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(p));
}

static int listener(struct sockaddr_in *a)
{
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(l, (struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(listen(l, 5), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)a, &len), 0);
	return l;
}

static void new_network(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int s;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &up), 0);
	close(s);
}

static int number(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &v, &len), 0);
	return v;
}

static void is_what_was_said(int c)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);
	int on = TCP_REPAIR_ON, queue = TCP_SEND_QUEUE;

	assert_int_equal(getsockopt(c, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	assert_int_equal(i.tcpi_options, TCPI_OPT_WSCALE | TCPI_OPT_SACK | TCPI_OPT_TIMESTAMPS);
	assert_int_equal(i.tcpi_snd_wscale, 3);
	assert_int_equal(i.tcpi_rcv_wscale, 5);
	assert_in_range((uint32_t)number(c, TCP_TIMESTAMP), 0x11000000, 0x11000000 + 60000);
	assert_int_equal(setsockopt(c, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)), 0);
	assert_int_equal(number(c, TCP_MAXSEG), 1111);
	setsockopt(c, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	assert_int_equal((uint32_t)number(c, TCP_QUEUE_SEQ), 0xcafe0001);
	queue = TCP_RECV_QUEUE;
	setsockopt(c, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	assert_int_equal((uint32_t)number(c, TCP_QUEUE_SEQ), 0xfffffff0);
}

static void makes_what_it_is_told(void **state)
{
	const struct born_child child = {.their_time = 1,
					 .our_time = 0x11000000,
					 .mss = 1111,
					 .snd_wscale = 3,
					 .rcv_wscale = 5,
					 .wscale = true,
					 .sack = true,
					 .timestamps = true};
	struct born_segment s = {.family = AF_INET,
				 .mark = MARK,
				 .from = PEERS_PORT,
				 .seq = 0xfffffff0,
				 .ack = 0xcafe0001};
	CLEANUP(btf_close) struct btf *types = NULL;
	CLEANUP(born_close) struct born *b = NULL;
	autoclose int ns = -1, raw = -1, l = -1, c = -1;
	struct sockaddr_in a;
	int mark = MARK, r;

	new_network();
	ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	r = btf_open(&types);
	if (r == 0)
		r = born_open(types, ns, &b);
	if (r == -EOPNOTSUPP) {
		print_message("skipped: %s\n", err_message());
		err_clear();
		skip();
	}
	assert_int_equal(r, 0);
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	assert_int_equal(setsockopt(raw, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	l = listener(&a);
	assert_int_equal(born_listener(b, l), 0);
	s.to = ntohs(a.sin_port);
	assert_int_equal(born_expect(b, &child, &s), 0);
	send_segment(raw, a.sin_port, s.seq + 1, s.ack); /* another one */
	assert_int_equal(born_done(b), 1);
	send_segment(raw, a.sin_port, s.seq, s.ack);
	for (int i = 0; i < 10000 && born_done(b) == 1; i++)
		usleep(1000);
	assert_int_equal(born_done(b), 0);
	for (int i = 0; i < 10000 && c < 0; i++, usleep(1000))
		c = accept(l, NULL, NULL);
	assert_true(c >= 0);
	is_what_was_said(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_what_it_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
