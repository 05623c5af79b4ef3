/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/program.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ROUND_US 1000

/* runc: libcontainer/nsenter/nsexec.c, "runc:[2:INIT]"; crun keeps its own name. */
static bool is_runtime(const char *comm)
{
	return g_str_has_prefix(comm, "runc:[") || strcmp(comm, "crun\n") == 0;
}

/*
 * Of an execve(2) only a tracer would be told, of any thread of a program in Go which may do it;
 * its name is the program's from begin_new_exec() on (fs/exec.c).
 */
void program_await(pid_t pid, unsigned timeout_ms)
{
	int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	do {
		g_autofree char *comm = NULL;

		if (file_read_at(AT_FDCWD, path, 64, &comm, NULL) < 0)
			return err_clear();
		if (!is_runtime(comm))
			return;
		g_usleep(ROUND_US);
	} while (g_get_monotonic_time() < end);
}
