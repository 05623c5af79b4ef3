/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients have sent on connections that nobody has accepted yet: little and much, with
 * credentials, by clients that live and by those that have closed.
 */
#include "cr.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MUCH 60000

static struct sockaddr_un addr;
static socklen_t addr_len;

static int listener(int type, const char *name)
{
	int l = socket(AF_UNIX, type, 0), on = 1;

	addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "cr-queued-%s-%d", name, getpid());
	addr_len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(addr.sun_path + 1));
	check(bind(l, (struct sockaddr *)&addr, addr_len) == 0 && listen(l, 8) == 0, "errno %d",
	      errno);
	check(setsockopt(l, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	return l;
}

static int call(int type)
{
	int c = socket(AF_UNIX, type, 0);

	check(connect(c, (struct sockaddr *)&addr, addr_len) == 0, "errno %d", errno);
	return c;
}

static char much(unsigned i)
{
	return (char)(i * 31 + i / 253);
}

static void send_much(int c)
{
	static char b[MUCH];

	for (unsigned i = 0; i < MUCH; i++)
		b[i] = much(i);
	check(send(c, b, MUCH, 0) == MUCH, "errno %d", errno);
}

static void reads_much(int fd)
{
	static char b[MUCH];

	check(recv(fd, b, MUCH, MSG_WAITALL | MSG_DONTWAIT) == MUCH, "errno %d", errno);
	for (unsigned i = 0; i < MUCH; i++)
		check(b[i] == much(i), "byte %u", i);
}

static void reads(int fd, const char *text)
{
	char b[32] = "";
	ssize_t n = recv(fd, b, sizeof(b), MSG_DONTWAIT);

	check(n == (ssize_t)strlen(text) && !strcmp(b, text), "%zd %s instead of %s, errno %d", n,
	      b, text, errno);
}

struct set {
	int type, l, first, last;
};

static void make(struct set *s, int type, const char *name)
{
	int c;

	s->type = type;
	s->l = listener(type, name);
	s->first = call(type);
	check(send(s->first, "first", 5, 0) == 5);
	send_much(s->first);
	c = call(type);
	check(send(c, "gone", 4, 0) == 4);
	close(c);
	c = call(type);
	close(c);
	s->last = call(type);
}

static int take(const struct set *s)
{
	int fd = accept(s->l, NULL, NULL);
	struct ucred u;
	socklen_t len = sizeof(u);

	check(fd >= 0);
	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 && u.pid == getpid() &&
		      u.uid == getuid(),
	      "credentials: %d, %d", u.pid, u.uid);
	return fd;
}

static void verify(const struct set *s)
{
	char b;
	int fd = take(s);

	if (s->type == SOCK_SEQPACKET)
		reads(fd, "first");
	else
		check(recv(fd, &b, 1, 0) == 1 && b == 'f' && recv(fd, &b, 1, 0) == 1 &&
		      recv(fd, &b, 1, 0) == 1 && recv(fd, &b, 1, 0) == 1 &&
		      recv(fd, &b, 1, 0) == 1 && b == 't');
	reads_much(fd);
	check(send(fd, "answer", 6, 0) == 6);
	reads(s->first, "answer");
	fd = take(s);
	reads(fd, "gone");
	reads(fd, "");
	fd = take(s);
	reads(fd, "");
	fd = take(s);
	check(recv(fd, &b, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	check(send(s->last, "later", 5, 0) == 5);
	reads(fd, "later");
}

int main(void)
{
	struct set stream, seq;

	make(&stream, SOCK_STREAM, "stream");
	make(&seq, SOCK_SEQPACKET, "seq");
	ready();
	verify(&stream);
	verify(&seq);
	return ok();
}
