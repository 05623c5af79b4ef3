/* SPDX-License-Identifier: Apache-2.0 */
#include "state/question.h"

#include <errno.h>

#define WINDOW 256 /* threads that are asked at once */

struct asked { /* one thread */
	GArray *results;
	uint8_t *data; /* of all questions that concern it, one after the other */
};

struct questions {
	const struct question **v;
	unsigned n;
	GHashTable *threads; /* struct dthread -> struct asked */
};

static bool concerns(const struct question *q, const struct dthread *h)
{
	return !q->leader || h == h->task->threads;
}

/* Where the data of question N of a thread is; of the one after the last: how much it is. */
static size_t place_of(const struct questions *all, const struct dthread *h, unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++)
		at += concerns(all->v[i], h) ? ROUND_UP(all->v[i]->bytes, 16) : 0;
	return at;
}

static unsigned number_of(const struct questions *all, const struct question *q)
{
	unsigned i = 0;

	while (all->v[i] != q)
		i++;
	return i;
}

static int compose(struct questions *all, struct dthread *h, struct asked *a, struct batch *b)
{
	int r = 0;

	dthread_batch(h, b);
	for (unsigned i = 0; r == 0 && i < all->n; i++)
		if (concerns(all->v[i], h))
			r = all->v[i]->ask(h, b, a->data + place_of(all, h, i));
	return r < 0 ? r : batch_post(b);
}

static void batches_end(struct batch (*v)[WINDOW])
{
	for (unsigned i = 0; i < WINDOW; i++)
		batch_end(&(*v)[i]);
}

static int ask_window(struct questions *all, struct dthread **h, unsigned n)
{
	CLEANUP(batches_end) struct batch b[WINDOW] = {0};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct asked *a = g_new0(struct asked, 1);

		a->data = g_malloc0(place_of(all, h[i], all->n));
		g_hash_table_insert(all->threads, h[i], a);
		r = dtask_wrap(h[i]->task, compose(all, h[i], a, &b[i]));
	}
	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct asked *a = g_hash_table_lookup(all->threads, h[i]);

		r = dtask_wrap(h[i]->task, batch_wait(&b[i]));
		a->results = g_array_ref(b[i].results);
	}
	return r;
}

int questions_ask(struct dump *d, const struct question *const *v, unsigned n)
{
	struct questions *all = g_new0(struct questions, 1);
	struct dthread *window[WINDOW];
	unsigned waiting = 0;
	int r = 0;

	d->questions = all;
	*all = (struct questions){
		.v = g_memdup2(v, n * sizeof(*v)), .n = n, .threads = g_hash_table_new(NULL, NULL)};
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		for (unsigned k = 0; r == 0 && !t->zombie && k < t->nthreads; k++) {
			window[waiting++] = &t->threads[k];
			if (waiting < WINDOW)
				continue;
			r = ask_window(all, window, waiting);
			waiting = 0;
		}
	}
	return r < 0 ? r : ask_window(all, window, waiting);
}

int question_take(struct dump *d, struct dthread *h, const struct question *q)
{
	struct questions *all = d->questions;
	const struct asked *a = all ? g_hash_table_lookup(all->threads, h) : NULL;
	struct answers answers;

	if (!concerns(q, h))
		return 0;
	if (!a || !a->results)
		return err_set(EPROTO, "thread %d was not asked", h->nstid);
	answers = (struct answers){a->data + place_of(all, h, number_of(all, q)), a->results};
	return q->take(d, h, &answers);
}

void questions_end(struct dump *d)
{
	struct questions *all = g_steal_pointer(&d->questions);
	GHashTableIter it;
	void *h, *value;

	if (!all)
		return;
	g_hash_table_iter_init(&it, all->threads);
	while (g_hash_table_iter_next(&it, &h, &value)) {
		struct asked *a = value;

		for (unsigned i = 0; i < all->n; i++)
			if (all->v[i]->clear && concerns(all->v[i], h))
				all->v[i]->clear(a->data + place_of(all, h, i));
		if (a->results)
			g_array_unref(a->results);
		g_free(a->data);
		g_free(a);
	}
	g_hash_table_unref(all->threads);
	g_free(all->v);
	g_free(all);
}
