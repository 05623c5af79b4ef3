/* SPDX-License-Identifier: Apache-2.0 */
#include "state/question.h"

#include <errno.h>

#define WINDOW 256 /* threads that are asked at once */

struct asked { /* one thread */
	struct batch batch;
	bool waiting;
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

static int compose(struct questions *all, struct dthread *h, struct asked *a)
{
	int r = 0;

	dthread_batch(h, &a->batch);
	a->waiting = true;
	for (unsigned i = 0; r == 0 && i < all->n; i++)
		if (concerns(all->v[i], h))
			r = all->v[i]->ask(h, &a->batch, a->data + place_of(all, h, i));
	return r < 0 ? r : batch_post(&a->batch);
}

static int wait_for(struct asked *a)
{
	int r;

	if (!a->waiting)
		return 0;
	r = batch_wait(&a->batch);
	if (r == 0)
		a->results = g_array_ref(a->batch.results);
	batch_end(&a->batch);
	a->waiting = false;
	return r;
}

static int ask_one(struct questions *all, struct dthread *h)
{
	struct asked *a = g_new0(struct asked, 1);

	a->data = g_malloc0(place_of(all, h, all->n));
	g_hash_table_insert(all->threads, h, a);
	return compose(all, h, a);
}

int questions_ask(struct dump *d, const struct question *const *v, unsigned n)
{
	struct questions *all = g_new0(struct questions, 1);
	struct dthread *window[WINDOW] = {0};
	unsigned at = 0;
	int r = 0;

	d->questions = all;
	*all = (struct questions){
		.v = g_memdup2(v, n * sizeof(*v)), .n = n, .threads = g_hash_table_new(NULL, NULL)};
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		for (unsigned k = 0; r == 0 && !t->zombie && k < t->nthreads; k++) {
			struct dthread **place = &window[at++ % WINDOW];

			if (*place)
				r = dtask_wrap((*place)->task,
					       wait_for(g_hash_table_lookup(all->threads, *place)));
			*place = &t->threads[k];
			if (r == 0)
				r = dtask_wrap(t, ask_one(all, *place));
		}
	}
	return r;
}

int question_take(struct dump *d, struct dthread *h, const struct question *q)
{
	struct questions *all = d->questions;
	struct asked *a = all ? g_hash_table_lookup(all->threads, h) : NULL;
	struct answers answers;
	int r;

	if (!concerns(q, h))
		return 0;
	r = a ? wait_for(a) : 0;
	if (r < 0)
		return r;
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

		batch_end(&a->batch);
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
