/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets whose peers are outside of the tree: one of datagrams is connected to them again, a
 * stream is closed by its peer (unless it is not restored at all).
 */
#include "cr.h"

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *text)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "%s", text);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text));
}

static int peer(void)
{
	struct sockaddr_un a;
	char text[32], b[32];
	int dgram = socket(AF_UNIX, SOCK_DGRAM, 0), l = socket(AF_UNIX, SOCK_STREAM, 0), c;
	ssize_t n;

	snprintf(text, sizeof(text), "cr-outside-%d", getpid());
	check(bind(dgram, (struct sockaddr *)&a, name(&a, text)) == 0);
	check(setenv("TEXT", text, 1) == 0);
	strcat(text, "s");
	check(bind(l, (struct sockaddr *)&a, name(&a, text)) == 0 && listen(l, 1) == 0);
	say(getenv("TEXT"));
	c = accept(l, NULL, NULL);
	check(send(c, "unread", 6, 0) == 6);
	n = recv(dgram, b, sizeof(b), 0);
	check(n == 6 && !memcmp(b, "before", 6));
	n = recv(dgram, b, sizeof(b), 0);
	check(n == 5 && !memcmp(b, "after", 5));
	return 0;
}

int main(int argc, char **argv)
{
	int dgram = socket(AF_UNIX, SOCK_DGRAM, 0), stream = socket(AF_UNIX, SOCK_STREAM, 0);
	struct pollfd p = {.fd = stream, .events = POLLIN};
	struct sockaddr_un a;
	char text[32], b[8];

	check(argc == 2);
	if (strcmp(argv[1], "peer") == 0)
		return peer();
	check(connect(dgram, (struct sockaddr *)&a, name(&a, argv[1])) == 0, "errno %d", errno);
	snprintf(text, sizeof(text), "%ss", argv[1]);
	check(connect(stream, (struct sockaddr *)&a, name(&a, text)) == 0, "errno %d", errno);
	check(send(dgram, "before", 6, 0) == 6 && poll(&p, 1, 5000) == 1);
	ready();
	check(recv(stream, b, 6, 0) == 6 && !memcmp(b, "unread", 6));
	check(send(dgram, "after", 5, 0) == 5, "errno %d", errno);
	check(recv(stream, b, 6, 0) == 0, "errno %d", errno);
	check(send(stream, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	return ok();
}
