/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has for us, read from its memory. */
#include "kernel/kernel_test.h"
#include "kernel/peek.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct peek *k;

static int open_it(void **state)
{
	int r = peek_open(&k);

	if (r == -EOPNOTSUPP || r == -EPERM) {
		print_message("skipped: %s\n", err_message());
		err_clear();
		return 0;
	}
	return r;
}

static int close_it(void **state)
{
	peek_close(&k);
	return 0;
}

static void ring(int sig)
{
}

/* The kernel does not take a program while a signal is pending. */
static void is_there_also_for_whoever_gets_signals(void **state)
{
	const struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
	struct sigaction act = {.sa_handler = ring, .sa_flags = SA_RESTART}, old;
	struct peek *other = NULL;

	if (!k)
		skip();
	sigaction(SIGALRM, &act, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned i = 0; i < 10; i++) {
		int r = peek_open(&other);

		peek_close(&other);
		if (r < 0)
			setitimer(ITIMER_REAL, &never, NULL);
		assert_int_equal(r, 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
}

static int collect(struct peek *p, uint64_t skb, void *arg)
{
	return peek_skb_data(p, skb, arg);
}

/* Small ones are in one piece, large ones in many pages. */
static void reads_what_waits_in_a_socket(void **state)
{
	g_autoptr(GByteArray) got = g_byte_array_new();
	g_autofree char *large = g_malloc(100000);
	uint64_t sk, queue;
	char small[6];
	int v[2];

	if (!k)
		skip();
	for (unsigned i = 0; i < 100000; i++)
		large[i] = (char)(i * 7 + i / 251);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, v), 0);
	assert_int_equal(send(v[0], "small", 5, 0), 5);
	assert_int_equal(send(v[0], large, 100000, 0), 100000);
	assert_int_equal(peek_sock(k, v[1], &sk), 0);
	assert_int_equal(peek_at(k, sk, "sock", "sk_receive_queue", &queue), 0);
	assert_int_equal(peek_skbs(k, queue, collect, got), 0);
	assert_int_equal(got->len, 100005);
	assert_memory_equal(got->data, "small", 5);
	assert_memory_equal(got->data + 5, large, 100000);
	assert_int_equal(recv(v[1], small, 5, 0), 5); /* it is still there */
	close(v[0]);
	close(v[1]);
}

/* A datagram that came in pieces is a packet that consists of others: inet_frag_reasm_finish(). */
static void reads_a_packet_of_packets(void **state)
{
	g_autoptr(GByteArray) got = g_byte_array_new();
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct ifreq lo = {.ifr_name = "lo", .ifr_mtu = 1500};
	socklen_t len = sizeof(a);
	char data[20000];
	uint64_t sk, queue;
	int s, was;

	if (!k)
		skip();
	was = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(s, SIOCSIFMTU, &lo), 0);
	lo.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &lo), 0);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 251);
	assert_int_equal(sendto(s, data, sizeof(data), 0, (struct sockaddr *)&a, len),
			 sizeof(data));
	assert_int_equal(recv(s, data, 1, MSG_PEEK | MSG_TRUNC), sizeof(data)); /* it has come */
	assert_int_equal(peek_sock(k, s, &sk), 0);
	assert_int_equal(peek_at(k, sk, "udp_sock", "reader_queue", &queue), 0);
	assert_ok(peek_skbs(k, queue, collect, got));
	assert_int_equal(got->len, sizeof(data));
	assert_memory_equal(got->data, data, sizeof(data));
	assert_int_equal(setns(was, CLONE_NEWNET), 0);
	close(was);
	close(s);
}

static void knows_numbers_of_processes(void **state)
{
	uint64_t sk, at;
	pid_t pid;
	int v[2];

	if (!k)
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, v), 0);
	assert_int_equal(peek_sock(k, v[0], &sk), 0);
	assert_int_equal(peek_u64(k, sk, "sock", "sk_peer_pid", &at), 0);
	assert_int_equal(peek_pid(k, at, &pid), 0);
	assert_int_equal(pid, getpid());
	close(v[0]);
	close(v[1]);
}

static void refuses_what_is_not_there(void **state)
{
	uint64_t at;
	char b[8];

	if (!k)
		skip();
	assert_int_equal(peek_at(k, 0, "sock", "no_such_field", &at), -EOPNOTSUPP);
	assert_int_equal(peek_read(k, 0, b, sizeof(b)), -EFAULT);
	assert_int_equal(peek_read(k, 0x1234, b, sizeof(b)), -EFAULT);
	err_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_waits_in_a_socket),
		cmocka_unit_test(reads_a_packet_of_packets),
		cmocka_unit_test(knows_numbers_of_processes),
		cmocka_unit_test(is_there_also_for_whoever_gets_signals),
		cmocka_unit_test(refuses_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, open_it, close_it);
}
