/* SPDX-License-Identifier: Apache-2.0 */
/* A process that another one traces: who that is must be said. */
#include "cr.h"

#include <sys/ptrace.h>

int main(void)
{
	pid_t child = fork(), tracer;
	int ready_fd[2];
	char c;

	if (child == 0)
		for (;;)
			pause();
	check(pipe(ready_fd) == 0);
	tracer = fork();
	if (tracer == 0) {
		c = ptrace(PTRACE_SEIZE, child, 0, 0) == 0 ? 'y' : 'n';
		check(write(ready_fd[1], &c, 1) == 1);
		for (;;)
			pause();
	}
	check(read(ready_fd[0], &c, 1) == 1 && c == 'y');
	say("expect: (cr-traced) traces it; end that one\n");
	ready();
	check(kill(tracer, SIGKILL) == 0 && kill(child, SIGKILL) == 0);
	return ok();
}
