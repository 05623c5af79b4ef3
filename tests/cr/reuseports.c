/* SPDX-License-Identifier: Apache-2.0 */
/* Several sockets at one port, and a program that says who gets what. */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define N 5

static int shared(int type, struct sockaddr_in *at)
{
	int fd = socket(AF_INET, type, 0), one = 1;
	socklen_t len = sizeof(*at);

	check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
	check(bind(fd, (struct sockaddr *)at, len) == 0, "errno %d", errno);
	check(getsockname(fd, (struct sockaddr *)at, &len) == 0);
	return fd;
}

static void attach(int fd, struct sock_filter *v, unsigned short n)
{
	struct sock_fprog p = {.len = n, .filter = v};

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &p, sizeof(p)) == 0, "errno %d",
	      errno);
}

/* What the first byte says, and who came first by the numbers of descriptors is not who did. */
static void verify_datagrams(const int fds[N], const struct sockaddr_in *to, const char *what)
{
	int from = socket(AF_INET, SOCK_DGRAM, 0);

	for (char i = 0; i < N; i++) {
		char got = -1;

		check(sendto(from, &i, 1, 0, (const struct sockaddr *)to, sizeof(*to)) == 1);
		check(recv(fds[(int)i], &got, 1, MSG_DONTWAIT) == 1 && got == i, "%s: %d: %d", what,
		      i, errno);
	}
	close(from);
}

static void verify_connection(int at, const struct sockaddr_in *to)
{
	int from = socket(AF_INET, SOCK_STREAM, 0), got;

	check(connect(from, (const struct sockaddr *)to, sizeof(*to)) == 0, "errno %d", errno);
	got = accept4(at, NULL, NULL, SOCK_NONBLOCK);
	check(got >= 0, "errno %d", errno);
	close(got);
	close(from);
}

static int reuses(int fd)
{
	socklen_t len = sizeof(int);
	int v = -1;

	check(getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &v, &len) == 0);
	return v;
}

/* The first and the last have turned it off since they came. */
static void mixed(int type, int fds[3])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int off = 0;

	for (int i = 0; i < 3; i++) {
		fds[i] = shared(type, &a);
		check(type == SOCK_DGRAM || listen(fds[i], 3) == 0);
	}
	for (int i = 0; i < 3; i += 2)
		check(setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off)) == 0);
}

static void verify_mixed(const int fds[3])
{
	struct sockaddr_in a, b;
	socklen_t len = sizeof(a);

	check(getsockname(fds[0], (struct sockaddr *)&a, &len) == 0);
	for (int i = 0; i < 3; i++) {
		check(getsockname(fds[i], (struct sockaddr *)&b, &len) == 0);
		check(a.sin_port == b.sin_port && reuses(fds[i]) == (i == 1), "%d", i);
	}
}

int main(void)
{
	struct sock_filter by_byte[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
					BPF_STMT(BPF_RET | BPF_A, 0)};
	struct sock_filter third[] = {BPF_STMT(BPF_RET | BPF_K, 2)};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   b = a;
	int some[3], many[3], datagrams[N], streams[N], order[N] = {3, 0, 4, 1, 2}, high;

	for (int i = 0; i < N; i++) {
		high = shared(SOCK_DGRAM, &a);
		datagrams[i] = 100 + order[i];
		check(dup3(high, datagrams[i], O_CLOEXEC) >= 0 && close(high) == 0);
		high = shared(SOCK_STREAM, &b);
		streams[i] = 200 + order[i];
		check(dup3(high, streams[i], O_CLOEXEC) >= 0 && close(high) == 0);
		check(listen(streams[i], 8) == 0);
	}
	attach(datagrams[2], by_byte, 2);
	attach(streams[0], third, 1);
	verify_datagrams(datagrams, &a, "before");
	verify_connection(streams[2], &b);
	mixed(SOCK_STREAM, some);
	mixed(SOCK_DGRAM, many);
	ready();
	verify_mixed(some);
	verify_mixed(many);
	verify_datagrams(datagrams, &a, "after");
	verify_connection(streams[2], &b);
	return ok();
}
