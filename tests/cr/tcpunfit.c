/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection that can be saved only when it has been accepted: of a peer with tiny segments.
 */
#include "tcpwait.h"

int main(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	union addr a = loopback();
	char text[80];

	listens(l, &a, 5);
	set(c, IPPROTO_TCP, TCP_MAXSEG, 400);
	check(connect(c, &a.sa, sizeof(a.v4)) == 0, "errno %d", errno);
	await(l, 1, -1);
	snprintf(text, sizeof(text),
		 "expect: the TCP connection 127.0.0.1:%u - 127.0.0.1:", ntohs(a.v4.sin_port));
	say(text);
	say("\nexpect: waits to be accepted, and cannot be saved before: its peer wants smaller\n"
	    "expect: try again, or use --skip-in-flight\n");
	ready();
	s = nap(l);
	put(c, "goes on");
	gets_text(s, "goes on");
	return ok();
}
