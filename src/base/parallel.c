/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include "base/err.h"

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

static GThread *new_helper(void *(*fn)(void *arg), void *arg)
{
	GThread *thread;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the first thread's business */
	thread = g_thread_try_new("helper", fn, arg, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return thread;
}

static unsigned start(struct work *w, unsigned wanted, GThread **helpers)
{
	unsigned n = 0;

	for (; n < wanted && n + 1 < w->n; n++) {
		helpers[n] = new_helper(worker, w);
		if (!helpers[n])
			break;
	}
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

struct beside {
	GThread *thread; /* NULL: there is none */
	GMutex lock;
	GCond told;
	bool begun, ended; /* by the caller */
	int (*fn)(void *arg);
	void *arg;
	int r;
	char *story;
};

static void do_it(struct beside *b)
{
	b->r = b->fn(b->arg);
	if (b->r < 0)
		b->story = g_strdup(err_message());
}

static void *wait_for_it(void *arg)
{
	struct beside *b = arg;
	bool begun;

	g_mutex_lock(&b->lock);
	while (!b->begun && !b->ended)
		g_cond_wait(&b->told, &b->lock);
	begun = b->begun;
	g_mutex_unlock(&b->lock);
	if (begun)
		do_it(b);
	return NULL;
}

struct beside *beside_new(void)
{
	struct beside *b = g_new0(struct beside, 1);

	g_mutex_init(&b->lock);
	g_cond_init(&b->told);
	b->thread = new_helper(wait_for_it, b);
	return b;
}

static void tell(struct beside *b, bool *what)
{
	g_mutex_lock(&b->lock);
	*what = true;
	g_cond_signal(&b->told);
	g_mutex_unlock(&b->lock);
}

void beside_begin(struct beside *b, int (*fn)(void *arg), void *arg)
{
	b->fn = fn;
	b->arg = arg;
	tell(b, &b->begun);
}

int beside_end(struct beside **bp)
{
	struct beside *b = g_steal_pointer(bp);
	int r;

	if (!b)
		return 0;
	tell(b, &b->ended);
	if (b->thread)
		g_thread_join(b->thread);
	else if (b->begun)
		do_it(b);
	r = b->r < 0 ? err_adopt(b->r, b->story) : 0;
	g_mutex_clear(&b->lock);
	g_cond_clear(&b->told);
	g_free(b->story);
	g_free(b);
	return r;
}
