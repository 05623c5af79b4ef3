/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets whose peer has closed without reading: ECONNRESET, and what it had sent before. */
#include "cr.h"

#include <poll.h>
#include <sys/socket.h>

#ifndef TYPE
#define TYPE SOCK_STREAM
#endif

static int receive(int fd, char *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);

	return n < 0 ? -errno : (int)n;
}

int main(void)
{
	int full[2], empty[2];
	char buf[8] = "";
	struct pollfd p;

	check(socketpair(AF_UNIX, TYPE, 0, full) == 0 && socketpair(AF_UNIX, TYPE, 0, empty) == 0);
	check(send(full[1], "ab", 2, 0) == 2);
	check(send(full[0], "unread", 6, 0) == 6 && send(empty[0], "unread", 6, 0) == 6);
	check(close(full[1]) == 0 && close(empty[1]) == 0);
	ready();
	p = (struct pollfd){.fd = full[0], .events = POLLIN};
	check(poll(&p, 1, 0) == 1 && p.revents & POLLERR && p.revents & POLLHUP, "%#x", p.revents);
	if (TYPE == SOCK_SEQPACKET)
		check(receive(full[0], buf, sizeof(buf)) == -ECONNRESET);
	check(receive(full[0], buf, sizeof(buf)) == 2 && memcmp(buf, "ab", 2) == 0);
	if (TYPE == SOCK_STREAM)
		check(receive(full[0], buf, sizeof(buf)) == -ECONNRESET);
	check(receive(full[0], buf, sizeof(buf)) == 0);
	check(receive(empty[0], buf, sizeof(buf)) == -ECONNRESET);
	check(receive(empty[0], buf, sizeof(buf)) == 0);
	check(send(full[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "errno %d", errno);
	return ok();
}
