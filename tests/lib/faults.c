/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault sweep's hook (cr/step.h: step_fault()), linked only into programs that are tested.
 *
 *	CRYO_FAULTS_LIST=FILE		appends "story:step" of every step that is begun
 *	CRYO_FAULT=STORY:STEP:fail	that step fails
 *	CRYO_FAULT=STORY:STEP:kill	SIGKILL there
 *	CRYO_FAULT=STORY:STEP:int	SIGINT there, as by Ctrl-C
 *	CRYO_FAULT=STORY:STEP:run	there the shell runs $CRYO_FAULT_RUN, and it goes on
 */
#include "cr/step.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void list(const char *file, const char *point)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd >= 0) {
		dprintf(fd, "%s\n", point);
		close(fd);
	}
}

/* system(3) would keep Ctrl-C from us. */
static int run(const char *script)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int step_fault(const char *story, const char *step)
{
	const char *file = getenv("CRYO_FAULTS_LIST"), *fault = getenv("CRYO_FAULT");
	char point[128];
	size_t n = (size_t)snprintf(point, sizeof(point), "%s:%s", story, step);

	if (file)
		list(file, point);
	if (!fault || strncmp(fault, point, n) != 0 || fault[n] != ':')
		return 0;
	if (strcmp(fault + n + 1, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(fault + n + 1, "int") == 0)
		return raise(SIGINT);
	if (strcmp(fault + n + 1, "run") == 0)
		return run(getenv("CRYO_FAULT_RUN"));
	return err_set(EIO, "fault at step \"%s\"", step);
}
