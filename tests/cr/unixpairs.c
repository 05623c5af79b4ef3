/* SPDX-License-Identifier: Apache-2.0 */
/* Connected unix sockets without names: content, half-closed ones, options, other processes. */
#include "cr.h"

#include <sys/socket.h>
#include <sys/time.h>

static int s[2], child_pair[2];

static int child_talks(void)
{
	char buf[16];

	return recv(child_pair[1], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "ping", 4) &&
			       send(child_pair[1], "pong", 4, 0) == 4
		       ? 0
		       : 10;
}

int main(void)
{
	int half[2], seq[2], dg[2], shut[2], v;
	struct timeval tv = {.tv_sec = 7, .tv_usec = 500000}, got;
	struct ucred me;
	socklen_t len;
	struct child c;
	char buf[300000];
	static char big[100000];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, shut) == 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, child_pair) == 0);
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, seq) == 0);
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, dg) == 0);
	memset(big, 'x', sizeof(big));
	check(send(s[0], big, sizeof(big), 0) == sizeof(big));
	check(send(s[0], "tail", 4, 0) == 4 && send(s[1], "other way", 9, 0) == 9);
	check(send(half[0], "last words", 10, 0) == 10);
	close(half[0]);
	check(send(seq[0], "one", 3, 0) == 3 && send(seq[0], "", 0, 0) == 0 &&
	      send(seq[0], "three", 5, 0) == 5);
	check(send(dg[0], "a", 1, 0) == 1 && send(dg[0], "", 0, 0) == 0 &&
	      send(dg[0], "ccc", 3, 0) == 3);
	check(send(shut[0], "bye", 3, 0) == 3 && shutdown(shut[0], SHUT_WR) == 0);
	v = 100000;
	setsockopt(s[1], SOL_SOCKET, SO_RCVBUF, &v, sizeof(v));
	setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	v = 1;
	setsockopt(seq[1], SOL_SOCKET, SO_PASSCRED, &v, sizeof(v));
	c = child_start(NULL, child_talks);
	ready();
	check(send(child_pair[0], "ping", 4, 0) == 4);
	child_go(&c);
	check(recv(child_pair[0], buf, 10, 0) == 4 && !memcmp(buf, "pong", 4));
	check(recv(s[1], buf, sizeof(big) + 4, MSG_WAITALL) == sizeof(big) + 4);
	check(!memcmp(buf, big, sizeof(big)) && !memcmp(buf + sizeof(big), "tail", 4));
	check(recv(s[0], buf, 100, 0) == 9);
	check(recv(half[1], buf, 100, 0) == 10 && recv(half[1], buf, 100, 0) == 0);
	check(send(half[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	check(recv(seq[1], buf, 100, 0) == 3 && recv(seq[1], buf, 100, 0) == 0 &&
	      recv(seq[1], buf, 100, 0) == 5);
	check(recv(seq[1], buf, 100, 0) == -1 && errno == EAGAIN);
	check(recv(dg[1], buf, 100, 0) == 1, "datagrams are kept apart");
	check(recv(dg[1], buf, 100, 0) == 0, "an empty one counts");
	check(recv(dg[1], buf, 100, 0) == 3);
	check(recv(shut[1], buf, 100, 0) == 3 && recv(shut[1], buf, 100, 0) == 0);
	check(send(shut[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	check(send(shut[1], "back", 4, 0) == 4 && recv(shut[0], buf, 100, 0) == 4);
	len = sizeof(v);
	check(getsockopt(s[1], SOL_SOCKET, SO_RCVBUF, &v, &len) == 0 && v == 200000, "%d", v);
	len = sizeof(got);
	check(getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len) == 0);
	check(got.tv_sec == 7 && got.tv_usec == 500000);
	len = sizeof(me);
	check(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &me, &len) == 0);
	check(me.pid == getpid() && me.uid == getuid(), "peer is %d", me.pid);
	len = sizeof(v);
	check(getsockopt(seq[1], SOL_SOCKET, SO_PASSCRED, &v, &len) == 0 && v == 1);
	return ok();
}
