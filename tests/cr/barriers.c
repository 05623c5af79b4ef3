/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has registered for membarrier(2). */
#include "cr.h"

#include <linux/membarrier.h>

#define GET_REGISTRATIONS (1 << 9) /* Linux 6.3 */

int main(void)
{
	static const int want[] = {MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
				   MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
				   MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE};
	int before;

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		if (syscall(SYS_membarrier, want[i], 0, 0) != 0)
			skip("the kernel has no expedited barriers");
	before = (int)syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0);
	ready();
	check(syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0) == before || before < 0);
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0, "errno %d",
	      errno);
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0,
	      "errno %d", errno);
	return ok();
}
