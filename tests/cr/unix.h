/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets by their names, for the programs that have some. */
#pragma once

#include "cr.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ABSTRACT: the name begins with a zero byte.  The length of the address. */
static inline socklen_t unix_addr(struct sockaddr_un *a, const char *name, bool abstract)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(a->sun_path + abstract, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

/* Listening, unless TYPE is SOCK_DGRAM. */
static inline int unix_bound(const char *name, bool abstract, int type)
{
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name, abstract);
	int fd = socket(AF_UNIX, type, 0);

	check(bind(fd, (struct sockaddr *)&a, len) == 0, name);
	check(type == SOCK_DGRAM || listen(fd, 5) == 0);
	return fd;
}

static inline int unix_client(const char *name, bool abstract, int type)
{
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name, abstract);
	int fd = socket(AF_UNIX, type, 0);

	check(connect(fd, (struct sockaddr *)&a, len) == 0, "%s: errno %d", name, errno);
	return fd;
}

/* In both directions. */
static inline void unix_talk(int a, int b)
{
	char buf[8];

	check(send(a, "to", 2, 0) == 2 && recv(b, buf, 8, 0) == 2);
	check(send(b, "fro", 3, 0) == 3 && recv(a, buf, 8, 0) == 3);
}
