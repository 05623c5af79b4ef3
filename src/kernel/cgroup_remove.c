/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_US 2000

static void remove_below(const char *path, int64_t end_us)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		g_autofree char *below = g_build_filename(path, e->d_name, NULL);

		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    cgroup_remove(below, end_us) < 0)
			err_clear(); /* the one above tells */
	}
	if (d)
		closedir(d);
}

int cgroup_remove(const char *path, int64_t end_us)
{
	while (rmdir(path) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return err_errno("remove cgroup %s", path);
		remove_below(path, end_us);
		if (rmdir(path) == 0)
			return 0;
		if (g_get_monotonic_time() >= end_us)
			return err_set(EBUSY, "cgroup %s still has processes", path);
		g_usleep(AGAIN_US);
	}
	return 0;
}
