/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of TCP sockets (TCP_MD5SIG).  Who listens with one answers nobody who has not got it, and
 * who listens without one answers nobody who signs: one connection tells of both ends.
 */
#include "cr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static const struct pair {
	int family;
	const char *at, *of; /* where it listens; who has the key */
	const char *key;
} pairs[] = {
	{AF_INET, "127.0.0.1", "127.0.0.1", "first"},
	{AF_INET6, "::1", "::1", "second"},
	{AF_INET6, "::ffff:127.0.0.1", "::ffff:127.0.0.1", "a third one, that is longer"},
};
#define N ARRAY_SIZE(pairs)

static struct sockaddr_storage address(int family, const char *text)
{
	struct sockaddr_storage a = {.ss_family = (sa_family_t)family};

	check(inet_pton(family, text,
			family == AF_INET
				? (void *)&((struct sockaddr_in *)(void *)&a)->sin_addr
				: (void *)&((struct sockaddr_in6 *)(void *)&a)->sin6_addr) == 1);
	return a;
}

static void add_key(int fd, const struct pair *p, const char *of, const char *key)
{
	struct tcp_md5sig m = {.tcpm_keylen = (uint16_t)strlen(key)};

	m.tcpm_addr = address(p->family, of);
	memcpy(m.tcpm_key, key, strlen(key));
	if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)) < 0 &&
	    (errno == ENOPROTOOPT || errno == ENOSYS))
		skip("this kernel has no TCP_MD5SIG");
}

static int listen_at(const struct pair *p)
{
	struct sockaddr_storage at = address(p->family, p->at);
	int fd = socket(p->family, SOCK_STREAM, 0);

	check(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0, "errno %d", errno);
	add_key(fd, p, p->of, "of somebody else");
	add_key(fd, p, p->of, p->key); /* instead */
	check(listen(fd, 8) == 0);
	return fd;
}

static int client_of(const struct pair *p)
{
	int fd = socket(p->family, SOCK_STREAM, 0), few = 2;

	add_key(fd, p, p->at, p->key);
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &few, sizeof(few));
	return fd;
}

static void verify(int client, int listening, const char *what)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	int fd;

	check(getsockname(listening, (struct sockaddr *)&at, &len) == 0);
	check(connect(client, (struct sockaddr *)&at, len) == 0, "%s: errno %d", what, errno);
	fd = accept(listening, NULL, NULL);
	check(fd >= 0 && write(client, "x", 1) == 1 && read(fd, &(char){0}, 1) == 1);
}

int main(void)
{
	int listening[N], client[N];

	for (unsigned i = 0; i < N; i++) {
		listening[i] = listen_at(&pairs[i]);
		client[i] = client_of(&pairs[i]);
	}
	ready();
	/* each with one that has just got its key */
	for (unsigned i = 0; i < N; i++) {
		verify(client[i], listen_at(&pairs[i]), "restored client");
		verify(client_of(&pairs[i]), listening[i], "restored listener");
	}
	return ok();
}
