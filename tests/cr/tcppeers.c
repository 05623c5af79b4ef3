/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections to a program outside of the tree, which goes on meanwhile: it sends, closes and
 * resets while nobody is there.
 */
#include "cr.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>

enum { TALK, WAITS, HALF, LEAVES, DIES, PULSE, CONNECTIONS };

#define PATIENCE_MS 15000

static int listener(int backlog, unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, backlog) == 0);
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	*port = ntohs(a.sin_port);
	return l;
}

static int call(unsigned port, int flags)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int c = socket(AF_INET, SOCK_STREAM | flags, 0);

	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
	return c;
}

static void put(int fd, const char *text)
{
	check(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "%s: errno %d",
	      text, errno);
}

static void gets_text(int fd, const char *want)
{
	struct timeval t = {.tv_sec = PATIENCE_MS / 1000};
	char b[32] = "";
	size_t len = strlen(want);
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	n = recv(fd, b, len, MSG_WAITALL);
	check(n == (ssize_t)len && !memcmp(b, want, len), "%s instead of %s, errno %d", b, want,
	      errno);
}

static void gets_end(int fd)
{
	char b;

	check(recv(fd, &b, 1, 0) == 0, "errno %d", errno);
}

/* Nobody acknowledges what is sent, or the program says that it is over. */
static void await_silence(int pulse, int talk)
{
	struct pollfd p = {.fd = talk, .events = POLLIN};
	int out = 0;

	for (int stalled = 0; stalled < 3;) {
		check(send(pulse, ".", 1, MSG_NOSIGNAL) == 1, "errno %d", errno);
		usleep(10000);
		check(ioctl(pulse, SIOCOUTQ, &out) == 0);
		stalled = out ? stalled + 1 : 0;
		if (poll(&p, 1, 0) == 1)
			return;
	}
}

static int peer(void)
{
	unsigned ports[2];
	struct linger zero = {.l_onoff = 1};
	int l = listener(CONNECTIONS, &ports[0]), full = listener(0, &ports[1]), c[CONNECTIONS];
	int fills = call(ports[1], 0), more;
	char text[64];

	snprintf(text, sizeof(text), "%u %u\n", ports[0], ports[1]);
	say(text);
	for (int i = 0; i < CONNECTIONS; i++)
		c[i] = accept(l, NULL, NULL);
	put(c[TALK], "hello");
	put(c[WAITS], "last words");
	check(shutdown(c[WAITS], SHUT_WR) == 0);
	gets_end(c[HALF]);
	put(c[TALK], "set");
	await_silence(c[PULSE], c[TALK]);
	put(c[HALF], "meanwhile");
	check(shutdown(c[HALF], SHUT_WR) == 0);
	close(c[LEAVES]);
	setsockopt(c[DIES], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero));
	close(c[DIES]);

	gets_text(c[TALK], "before");
	gets_text(c[TALK], "after");
	put(c[TALK], "well");
	gets_text(c[WAITS], "answer");
	gets_end(c[WAITS]);
	more = accept(full, NULL, NULL);
	check(more >= 0);
	close(more);
	close(fills);
	more = accept(full, NULL, NULL);
	check(more >= 0);
	gets_text(more, "at last");
	return 0;
}

static int opt(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	check(getsockopt(fd, level, name, &v, &len) == 0);
	return v;
}

int main(int argc, char **argv)
{
	unsigned ports[2];
	int c[CONNECTIONS], late, nowait;
	struct pollfd p = {.events = POLLOUT};
	struct tcp_info before = {0}, after = {0};
	socklen_t len = sizeof(before);
	char b;

	check(argc == 2);
	if (strcmp(argv[1], "peer") == 0)
		return peer();
	check(sscanf(argv[1], "%u %u", &ports[0], &ports[1]) == 2);
	for (int i = 0; i < CONNECTIONS; i++)
		c[i] = call(ports[0], 0);
	put(c[TALK], "before");
	check(shutdown(c[HALF], SHUT_WR) == 0);
	p.fd = late = call(ports[1], SOCK_NONBLOCK);
	check(poll(&p, 1, 300) == 0, "it should not be connected: %#x", p.revents);
	for (int on = 1, idle = 77; on; on = 0) {
		setsockopt(c[TALK], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(c[TALK], IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	}
	gets_text(c[TALK], "hello");
	gets_text(c[TALK], "set");
	check(getsockopt(c[TALK], IPPROTO_TCP, TCP_INFO, &before, &len) == 0);
	ready();
	check(getsockopt(c[TALK], IPPROTO_TCP, TCP_INFO, &after, &len) == 0);
	check(before.tcpi_options == after.tcpi_options, "%#x, %#x", before.tcpi_options,
	      after.tcpi_options);
	check(before.tcpi_snd_wscale == after.tcpi_snd_wscale &&
	      before.tcpi_rcv_wscale == after.tcpi_rcv_wscale);
	check(after.tcpi_snd_mss >= MIN(before.tcpi_snd_mss, 32000), "%u", after.tcpi_snd_mss);
	check(opt(c[TALK], SOL_SOCKET, SO_KEEPALIVE) &&
	      opt(c[TALK], IPPROTO_TCP, TCP_KEEPIDLE) == 77);
	put(c[TALK], "after");
	gets_text(c[TALK], "well");
	gets_text(c[WAITS], "last words");
	gets_end(c[WAITS]);
	put(c[WAITS], "answer");
	close(c[WAITS]);
	gets_text(c[HALF], "meanwhile");
	gets_end(c[HALF]);
	gets_end(c[LEAVES]);
	check(recv(c[DIES], &b, 1, 0) == -1 && errno == ECONNRESET, "errno %d", errno);
	nowait = poll(&p, 1, PATIENCE_MS);
	check(nowait == 1 && p.revents == POLLOUT, "%d, %#x", nowait, p.revents);
	check(opt(late, SOL_SOCKET, SO_ERROR) == 0);
	put(late, "at last");
	return ok();
}
