/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets that are to be told that nobody was there, with what came before that. */
#include "cr.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define N 3

static const struct {
	int family;
	bool mapped;
} kinds[N] = {{AF_INET, false}, {AF_INET6, false}, {AF_INET6, true}};

static socklen_t loopback(struct sockaddr_storage *a, unsigned i)
{
	struct sockaddr_in6 *v6 = (void *)a;
	struct sockaddr_in *v4 = (void *)a;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)kinds[i].family;
	if (kinds[i].family == AF_INET) {
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*v4);
	}
	v6->sin6_addr = in6addr_loopback;
	if (kinds[i].mapped)
		v6->sin6_addr = (struct in6_addr){
			{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};
	return sizeof(*v6);
}

static void await(int fd, short what)
{
	struct pollfd p = {.fd = fd, .events = what};

	while (!(p.revents & what))
		check(poll(&p, 1, 30000) == 1, "nothing comes");
}

int main(void)
{
	int fds[N];

	for (unsigned i = 0; i < N; i++) {
		struct sockaddr_storage a, b;
		socklen_t len = loopback(&a, i);
		int peer = socket(kinds[i].family, SOCK_DGRAM, 0);

		fds[i] = socket(kinds[i].family, SOCK_DGRAM, 0);
		b = a;
		check(bind(peer, (struct sockaddr *)&a, len) == 0, "errno %d", errno);
		check(getsockname(peer, (struct sockaddr *)&a, &len) == 0);
		check(bind(fds[i], (struct sockaddr *)&b, len) == 0);
		check(getsockname(fds[i], (struct sockaddr *)&b, &len) == 0);
		check(connect(fds[i], (struct sockaddr *)&a, len) == 0);
		check(sendto(peer, "there", 5, 0, (struct sockaddr *)&b, len) == 5);
		await(fds[i], POLLIN);
		close(peer);
		check(send(fds[i], "x", 1, 0) == 1);
		await(fds[i], POLLERR);
	}
	ready();
	for (unsigned i = 0; i < N; i++) {
		char buf[8];

		check(recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == ECONNREFUSED,
		      "%u: errno %d", i, errno);
		check(recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT) == 5 &&
			      memcmp(buf, "there", 5) == 0,
		      "%u: errno %d", i, errno);
		check(recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN,
		      "%u: errno %d", i, errno);
	}
	return ok();
}
