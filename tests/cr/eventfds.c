/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd counters and semaphores, shared with a child. */
#include "cr.h"

#include <sys/eventfd.h>

static int e, s;

static int child_adds(void)
{
	uint64_t v = 5;

	return write(e, &v, 8) == 8 ? 0 : 10;
}

int main(void)
{
	struct child c;
	uint64_t v;

	e = eventfd(37, EFD_CLOEXEC | EFD_NONBLOCK);
	s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	c = child_start(NULL, child_adds);
	ready();
	child_go(&c);
	check(read(e, &v, 8) == 8 && v == 42, "%lu", (unsigned long)v);
	check(read(s, &v, 8) == 8 && v == 1 && read(s, &v, 8) == 8 && v == 1);
	check(read(s, &v, 8) == -1 && errno == EAGAIN);
	check(fcntl(e, F_GETFD) == FD_CLOEXEC);
	return ok();
}
