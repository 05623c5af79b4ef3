/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include "base/parallel.h"

#include <errno.h>
#include <fcntl.h>

struct work {
	const int *fds;
	int *error;
};

static void sync_one(void *data, unsigned i)
{
	struct work *w = data;

	w->error[i] = fsync(w->fds[i]) < 0 ? errno : 0;
}

int sync_files(const int *fds, const char *const *names, unsigned n)
{
	g_autofree int *error = g_new0(int, n);
	struct work w = {fds, error};

	/* A hint only: all data is on its way before the first fsync(2) waits. */
	for (unsigned i = 0; i < n; i++)
		(void)!sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	parallel_run_with(n, PARALLEL_HELPERS_MAX, sync_one, &w);
	for (unsigned i = 0; i < n; i++)
		if (error[i])
			return err_code(error[i], "sync %s",
					names && names[i] ? names[i] : "a file");
	return 0;
}
