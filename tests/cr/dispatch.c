/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that a thread has dispatched to itself. */
#include "cr.h"

#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

int main(void)
{
	static volatile char selector; /* 0: allowed */

	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector) != 0)
		skip("the kernel has no dispatch of system calls");
	ready();
	check(prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0) == 0);
	return ok();
}
