/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader of a socket can tell of urgent data (MSG_OOB). */
#pragma once

#include "cr.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static inline size_t note(char *to, size_t room, const char *what, int n)
{
	return (size_t)snprintf(to, room, " %s%d", what, n);
}

/* Everything that a reader can tell, until nothing is left. */
static inline void tell(int fd, char *to, size_t room)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI};
	size_t n = 0;

	for (unsigned i = 0; i < 12; i++) {
		char b[16] = "", oob = '.';
		int mark = -1, in = -1, got;

		check(ioctl(fd, SIOCATMARK, &mark) == 0 && ioctl(fd, FIONREAD, &in) == 0);
		check(poll(&p, 1, 0) >= 0);
		n += note(to + n, room - n, "mark ", mark);
		n += note(to + n, room - n, "in ", in);
		n += note(to + n, room - n, "poll ", p.revents);
		if (recv(fd, &oob, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0)
			oob = '!';
		got = (int)recv(fd, b, i == 0 ? 1 : 10, MSG_DONTWAIT);
		n += (size_t)snprintf(to + n, room - n, " %c %d %s;", oob, got, b);
		if (got < 0 && !(p.revents & POLLPRI))
			break;
		if (got < 0 && i > 0)
			(void)recv(fd, b, 1, MSG_OOB | MSG_DONTWAIT);
	}
}
