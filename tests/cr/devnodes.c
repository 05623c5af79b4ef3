/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes: null, zero, full, random, with their flags. */
#include "cr.h"

int main(void)
{
	int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY),
	    full = open("/dev/full", O_RDWR), random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	char buf[4] = "abc";

	check(null >= 0 && zero >= 0 && full >= 0 && random >= 0);
	ready();
	check(write(null, buf, 3) == 3);
	check(read(zero, buf, 3) == 3 && !buf[0] && !buf[2]);
	check(write(full, buf, 3) == -1 && errno == ENOSPC);
	check(read(random, buf, 4) == 4);
	check(fcntl(random, F_GETFD) == FD_CLOEXEC);
	check((fcntl(null, F_GETFL) & O_ACCMODE) == O_WRONLY);
	return ok();
}
