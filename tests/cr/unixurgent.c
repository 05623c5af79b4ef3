/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Urgent data (MSG_OOB) in unix streams: waiting in front, in the middle, alone; in line; received
 * already, with its place still in the queue; superseded; on a connection that nobody has accepted.
 */
#include "cr.h"
#include "urgent.h"

#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static const struct shape {
	const char *sends; /* a capital letter: with MSG_OOB; '-': the urgent byte is received */
	bool inlined;
} shapes[] = {
	{"abcDefg", false}, {"abcDefg", true}, {"Defg", false},	    {"Defg", true},
	{"D", false},	    {"D", true},       {"abcD-efg", false}, {"abcD-", false},
	{"D-efg", false},   {"D-", false},     {"aBcDe", false},    {"aB-cDe", false},
	{"aB-cD-e", false}, {"aBcD-E", true},
};
#define N ARRAY_SIZE(shapes)

static void play(const struct shape *s, int v[2])
{
	int on = 1;
	char b;

	for (const char *p = s->sends; *p; p++)
		if (*p == '-')
			check(recv(v[1], &b, 1, MSG_OOB) == 1, "errno %d", errno);
		else
			check(send(v[0], p, 1, *p < 'a' ? MSG_OOB : 0) == 1, "errno %d", errno);
	if (s->inlined)
		check(setsockopt(v[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
}

static int pair(const struct shape *s)
{
	int v[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, v) == 0);
	play(s, v);
	return v[1];
}

static int listener(struct sockaddr_un *a, socklen_t *len)
{
	int l = socket(AF_UNIX, SOCK_STREAM, 0);

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, 90, "cr-urgent-%d", getpid()));
	check(bind(l, (struct sockaddr *)a, *len) == 0 && listen(l, 4) == 0, "errno %d", errno);
	return l;
}

int main(void)
{
	static char want[N][1024], have[1024];
	struct sockaddr_un a;
	socklen_t len;
	int fds[N], v[2], l, c;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, v) == 0);
	if (send(v[0], "!", 1, MSG_OOB) < 0)
		skip("this kernel has no MSG_OOB of unix sockets (CONFIG_AF_UNIX_OOB)");
	for (size_t i = 0; i < N; i++) {
		tell(pair(&shapes[i]), want[i], sizeof(want[i]));
		fds[i] = pair(&shapes[i]);
	}
	l = listener(&a, &len);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	check(connect(c, (struct sockaddr *)&a, len) == 0);
	check(send(c, "xy", 2, 0) == 2 && send(c, "Z", 1, MSG_OOB) == 1 && send(c, "w", 1, 0) == 1);
	ready();
	for (size_t i = 0; i < N; i++) {
		tell(fds[i], have, sizeof(have));
		check(!strcmp(want[i], have), "%s: instead of%s it is%s", shapes[i].sends, want[i],
		      have);
	}
	c = accept(l, NULL, NULL);
	check(recv(c, have, 10, MSG_DONTWAIT) == 2 && recv(c, have, 1, MSG_OOB) == 1 &&
	      have[0] == 'Z');
	check(recv(c, have, 10, MSG_DONTWAIT) == 1 && have[0] == 'w');
	return ok();
}
