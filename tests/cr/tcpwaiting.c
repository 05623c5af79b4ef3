/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that nobody has accepted yet, from clients of the tree: they come back in their
 * order, with what was sent on them, their options, and their end.
 */
#include "tcpwait.h"

#include <linux/filter.h>

#define BIG    400000
#define ROUTES 6

static void talk(int a, int b)
{
	put(a, "one way");
	gets_text(b, "one way");
	put(b, "the other");
	gets_text(a, "the other");
}

/* What accept(2) gives is the other end of C. */
static int take(int l, int c)
{
	int s = nap(l);
	union addr from, of;
	socklen_t len = sizeof(from);

	check(getpeername(s, &from.sa, &len) == 0, "errno %d", errno);
	len = sizeof(of);
	check(getsockname(c, &of.sa, &len) == 0);
	check(from.v4.sin_port == of.v4.sin_port, "port %d instead of %d", ntohs(from.v4.sin_port),
	      ntohs(of.v4.sin_port));
	return s;
}

static void same_options(int s, int c)
{
	struct tcp_info a = info(s), b = info(c);

	check(a.tcpi_options == b.tcpi_options, "options %#x, %#x", a.tcpi_options, b.tcpi_options);
	check(a.tcpi_snd_wscale == b.tcpi_rcv_wscale && a.tcpi_rcv_wscale == b.tcpi_snd_wscale,
	      "%d %d, %d %d", a.tcpi_snd_wscale, a.tcpi_rcv_wscale, b.tcpi_snd_wscale,
	      b.tcpi_rcv_wscale);
}

/* Clients of all kinds, in one queue, which is longer than the listening socket lets in by now.
 */
enum { SILENT, SENT, URGENT, HALF, CLOSED, DIED, LARGE, CLIENTS };

static char large[BIG], got[BIG];

