/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that others trace, a whole process of the tree and a thread of one: who does so is said
 * by the number that the tree knows, and none of them is disturbed.
 */
#include "cr.h"

#include <pthread.h>
#include <sys/ptrace.h>

static int ready_fd[2];

static void *traces(void *arg)
{
	pid_t child = *(pid_t *)arg;
	char c = ptrace(PTRACE_SEIZE, child, 0, 0) == 0 ? 'y' : 'n';

	check(write(ready_fd[1], &c, 1) == 1);
	for (;;)
		pause();
	return NULL;
}

int main(void)
{
	pid_t child = fork(), tracer;
	pthread_t t;
	char c, text[128];
	int status;

	if (child == 0)
		for (;;)
			pause();
	check(pipe(ready_fd) == 0);
	tracer = fork();
	if (tracer == 0) { /* a tracer is a thread */
		check(pthread_create(&t, NULL, traces, &child) == 0);
		for (;;)
			pause();
	}
	check(read(ready_fd[0], &c, 1) == 1 && c == 'y');
	snprintf(text, sizeof(text),
		 "expect: process %d (cr-traced) traces it; end that one, or let it detach\n",
		 tracer);
	say(text);
	ready();
	check(kill(child, 0) == 0 && waitpid(-1, &status, WNOHANG) == 0);
	check(kill(tracer, SIGKILL) == 0 && kill(child, SIGKILL) == 0);
	return ok();
}
