/* SPDX-License-Identifier: Apache-2.0 */
/* Refused after a while, and undisturbed by that: a vfork(2) whose child executes nothing. */
#include "cr.h"

int main(void)
{
	int fd[2], status;
	pid_t pid;
	char c;

	check(pipe(fd) == 0);
	pid = fork();
	if (pid == 0) {
		pid = vfork();
		if (pid == 0) {
			if (write(fd[1], "v", 1) != 1)
				_exit(2);
			for (;;)
				pause();
		}
		/* its child's end is what ends the wait */
		_exit(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL ? 0 : 3);
	}
	check(read(fd[0], &c, 1) == 1);
	say("expect: waits for it in vfork(2), until it executes a program\n");
	ready();
	FILE *f;
	char path[64];
	pid_t child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	check(f && fscanf(f, "%d", &child) == 1);
	check(kill(child, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && status == 0,
	      "status %#x", status);
	return ok();
}
