/* SPDX-License-Identifier: Apache-2.0 */
/* Urgent data that were not read are refused, and are not lost. */
#include "cr.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b;

	check(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 1) == 0);
	check(getsockname(l, (struct sockaddr *)&a, &len) == 0);
	check(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	check(send(c, "!", 1, MSG_OOB) == 1);
	say("expect: urgent data (MSG_OOB) wait in the TCP connection\n");
	ready();
	check(recv(s, &b, 1, MSG_OOB) == 1 && b == '!');
	return ok();
}
