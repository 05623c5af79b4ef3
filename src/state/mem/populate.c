/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/populate.h"

#include "state/mem/cow.h"
#include "state/mem/mem.h"

#include "kernel/touch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define MUCH	  (UINT64_C(16) << 20)
#define HEAD	  (UINT64_C(8) << 20) /* the agent is there before we are */
#define PIECE_MIN (UINT64_C(64) << 10)

struct piece {
	uint64_t at, end;
};

struct lot { /* of one process */
	pid_t pid;
	GArray *pieces;
	unsigned next;
};

struct populate {
	struct lot *lots;
	unsigned n;
	atomic_bool stop;
	pthread_t thread;
};

/* A part of what is left of a process. */
static bool step(struct lot *l)
{
	struct piece *x;
	uint64_t end;

	if (l->next == l->pieces->len)
		return false;
	x = &g_array_index(l->pieces, struct piece, l->next);
	end = MIN(x->end, x->at + TOUCH_MAX);
	touch_memory(l->pid, x->at, end - x->at);
	x->at = end;
	l->next += x->at == x->end;
	return true;
}

static void *work(void *arg)
{
	struct populate *p = arg;
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < p->n && !atomic_load(&p->stop); i++)
			more |= step(&p->lots[i]);
	}
	return NULL;
}

static void add_piece(GArray *a, uint64_t at, uint64_t end)
{
	if (end - at >= PIECE_MIN)
		g_array_append_val(a, ((struct piece){at, end}));
}

/* Mappings and runs both go upwards: *NEXT is the first mapping that is not behind us yet. */
static void add_range(const struct rtask *t, GArray *a, uint64_t *skip, size_t *next, uint64_t from,
		      uint64_t to)
{
	uint64_t head = MIN(*skip, to - from);

	*skip -= head;
	from += head;
	if (from == to)
		return;
	while (*next < t->mm->n_vmas && t->mm->vmas[*next]->end <= from)
		++*next;
	for (size_t i = *next; i < t->mm->n_vmas && t->mm->vmas[i]->start < to; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (v->end > from && v->flags & MAP_PRIVATE && !(v->flags & MAP_HUGETLB))
			add_piece(a, MAX(from, v->start), MIN(to, v->end));
	}
}

static void list_pieces(const struct rtask *t, GArray *ret)
{
	uint64_t from, to, start = 0, stop = 0, skip = HEAD;
	size_t next = 0;

	for (unsigned i = 0; i < t->pages.n; i++) {
		const struct image_run *run = &t->pages.runs[i];
		uint64_t at = run->vaddr, end = at + run->nr_pages * IMAGE_PAGE_SIZE;

		while (run->fd >= 0 && cow_rest(t, &at, end, &from, &to)) {
			if (from != stop) {
				add_range(t, ret, &skip, &next, start, stop);
				start = from;
			}
			stop = to;
		}
	}
	add_range(t, ret, &skip, &next, start, stop);
}

static void add_lot(struct populate *p, struct rtask *t)
{
	struct lot *l = &p->lots[p->n];

	if (!t->mm || t->pages.nr_pages * IMAGE_PAGE_SIZE < MUCH)
		return;
	*l = (struct lot){.pid = rtask_pid(t),
			  .pieces = g_array_new(FALSE, FALSE, sizeof(struct piece))};
	list_pieces(t, l->pieces);
	p->n++;
}

static void populate_free(struct populate *p)
{
	for (unsigned i = 0; i < p->n; i++)
		g_array_unref(p->lots[i].pieces);
	g_free(p->lots);
	g_free(p);
}

/* Signals are the first thread's. */
static bool start(struct populate *p)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->thread, NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0;
}

struct populate *populate_begin(struct restore *r)
{
	struct populate *p = g_new0(struct populate, 1);

	p->lots = g_new0(struct lot, r->nimages);
	for (unsigned i = 0; i < r->nimages; i++)
		add_lot(p, restore_task(r, i));
	if (p->n && start(p))
		return p;
	populate_free(p);
	return NULL;
}

void populate_end(struct populate **p)
{
	if (!*p)
		return;
	atomic_store(&(*p)->stop, true);
	pthread_join((*p)->thread, NULL);
	populate_free(*p);
	*p = NULL;
}
