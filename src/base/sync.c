/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#define HELPERS 7

struct work {
	const int *fds;
	unsigned n, next; /* next: atomic */
	int *error;
};

static void *worker(void *data)
{
	struct work *w = data;
	unsigned i;

	while ((i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED)) < w->n)
		w->error[i] = fsync(w->fds[i]) < 0 ? errno : 0;
	return NULL;
}

/* Without a helper (a limit of processes) the caller does it alone. */
static unsigned start(struct work *w, GThread **helpers)
{
	sigset_t all, old;
	unsigned n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the first thread's business */
	for (; n < HELPERS && n + 1 < w->n; n++) {
		helpers[n] = g_thread_try_new("sync", worker, w, NULL);
		if (!helpers[n])
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

int sync_files(const int *fds, const char *const *names, unsigned n)
{
	g_autofree int *error = g_new0(int, n);
	struct work w = {.fds = fds, .n = n, .error = error};
	GThread *helpers[HELPERS];
	unsigned helping;

	/* A hint only: all data is on its way before the first fsync(2) waits. */
	for (unsigned i = 0; i < n; i++)
		(void)!sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	helping = start(&w, helpers);
	worker(&w);
	while (helping > 0)
		g_thread_join(helpers[--helping]);
	for (unsigned i = 0; i < n; i++)
		if (error[i])
			return err_code(error[i], "sync %s",
					names && names[i] ? names[i] : "a file");
	return 0;
}
