/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes that together have more descriptions than any one process may have. */
#include "cr.h"

#include <sys/eventfd.h>

#define N 1500

static int fds[N];

static int make(void)
{
	for (int i = 0; i < N; i++) {
		fds[i] = eventfd((unsigned)(getpid() + i), EFD_NONBLOCK);
		check(fds[i] >= 0, "%d", errno);
	}
	return 0;
}

static int verify(void)
{
	uint64_t count;

	for (int i = 0; i < N; i++)
		if (read(fds[i], &count, 8) != 8 || count != (uint64_t)(getpid() + i))
			return 1;
	return 0;
}

int main(void)
{
	struct child a = child_start(make, verify), b = child_start(make, verify);

	ready();
	child_go(&a);
	child_go(&b);
	return ok();
}
