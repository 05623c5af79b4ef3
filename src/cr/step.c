/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/step.h"

#include "base/interrupt.h"

#include <time.h>

uint64_t step_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int step_begin(const char *story, const char *step)
{
	int r = interrupt_check();

	return r < 0 || !step_fault ? r : step_fault(story, step);
}

static int dump_one(struct dump *d, const struct dump_step *s, struct dtask *t)
{
	int r = s->any_task ? s->any_task(d, t) : 0;

	if (r == 0 && s->task && !t->zombie)
		r = s->task(d, t);
	if (r == 0 && s->space && !t->zombie && t->vm == t->index)
		r = s->space(d, t);
	for (unsigned i = 0; r == 0 && s->thread && i < t->nthreads; i++)
		r = s->thread(d, &t->threads[i]);
	for (unsigned i = 0; r == 0 && s->question && i < t->nthreads; i++)
		r = question_take(d, &t->threads[i], s->question);
	return dtask_wrap(t, r);
}

int dump_step_run(struct dump *d, const struct dump_step *s)
{
	int r = step_begin("dump", s->name);

	if (r == 0 && s->all)
		r = s->all(d);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		r = dump_one(d, s, dump_task(d, i));
	return r < 0 ? r : 0;
}

#define WINDOW 256 /* threads that work at the same time */

static void batches_end(struct batch (*v)[WINDOW])
{
	for (unsigned i = 0; i < WINDOW; i++)
		batch_end(&(*v)[i]);
}

static int tell_window(struct restore *r, const struct restore_step *s, struct rthread **h,
		       unsigned n)
{
	CLEANUP(batches_end) struct batch b[WINDOW] = {0};
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < n; i++) {
		rthread_batch(h[i], &b[i]);
		ret = s->tell(r, h[i], &b[i]);
		if (ret == 0)
			ret = batch_post(&b[i]);
		ret = rtask_wrap(h[i]->task, ret);
	}
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = rtask_wrap(h[i]->task, batch_wait(&b[i]));
	return ret;
}

static int tell_all(struct restore *r, const struct restore_step *s)
{
	struct rthread *window[WINDOW];
	unsigned waiting = 0;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; ret == 0 && !t->zombie && k < t->nthreads; k++) {
			if (t->threads[k].gone)
				continue;
			window[waiting++] = &t->threads[k];
			if (waiting < WINDOW)
				continue;
			ret = tell_window(r, s, window, waiting);
			waiting = 0;
		}
	}
	return ret < 0 ? ret : tell_window(r, s, window, waiting);
}

static int restore_one(struct restore *r, const struct restore_step *s, struct rtask *t)
{
	int ret = s->task ? s->task(r, t) : 0;

	if (ret == 0 && s->space && restore_task(r, t->vm) == t)
		ret = s->space(r, t);

	for (unsigned i = 0; ret == 0 && s->thread && i < t->nthreads; i++)
		if (!t->threads[i].gone)
			ret = s->thread(r, &t->threads[i]);
	return rtask_wrap(t, ret);
}

int restore_step_run(struct restore *r, const struct restore_step *s)
{
	int ret = step_begin("restore", s->name);

	if (ret == 0 && s->all)
		ret = s->all(r);
	if (ret == 0 && s->tell)
		ret = tell_all(r, s);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (!restore_task(r, i)->zombie &&
		    (!s->ends || restore_task(r, i)->traces == r->tracers))
			ret = restore_one(r, s, restore_task(r, i));
	return ret < 0 ? ret : 0;
}
