/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of io_uring, mapped. */
#include "cr.h"

int main(void)
{
	uint32_t params[30] = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 8, params);

	if (fd < 0)
		skip("the kernel has no io_uring, or forbids it");
	check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	ready();
	check(fcntl(fd, F_GETFD) >= 0);
	return ok();
}
