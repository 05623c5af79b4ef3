/* SPDX-License-Identifier: Apache-2.0 */
#include "base/progress.h"

#include <stdatomic.h>
#include <stdio.h>

#define FIRST_US 500000
#define EVERY_US 200000

struct progress {
	char *what;
	int64_t begun_us;
	atomic_uint_fast64_t done, total;
	GMutex lock;
	GCond wake;
	bool over, shown;
	uint64_t (*ask)(void *arg);
	void *ask_arg;
	GThread *thread;
};

char *progress_bytes(uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	double v = (double)bytes;
	unsigned u = 0;

	for (; v >= 1000 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1000;
	return g_strdup_printf(u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void show(struct progress *p)
{
	uint64_t done = p->done, total = p->total;
	double seconds = (double)(g_get_monotonic_time() - p->begun_us) / G_USEC_PER_SEC;
	double rate = (double)done / seconds;
	g_autofree char *far = progress_bytes(done), *speed = progress_bytes((uint64_t)rate);
	g_autofree char *all = NULL;
	g_autoptr(GString) line = g_string_new(NULL);

	g_string_append_printf(line, "\r\033[K%s: %s", p->what, far);
	if (total >= done && total) {
		all = progress_bytes(total);
		g_string_append_printf(line, " of %s", all);
	}
	g_string_append_printf(line, ", %s/s", speed);
	if (total >= done && total && rate >= 1)
		g_string_append_printf(line, ", %.0f s left", (double)(total - done) / rate + 0.5);
	fputs(line->str, stderr);
	fflush(stderr);
	p->shown = true;
}

static void *shower(void *data)
{
	struct progress *p = data;
	int64_t next = p->begun_us + FIRST_US;

	g_mutex_lock(&p->lock);
	while (!p->over) {
		if (g_cond_wait_until(&p->wake, &p->lock, next))
			continue;
		if (p->ask)
			p->done = p->ask(p->ask_arg);
		if (p->done)
			show(p);
		next = g_get_monotonic_time() + EVERY_US;
	}
	g_mutex_unlock(&p->lock);
	return NULL;
}

struct progress *progress_begin(const char *what)
{
	struct progress *p;

	if (!isatty(STDERR_FILENO))
		return NULL;
	p = g_new0(struct progress, 1);
	p->what = g_strdup(what);
	p->begun_us = g_get_monotonic_time();
	g_mutex_init(&p->lock);
	g_cond_init(&p->wake);
	p->thread = g_thread_try_new("progress", shower, p, NULL);
	return p;
}

void progress_total(struct progress *p, uint64_t bytes)
{
	if (p)
		p->total = bytes;
}

void progress_at(struct progress *p, uint64_t bytes)
{
	if (p)
		p->done = bytes;
}

void progress_ask(struct progress *p, uint64_t (*ask)(void *arg), void *arg)
{
	if (!p)
		return;
	g_mutex_lock(&p->lock);
	p->ask = ask;
	p->ask_arg = arg;
	g_mutex_unlock(&p->lock);
}

void progress_end(struct progress **pp)
{
	struct progress *p = *pp;

	if (!p)
		return;
	g_mutex_lock(&p->lock);
	p->over = true;
	g_cond_signal(&p->wake);
	g_mutex_unlock(&p->lock);
	if (p->thread)
		g_thread_join(p->thread);
	if (p->shown) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	g_mutex_clear(&p->lock);
	g_cond_clear(&p->wake);
	g_free(p->what);
	g_clear_pointer(pp, g_free);
}