static int start(union addr *a, int c[CLIENTS])
{
	struct linger zero = {.l_onoff = 1};
	int l = socket(AF_INET, SOCK_STREAM, 0);
	size_t sent = 0;

	*a = (union addr){.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	set(l, SOL_SOCKET, SO_RCVBUF, 2 * BIG);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	listens(l, a, CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = call(a);
		await(l, (unsigned)i + 1, -1);
	}
	check(listen(l, 2) == 0);
	put(c[SENT], "what was sent");
	put(c[URGENT], "before");
	check(send(c[URGENT], "!", 1, MSG_OOB) == 1);
	put(c[URGENT], "behind");
	put(c[HALF], "half");
	check(shutdown(c[HALF], SHUT_WR) == 0);
	put(c[CLOSED], "gone");
	put(c[DIED], "last");
	await(l, CLIENTS, c[DIED]);
	setsockopt(c[DIED], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero));
	close(c[CLOSED]);
	await_end(c[DIED], a);
	while (sent < BIG) {
		ssize_t n = send(c[LARGE], large + sent, BIG - sent, MSG_DONTWAIT);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	check(sent > 150000, "%zu bytes", sent);
	memset(large + sent, 0, BIG - sent);
	await(l, CLIENTS, c[HALF]);
	return l;
}

static void verify(int l, int c[CLIENTS])
{
	int s = take(l, c[SILENT]);
	size_t at = 0, len = strnlen(large, BIG);
	int at_mark = 0;
	char b;

	same_options(s, c[SILENT]);
	check(get(s, SOL_SOCKET, SO_KEEPALIVE) == 1 && get(s, IPPROTO_TCP, TCP_NODELAY) == 1 &&
	      get(s, SOL_SOCKET, SO_RCVBUF) == get(l, SOL_SOCKET, SO_RCVBUF));
	check(get(s, SOL_SOCKET, SO_REUSEADDR) == 0);
	talk(s, c[SILENT]);
	talk(c[SILENT], s);
	s = take(l, c[SENT]);
	gets_text(s, "what was sent");
	talk(c[SENT], s);
	s = take(l, c[URGENT]);
	gets_text(s, "before");
	check(ioctl(s, SIOCATMARK, &at_mark) == 0 && at_mark);
	check(recv(s, &b, 1, MSG_OOB) == 1 && b == '!', "errno %d", errno);
	gets_text(s, "behind");
	talk(s, c[URGENT]);
	s = take(l, c[HALF]);
	gets_text(s, "half");
	gets_end(s);
	put(s, "answer");
	gets_text(c[HALF], "answer");
	close(s);
	gets_end(c[HALF]);
	s = nap(l);
	gets_text(s, "gone");
	gets_end(s);
	s = nap(l);
	gets_text(s, "last");
	check(recv(s, &b, 1, 0) < 0 && errno == ECONNRESET, "errno %d", errno);
	s = take(l, c[LARGE]);
	while (at < len) {
		ssize_t n = recv(s, got + at, len - at, 0);

		check(n > 0, "after %zu of %zu bytes: errno %d", at, len, errno);
		at += (size_t)n;
	}
	check(!memcmp(large, got, len));
	talk(s, c[LARGE]);
	check(info(l).tcpi_unacked == 0 && info(l).tcpi_sacked == 2);
}

/* IPv6, and IPv4 to a socket of IPv6. */
static int six(union addr *a, int c[2])
{
	int l = socket(AF_INET6, SOCK_STREAM, 0);
	union addr to;

	if (l < 0)
		return -1;
	*a = (union addr){.v6 = {.sin6_family = AF_INET6}};
	check(setsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0, "errno %d", errno);
	listens(l, a, 5);
	to = *a;
	to.v6.sin6_addr = in6addr_loopback;
	c[0] = call(&to);
	await(l, 1, -1);
	to = loopback();
	to.v4.sin_port = a->v6.sin6_port;
	c[1] = call(&to);
	put(c[0], "six");
	put(c[1], "four");
	await(l, 2, c[0]);
	await(l, 2, c[1]);
	return l;
}

#define MEMBERS 3

/* Of several that share a port. */
struct group {
	union addr a;
	int l[MEMBERS], c[ROUTES];
	unsigned waiting[MEMBERS];
};

static void count(const struct group *g, unsigned ret[MEMBERS])
{
	for (int k = 0; k < MEMBERS; k++)
		ret[k] = info(g->l[k]).tcpi_unacked;
}

/* Each is in the queue where it was; with a program, all are in the second. */
static void share(struct group *g, bool program)
{
	struct sock_filter second = {.code = BPF_RET | BPF_K, .k = 1};
	struct sock_fprog p = {.len = 1, .filter = &second};
	unsigned all = 0;

	g->a = loopback();
	for (int i = 0; i < MEMBERS; i++) {
		g->l[i] = socket(AF_INET, SOCK_STREAM, 0);
		set(g->l[i], SOL_SOCKET, SO_REUSEPORT, 1);
		listens(g->l[i], &g->a, ROUTES);
	}
	if (program)
		check(setsockopt(g->l[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &p, sizeof(p)) ==
		      0);
	for (int i = 0; i < ROUTES; i++)
		g->c[i] = call(&g->a);
	for (int i = 0; all < ROUTES && i < PATIENCE_MS; i++, usleep(1000)) {
		count(g, g->waiting);
		all = g->waiting[0] + g->waiting[1] + g->waiting[2];
	}
	check(all == ROUTES, "%u wait", all);
}

static void is_shared(struct group *g, bool program)
{
	unsigned now[MEMBERS];
	int c;

	count(g, now);
	for (int i = 0; i < MEMBERS; i++) {
		check(now[i] == g->waiting[i], "%d has %u instead of %u", i, now[i], g->waiting[i]);
		while (now[i]--)
			check(get(nap(g->l[i]), SOL_SOCKET, SO_REUSEPORT) == 1);
	}
	if (!program)
		return;
	c = call(&g->a);
	take(g->l[1], c);
}

int main(void)
{
	int c[CLIENTS], c6[2] = {-1, -1}, l, l6;
	struct group shared, chosen;
	union addr a, a6;

	for (size_t i = 0; i < BIG; i++)
		large[i] = (char)('a' + i % 23);
	l = start(&a, c);
	l6 = six(&a6, c6);
	share(&shared, false);
	share(&chosen, true);
	ready();
	verify(l, c);
	if (l6 >= 0) {
		int s = take(l6, c6[0]);

		gets_text(s, "six");
		same_options(s, c6[0]);
		talk(s, c6[0]);
		s = take(l6, c6[1]);
		gets_text(s, "four");
		talk(s, c6[1]);
	}
	is_shared(&shared, false);
	is_shared(&chosen, true);
	l = call(&a); /* a new one */
	close(l);
	return ok();
}
