/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram sockets whose connections go one way: to itself, in a row, to somebody who
 * answers; pairs of socketpair(2) one of which has been connected elsewhere.  All with queues.
 * Of packets with a connection (SOCK_SEQPACKET), those without a byte, which read like the end.
 */
#include "cr.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name(const char *text, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(a->sun_path + 1, text, strlen(text));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text));
}

static int named(const char *text)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un a;
	socklen_t len = name(text, &a);

	check(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0, "bind %s", text);
	return fd;
}

static void to(int fd, const char *text)
{
	struct sockaddr_un a;
	socklen_t len = name(text, &a);

	check(connect(fd, (struct sockaddr *)&a, len) == 0, "connect to %s: %d", text, errno);
}

static void nowhere(int fd)
{
	struct sockaddr a = {.sa_family = AF_UNSPEC};

	check(connect(fd, &a, sizeof(a)) == 0, "disconnect: %d", errno);
}

static void send_to(int fd, const char *where, const char *what)
{
	struct sockaddr_un a;
	socklen_t len = name(where, &a);

	check(sendto(fd, what, strlen(what), MSG_DONTWAIT, (struct sockaddr *)&a, len) > 0,
	      "send to %s: %d", where, errno);
}

static void put(int fd, const char *what)
{
	check(send(fd, what, strlen(what), MSG_DONTWAIT) > 0, "send %s: %d", what, errno);
}

/* FROM: "" for whoever has no name. */
static void take(int fd, const char *what, const char *from)
{
	struct sockaddr_un a = {0}, want;
	socklen_t len = sizeof(a), wanted = *from ? name(from, &want) : 0;
	char buf[32] = "";

	check(recvfrom(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT, (struct sockaddr *)&a, &len) > 0,
	      "%s: %d", what, errno);
	check(strcmp(buf, what) == 0, "%s, not %s", buf, what);
	check(*from ? len == wanted && memcmp(&a, &want, len) == 0 : len <= sizeof(sa_family_t),
	      "%s comes from %s", what, a.sun_path + 1);
}

static void empty(int fd)
{
	char c;

	check(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "something is left");
}

int main(void)
{
	int self = named("self"), ring[3], client = named("client"), server = named("server");
	int early = named("early"), sink = named("sink"), anon = socket(AF_UNIX, SOCK_DGRAM, 0);
	int pair[2], moved[2], empties[2], ended[2];
	const char *const rings[] = {"ring0", "ring1", "ring2"};

	send_to(anon, "self", "somebody");
	to(self, "self");
	put(self, "myself");
	for (int i = 0; i < 3; i++)
		ring[i] = named(rings[i]);
	to(ring[0], "ring1");
	put(ring[0], "zero");
	to(ring[1], "ring2"); /* who takes nothing from others any more */
	put(ring[1], "one");
	to(client, "server");
	put(client, "question");
	send_to(server, "client", "answer");
	send_to(anon, "early", "first");
	to(early, "sink");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	nowhere(pair[1]);
	put(pair[0], "left");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, moved) == 0);
	to(moved[1], "sink");
	put(moved[1], "moved");
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, empties) == 0);
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ended) == 0);
	for (int i = 0; i < 2; i++) {
		int *p = i ? ended : empties;

		check(send(p[0], "", 0, 0) == 0 && send(p[0], "a", 1, 0) == 1);
		check(send(p[0], "", 0, 0) == 0 && send(p[0], "bc", 2, 0) == 2);
	}
	close(ended[0]);
	ready();
	take(self, "somebody", "");
	take(self, "myself", "self");
	put(self, "again");
	take(self, "again", "self");
	check(sendto(anon, "x", 1, MSG_DONTWAIT,
		     (struct sockaddr *)&(struct sockaddr_un){AF_UNIX, "\0self"},
		     (socklen_t)offsetof(struct sockaddr_un, sun_path) + 5) < 0 &&
		      errno == EPERM,
	      "who is connected to itself takes something from others");
	take(ring[1], "zero", "ring0");
	take(ring[2], "one", "ring1");
	check(send(ring[0], "x", 1, MSG_DONTWAIT) < 0 && errno == EPERM, "errno %d", errno);
	put(ring[1], "three");
	take(ring[2], "three", "ring1");
	take(server, "question", "client");
	take(client, "answer", "server");
	take(early, "first", "");
	take(sink, "moved", "");
	put(early, "on");
	take(sink, "on", "early");
	take(pair[1], "left", "");
	put(pair[0], "more");
	take(pair[1], "more", "");
	check(send(pair[1], "x", 1, MSG_DONTWAIT) < 0 && errno == ENOTCONN, "errno %d", errno);
	check(send(moved[0], "x", 1, MSG_DONTWAIT) < 0 && errno == EPERM, "errno %d", errno);
	put(moved[1], "still");
	take(sink, "still", "");
	for (int i = 0; i < 2; i++) {
		static const int want[] = {0, 1, 0, 2};
		char buf[8];

		for (int k = 0; k < 4; k++) {
			int n = (int)recv(i ? ended[1] : empties[1], buf, sizeof(buf),
					  MSG_DONTWAIT);

			check(n == want[k], "packet %d of %d bytes: %d", k, want[k], n);
		}
	}
	empty(empties[1]);
	check(recv(ended[1], &(char){0}, 1, MSG_DONTWAIT) == 0, "no end");
	empty(self);
	empty(sink);
	empty(client);
	return ok();
}
