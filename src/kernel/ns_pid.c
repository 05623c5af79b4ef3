/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/ns.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_PID "/proc/sys/kernel/ns_last_pid"

/*
 * The file is about the pid namespace of who writes, whichever /proc it is in
 * (kernel/pid_namespace.c: pid_ns_ctl_handler()), and only a child is in the one that was entered.
 */
static int write_in_child(void *arg, int *ret_fd)
{
	const pid_t *next = arg;
	char text[16];
	int status = 0;
	pid_t pid;

	snprintf(text, sizeof(text), "%d", *next - 1);
	pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid == 0)
		_exit(file_poke_at(AT_FDCWD, LAST_PID, text) < 0 ? 1 : 0);
	/* reaped here, so that its own number is free again */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for the child in the pid namespace");
	return status ? err_set(EOPNOTSUPP,
				"cannot choose the next process number in the container: write "
				"to " LAST_PID)
		      : 0;
}

int ns_next_pid(int pid_ns, pid_t next)
{
	return ns_run(&pid_ns, 1, write_in_child, &next, NULL);
}
