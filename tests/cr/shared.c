/* SPDX-License-Identifier: Apache-2.0 */
/* Refused, and undisturbed by that: a process that shares its memory with its parent. */
#include "cr.h"

#include <sched.h>

static char stack[65536];

static int child(void *arg)
{
	pause();
	return 0;
}

int main(void)
{
	pid_t pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

	check(pid > 0);
	say("expect: it shares its memory with another process\n");
	ready();
	check(kill(pid, 0) == 0);
	return ok();
}
