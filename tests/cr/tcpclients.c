/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that nobody has accepted yet, from a program outside of the tree, which goes on
 * meanwhile: it sends until it may not any more.
 */
#include "tcpwait.h"

enum { TALK, STREAM, HALF, DIED, PULSE, CLIENTS };

#define BIG 500000

static char pattern(size_t at)
{
	return (char)('a' + at % 23);
}

/* More than any window: the rest when it has been accepted. */
static pid_t start_stream(int c)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	for (size_t at = 0; at < BIG;) {
		char b[1000];
		ssize_t n = sizeof(b);

		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = pattern(at + i);
		n = send(c, b, sizeof(b), MSG_NOSIGNAL);
		if (n <= 0)
			_exit(1);
		at += (size_t)n;
	}
	_exit(0);
}

/* A point each 10 ms, until there is an answer on C. */
static void pulse(int fd, int c)
{
	struct pollfd p = {.fd = c, .events = POLLIN};

	do
		put(fd, ".");
	while (poll(&p, 1, 10) == 0);
	put(fd, ";");
}

static int peer(void)
{
	struct linger zero = {.l_onoff = 1};
	union addr a = loopback();
	int l = socket(AF_INET, SOCK_STREAM, 0), control, c[CLIENTS], status;
	char text[32] = "";
	pid_t stream;

	listens(l, &a, 1);
	snprintf(text, sizeof(text), "%u\n", ntohs(a.v4.sin_port));
	say(text);
	control = nap(l);
	check(recv(control, &a.v4.sin_port, 2, MSG_WAITALL) == 2);
	for (int i = 0; i < CLIENTS; i++) {
		char name[2] = {(char)('0' + i)};

		c[i] = call(&a);
		put(c[i], name);
	}
	put(c[TALK], "hello");
	put(c[HALF], "half");
	check(shutdown(c[HALF], SHUT_WR) == 0);
	put(c[DIED], "last");
	setsockopt(c[DIED], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero));
	await_end(c[DIED], &a);
	stream = start_stream(c[STREAM]);
	put(control, "set");
	pulse(c[PULSE], c[TALK]);
	gets_text(c[TALK], "answer");
	put(c[TALK], "well");
	gets_text(c[HALF], "bye");
	gets_end(c[HALF]);
	check(waitpid(stream, &status, 0) == stream && status == 0, "%#x", status);
	gets_text(c[STREAM], "got it");
	gets_end(c[TALK]);
	return 0;
}

/* In the order in which they came. */
static int take(int l, int i)
{
	char name[2] = {(char)('0' + i)};
	int s = nap(l);

	gets_text(s, name);
	return s;
}

static void verify(int l)
{
	int talk = take(l, TALK), s;
	char b = 0;

	gets_text(talk, "hello");
	put(talk, "answer");
	gets_text(talk, "well");
	s = take(l, STREAM);
	for (size_t at = 0; at < BIG; at++)
		check(recv(s, &b, 1, 0) == 1 && b == pattern(at), "byte %zu is %d, errno %d", at, b,
		      errno);
	put(s, "got it");
	s = take(l, HALF);
	gets_text(s, "half");
	gets_end(s);
	put(s, "bye");
	close(s);
	s = take(l, DIED);
	gets_text(s, "last");
	check(recv(s, &b, 1, 0) < 0 && errno == ECONNRESET, "errno %d", errno);
	s = take(l, PULSE);
	do
		check(recv(s, &b, 1, 0) == 1 && (b == '.' || b == ';'), "%d, errno %d", b, errno);
	while (b == '.');
	close(talk);
}

int main(int argc, char **argv)
{
	union addr a = loopback(), control = a;
	int l, to;

	check(argc == 2);
	if (strcmp(argv[1], "peer") == 0)
		return peer();
	control.v4.sin_port = htons((uint16_t)atoi(argv[1]));
	l = socket(AF_INET, SOCK_STREAM, 0);
	listens(l, &a, CLIENTS);
	to = call(&control);
	check(send(to, &a.v4.sin_port, 2, 0) == 2);
	gets_text(to, "set");
	await(l, CLIENTS, -1);
	ready();
	verify(l);
	return ok();
}
