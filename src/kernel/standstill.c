/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/standstill.h"

#include "base/log.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool thread_stands(pid_t pid, pid_t tid)
{
	struct procstat st;
	char path[64];
	autoclose int dir = -1;

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || procstat_read(dir, &st) < 0 || strchr("TtZX", st.state);
}

static bool process_stands(pid_t pid)
{
	CLEANUP(pid_list_clear) struct pid_list threads = {0};
	char path[32];
	autoclose int dir = -1;
	bool stands = true;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && proc_tasks(dir, &threads) == 0)
		for (size_t i = 0; stands && i < threads.n; i++)
			stands = thread_stands(pid, threads.v[i]);
	err_clear();
	return stands;
}

void standstill_await(const GArray *pids, int ms)
{
	gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;

	for (unsigned i = 0; i < pids->len;) {
		pid_t pid = g_array_index(pids, pid_t, i);

		if (process_stands(pid)) {
			i++;
		} else if (g_get_monotonic_time() < end) {
			g_usleep(200);
		} else {
			log_debug("process %d does not stand still yet", pid);
			i++;
		}
	}
}
