/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <signal.h>

#define MIN_PER_HELPER 128 /* a thread takes 50 us to be made */
#define CHUNK	       16  /* taken at a time, so that two rarely meet; 1 where there are few */

struct work {
	void (*fn)(void *arg, unsigned i);
	void *arg;
	unsigned n, chunk, next; /* next: atomic */
};

static void *worker(void *data)
{
	struct work *w = data;
	unsigned i;

	while ((i = __atomic_fetch_add(&w->next, w->chunk, __ATOMIC_RELAXED)) < w->n)
		for (unsigned end = MIN(i + w->chunk, w->n); i < end; i++)
			w->fn(w->arg, i);
	return NULL;
}

static unsigned start(struct work *w, unsigned wanted, GThread **helpers)
{
	sigset_t all, old;
	unsigned n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the first thread's business */
	for (; n < wanted && n + 1 < w->n; n++) {
		helpers[n] = g_thread_try_new("helper", worker, w, NULL);
		if (!helpers[n])
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

void parallel_run_with(unsigned n, unsigned helpers, void (*fn)(void *arg, unsigned i), void *arg)
{
	struct work w = {fn, arg, n, n > MIN_PER_HELPER ? CHUNK : 1, 0};
	GThread *threads[PARALLEL_HELPERS_MAX];
	unsigned helping = start(&w, MIN(helpers, PARALLEL_HELPERS_MAX), threads);

	worker(&w);
	while (helping > 0)
		g_thread_join(threads[--helping]);
}

void parallel_run(unsigned n, void (*fn)(void *arg, unsigned i), void *arg)
{
	parallel_run_with(n, MIN(n / MIN_PER_HELPER, g_get_num_processors() - 1), fn, arg);
}
