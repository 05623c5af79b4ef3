/* SPDX-License-Identifier: Apache-2.0 */
/* The least there is: one process that waits. */
#include "cr.h"

int main(void)
{
	pid_t pid = getpid(), ppid = getppid();

	ready();
	check(getpid() == pid, "pid %d", getpid());
	check(getppid() == ppid, "parent %d, was %d", getppid(), ppid);
	return ok();
}
