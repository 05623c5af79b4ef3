/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections in every state that a descriptor may have, both ends in the tree. */
#include "cr.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

static int state_of(int fd)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) == 0);
	return i.tcpi_state;
}

static void await(int fd, int state)
{
	for (int i = 0; i < 15000 && state_of(fd) != state; i++)
		usleep(1000);
	check(state_of(fd) == state, "%d is in state %d, not %d", fd, state_of(fd), state);
}

/* e[0] has connected, e[1] was accepted. */
static void pair(int family, bool mapped, int e[2])
{
	struct sockaddr_in6 a = {.sin6_family = (sa_family_t)family};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(family, SOCK_STREAM, 0), small = 20000;

	if (family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (!mapped)
		a.sin6_addr = in6addr_loopback;
	check(l >= 0 && bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0,
	      "errno %d", errno);
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	e[0] = socket(mapped ? AF_INET : family, SOCK_STREAM, 0);
	setsockopt(e[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	to.sin_port = a.sin6_port;
	check((mapped ? connect(e[0], (struct sockaddr *)&to, sizeof(to))
		      : connect(e[0], (struct sockaddr *)&a, sizeof(a))) == 0,
	      "errno %d", errno);
	e[1] = accept(l, NULL, NULL);
	check(e[1] >= 0);
	close(l);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

/* Until nothing more goes in; returns how much went. */
static size_t fill(int fd)
{
	unsigned char b[1000];
	size_t at = 0;

	for (int idle = 0; idle < 3;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = byte_at(at + i);
		n = send(fd, b, sizeof(b), MSG_DONTWAIT);
		idle = n < 0 ? idle + 1 : 0;
		at += n > 0 ? (size_t)n : 0;
		if (n < 0)
			usleep(20000); /* the other side may take some more */
	}
	return at;
}

/* Everything up to the end. */
static void drain(int fd, size_t want)
{
	unsigned char b[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, b, sizeof(b), 0)) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			check(b[i] == byte_at(at), "byte %zu", at);
	check(n == 0 && at == want, "%zu of %zu bytes, errno %d", at, want, n < 0 ? errno : 0);
}

static void gets_text(int fd, const char *want)
{
	char b[32] = "";
	size_t len = strlen(want);

	check(recv(fd, b, len, MSG_WAITALL) == (ssize_t)len && !memcmp(b, want, len),
	      "%s instead of %s, errno %d", b, want, errno);
}

struct closed {
	int fd;
	struct sockaddr_in6 me, peer;
};

static void name_of(int fd, struct sockaddr_in6 *me, struct sockaddr_in6 *peer)
{
	socklen_t len = sizeof(*me);

	memset(me, 0, sizeof(*me));
	memset(peer, 0, sizeof(*peer));
	check(getsockname(fd, (struct sockaddr *)me, &len) == 0);
	check(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, peer, &len) == 0, "errno %d", errno);
}

static void is_closed(const struct closed *c)
{
	struct pollfd p = {.fd = c->fd};
	struct sockaddr_in6 me, peer;
	char b[4];

	name_of(c->fd, &me, &peer);
	check(!memcmp(&me, &c->me, sizeof(me)) && !memcmp(&peer, &c->peer, sizeof(peer)));
	check(state_of(c->fd) == TCP_CLOSE && recv(c->fd, b, 4, 0) == 0, "errno %d", errno);
	check(poll(&p, 1, 0) == 1 && p.revents == POLLHUP, "%#x", p.revents);
	check(send(c->fd, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
}

struct kinds {
	int wait[2], fin[2], closing[2], last[2], both[2], reset, refused;
	size_t fin_len, closing_len, last_len;
	struct closed closed[2];
};

static void make(int family, bool mapped, struct kinds *k)
{
	struct linger zero = {.l_onoff = 1};
	int e[2];
	size_t n;

	pair(family, mapped, k->wait);
	check(send(k->wait[0], "last words", 10, 0) == 10 && shutdown(k->wait[0], SHUT_WR) == 0);

	pair(family, mapped, k->fin);
	k->fin_len = fill(k->fin[0]);
	check(shutdown(k->fin[0], SHUT_WR) == 0);

	pair(family, mapped, k->closing);
	k->closing_len = fill(k->closing[1]);
	n = fill(k->closing[0]);
	check(shutdown(k->closing[0], SHUT_WR) == 0 && shutdown(k->closing[1], SHUT_WR) == 0);
	drain(k->closing[1], n);

	pair(family, mapped, k->last);
	check(shutdown(k->last[0], SHUT_WR) == 0);
	k->last_len = fill(k->last[1]);
	check(shutdown(k->last[1], SHUT_WR) == 0);

	pair(family, mapped, k->both);
	check(shutdown(k->both[0], SHUT_WR) == 0);
	await(k->both[1], TCP_CLOSE_WAIT);
	check(shutdown(k->both[1], SHUT_WR) == 0);
	await(k->both[0], TCP_CLOSE);
	for (int i = 0; i < 2; i++) {
		k->closed[i].fd = k->both[i];
		name_of(k->both[i], &k->closed[i].me, &k->closed[i].peer);
	}

	pair(family, mapped, e);
	check(send(e[0], "abc", 3, 0) == 3);
	await(e[1], TCP_ESTABLISHED);
	fill(e[1]); /* what the reset makes vain, but not forgotten by SIOCOUTQ */
	setsockopt(e[0], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero));
	close(e[0]);
	k->reset = e[1];
	await(k->reset, TCP_CLOSE);

	await(k->wait[0], TCP_FIN_WAIT2);
	await(k->wait[1], TCP_CLOSE_WAIT);
	await(k->fin[0], TCP_FIN_WAIT1);
	await(k->closing[1], TCP_CLOSING);
	await(k->last[1], TCP_LAST_ACK);
	await(k->last[0], TCP_FIN_WAIT2);
	await(k->both[1], TCP_CLOSE);
}

static void verify(const struct kinds *k)
{
	char b[8];

	check(state_of(k->wait[0]) == TCP_FIN_WAIT2, "%d", state_of(k->wait[0]));
	check(state_of(k->wait[1]) == TCP_CLOSE_WAIT, "%d", state_of(k->wait[1]));
	check(state_of(k->fin[0]) == TCP_FIN_WAIT1, "%d", state_of(k->fin[0]));
	check(state_of(k->closing[1]) == TCP_CLOSING, "%d", state_of(k->closing[1]));
	check(state_of(k->last[1]) == TCP_LAST_ACK, "%d", state_of(k->last[1]));

	gets_text(k->wait[1], "last words");
	check(recv(k->wait[1], b, 1, 0) == 0);
	check(send(k->wait[1], "answer", 6, 0) == 6);
	gets_text(k->wait[0], "answer");
	check(shutdown(k->wait[1], SHUT_WR) == 0 && recv(k->wait[0], b, 1, 0) == 0);
	await(k->wait[1], TCP_CLOSE);

	drain(k->fin[1], k->fin_len);
	check(send(k->fin[1], "answer", 6, 0) == 6);
	gets_text(k->fin[0], "answer");

	check(recv(k->closing[1], b, 1, 0) == 0, "errno %d", errno);
	drain(k->closing[0], k->closing_len);

	check(recv(k->last[1], b, 1, 0) == 0);
	drain(k->last[0], k->last_len);
	await(k->last[1], TCP_CLOSE);

	is_closed(&k->closed[0]);
	is_closed(&k->closed[1]);

	gets_text(k->reset, "abc");
	check(recv(k->reset, b, 1, 0) == -1 && errno == ECONNRESET, "errno %d", errno);
	check(recv(k->reset, b, 1, 0) == 0);
}

int main(int argc, char **argv)
{
	static struct kinds four, six, mapped;
	int probe = socket(AF_INET6, SOCK_STREAM, 0), unused;

	make(AF_INET, false, &four);
	if (probe >= 0) {
		make(AF_INET6, false, &six);
		make(AF_INET6, true, &mapped);
	}
	unused = socket(AF_INET, SOCK_STREAM, 0);
	ready();
	verify(&four);
	if (probe >= 0) {
		verify(&six);
		verify(&mapped);
	}
	check(state_of(unused) == TCP_CLOSE);
	return ok();
}
