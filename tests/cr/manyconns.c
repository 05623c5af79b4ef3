/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection costs whoever restores two descriptors: one more until its repair ends.  Run with a
 * hard limit of 3000 descriptors.
 */
#include "cr.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define PAIRS 700

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0), fds[2] = {-1, -1};
	socklen_t len = sizeof(a);

	check(bind(s, (struct sockaddr *)&a, len) == 0 && listen(s, 8) == 0);
	check(getsockname(s, (struct sockaddr *)&a, &len) == 0);
	for (int i = 0; i < PAIRS; i++) {
		fds[0] = socket(AF_INET, SOCK_STREAM, 0);
		check(connect(fds[0], (struct sockaddr *)&a, len) == 0, "errno %d", errno);
		fds[1] = accept(s, NULL, NULL);
		check(fds[1] >= 0);
	}
	say("expect: so many sockets, pipes and deleted files open that a restore needs more than "
	    "3000 descriptors; raise our hard limit of open files (ulimit -Hn)\n");
	ready();
	check(write(fds[0], "x", 1) == 1);
	return ok();
}
