/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection is refused when nobody asked to keep it, and goes on. */
#include "cr.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b[8];

	check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 1) == 0);
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	check(send(c, "before", 6, 0) == 6);
	ready();
	check(recv(s, b, sizeof(b), 0) == 6);
	check(send(s, "after", 5, 0) == 5 && recv(c, b, sizeof(b), 0) == 5);
	return ok();
}
