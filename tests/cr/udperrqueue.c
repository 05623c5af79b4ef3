/* SPDX-License-Identifier: Apache-2.0 */
/* Several errors that wait for who asked for all of them (IP_RECVERR), and one for who did not. */
#include "cr.h"

#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define ERRORS 3

static const struct shape {
	int family;
	bool all, told; /* TOLD: whoever asked next has heard of the last one */
} shapes[] = {
	{AF_INET, true, false},	 {AF_INET6, true, false},  {AF_INET, true, true},
	{AF_INET, false, false}, {AF_INET6, false, false},
};
#define N ARRAY_SIZE(shapes)

static void await_error(int fd)
{
	struct pollfd p = {.fd = fd};

	check(poll(&p, 1, 30000) == 1 && p.revents & POLLERR, "nothing comes");
}

/* The next error, which goes with being asked for; 0: none. */
static int take_error(int fd)
{
	socklen_t len = sizeof(int);
	int v = -1;

	check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) == 0);
	return v;
}

/* What its queues take, that of errors as well. */
static unsigned memory(int fd)
{
	uint32_t v[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(v);

	check(getsockopt(fd, SOL_SOCKET, 55 /* SO_MEMINFO */, v, &len) == 0);
	return v[SK_MEMINFO_RMEM_ALLOC];
}

static int refused(const struct shape *s)
{
	struct sockaddr_in6 a = {.sin6_family = (sa_family_t)s->family};
	int one = 1, errors = s->all ? ERRORS : 1;
	int fd = socket(s->family, SOCK_DGRAM, 0), peer = socket(s->family, SOCK_DGRAM, 0);
	socklen_t len = sizeof(a);

	if (s->family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.sin6_addr = in6addr_loopback;
	check(bind(peer, (struct sockaddr *)&a, sizeof(a)) == 0, "errno %d", errno);
	check(getsockname(peer, (struct sockaddr *)&a, &len) == 0);
	check(connect(fd, (struct sockaddr *)&a, len) == 0);
	close(peer);
	if (s->all)
		check(setsockopt(fd, s->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
				 s->family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &one,
				 sizeof(one)) == 0);
	for (int i = 0; i < errors; i++) {
		unsigned before = memory(fd);

		check(send(fd, "x", 1, 0) == 1, "errno %d", errno);
		await_error(fd);
		while (s->all && memory(fd) <= before) /* poll(2) sees those of before, too */
			usleep(500);
		while ((i + 1 < errors || s->told) && take_error(fd) != ECONNREFUSED)
			usleep(500);
	}
	return fd;
}

static int next_queued(int fd)
{
	char control[512], b[64];
	struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct sock_extended_err e;

	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return 0;
	check(CMSG_FIRSTHDR(&m) != NULL);
	memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(e));
	return (int)e.ee_errno;
}

int main(void)
{
	int fds[N];

	for (size_t i = 0; i < N; i++)
		fds[i] = refused(&shapes[i]);
	ready();
	for (size_t i = 0; i < N; i++) {
		int n = 0, next = take_error(fds[i]);

		check(next == (shapes[i].told ? 0 : ECONNREFUSED), "%zu: errno %d", i, next);
		while (next_queued(fds[i]) == ECONNREFUSED)
			n++;
		check(n == (shapes[i].all ? ERRORS : 0), "%zu: %d errors", i, n);
	}
	return ok();
}
