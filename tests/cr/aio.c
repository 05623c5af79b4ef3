/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of asynchronous I/O: io_setup(2). */
#include "cr.h"

int main(void)
{
	unsigned long ring = 0;

	if (syscall(SYS_io_setup, 8, &ring) != 0)
		skip("the kernel has no asynchronous I/O");
	ready();
	check(syscall(SYS_io_destroy, ring) == 0, "errno %d", errno);
	return ok();
}
