/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/step.h"

#include <time.h>

uint64_t step_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int step_begin(const char *story, const char *step)
{
	return step_fault ? step_fault(story, step) : 0;
}

static int dump_one(struct dump *d, const struct dump_step *s, struct dtask *t)
{
	int r = s->any_task ? s->any_task(d, t) : 0;

	if (r == 0 && s->task && !t->zombie)
		r = s->task(d, t);
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

static int restore_one(struct restore *r, const struct restore_step *s, struct rtask *t)
{
	int ret = s->task ? s->task(r, t) : 0;

	for (unsigned i = 0; ret == 0 && s->thread && i < t->nthreads; i++)
		ret = s->thread(r, &t->threads[i]);
	return rtask_wrap(t, ret);
}

int restore_step_run(struct restore *r, const struct restore_step *s)
{
	int ret = step_begin("restore", s->name);

	if (ret == 0 && s->all)
		ret = s->all(r);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (!restore_task(r, i)->zombie)
			ret = restore_one(r, s, restore_task(r, i));
	return ret < 0 ? ret : 0;
}
