/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram that is not complete yet is refused, and is not lost. */
#include "cr.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	char b[8];

	check(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0);
	check(getsockname(s, (struct sockaddr *)&a, &len) == 0);
	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	check(send(c, "ab", 2, MSG_MORE) == 2);
	say("expect: a datagram waits to be completed (UDP_CORK, MSG_MORE)\n");
	ready();
	check(send(c, "cd", 2, 0) == 2);
	check(recv(s, b, 8, 0) == 4 && !memcmp(b, "abcd", 4));
	return ok();
}
