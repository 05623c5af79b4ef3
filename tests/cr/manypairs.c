/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More sockets than a restore could have open at once: said by the dump, which has no way to know
 * whose limits a restore will have but its own.  Run with a hard limit of 3000 descriptors.
 */
#include "cr.h"

#include <sys/socket.h>

#define PAIRS 1100

int main(void)
{
	int fds[2];

	for (int i = 0; i < PAIRS; i++)
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "errno %d", errno);
	say("expect: so many sockets, pipes and deleted files open that a restore needs more than "
	    "3000 descriptors; raise our hard limit of open files (ulimit -Hn)\n");
	ready();
	check(write(fds[0], "x", 1) == 1);
	return ok();
}
