/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/mem.h"
#include "state/mem/stage_parts.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#define STUB_TIMEOUT_MS 10000
#define MAPS_MAX	1000000u
#define POKES		512u

static void task_free(void *p)
{
	struct stage_task *t = p;

	g_array_unref(t->segs);
	g_array_unref(t->runs);
	g_array_unref(t->next);
	g_array_unref(t->had);
	g_free(t);
}

int stage_new(int sock, int aside, struct stage **ret)
{
	struct stage *s = *ret = g_new0(struct stage, 1);

	s->stub = STUB_NONE;
	s->aside = aside;
	s->next_place = STAGE_PLACE;
	s->tasks = g_hash_table_new_full(NULL, NULL, NULL, task_free);
	return stub_await(sock, STUB_TIMEOUT_MS, &s->stub);
}

void stage_free(struct stage **sp)
{
	struct stage *s = *sp;

	if (!s)
		return;
	stub_clear(&s->stub);
	g_hash_table_unref(s->tasks);
	g_clear_pointer(sp, g_free);
}

static struct stage_task *task_of(struct stage *s, pid_t nspid)
{
	struct stage_task *t = g_hash_table_lookup(s->tasks, GINT_TO_POINTER(nspid));

	if (t)
		return t;
	t = g_new0(struct stage_task, 1);
	*t = (struct stage_task){
		.stage = s,
		.nspid = nspid,
		.segs = g_array_new(FALSE, FALSE, sizeof(struct stage_seg)),
		.runs = g_array_new(FALSE, FALSE, sizeof(struct image_run)),
		.next = g_array_new(FALSE, FALSE, sizeof(struct image_run)),
		.had = g_array_new(FALSE, FALSE, sizeof(struct stage_range)),
	};
	g_hash_table_insert(s->tasks, GINT_TO_POINTER(nspid), t);
	return t;
}

unsigned stage_seg_from(const struct stage_task *t, uint64_t addr)
{
	const struct stage_seg *v = (const void *)t->segs->data;
	unsigned lo = 0, hi = t->segs->len;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int stage_poke(struct stage *s, const struct iovec *from, unsigned nfrom, const struct iovec *to,
	       unsigned nto, uint64_t bytes)
{
	ssize_t n = process_vm_writev(s->stub.pid, from, nfrom, to, nto, 0);

	if (n < 0)
		return err_errno("write memory that waits");
	return (uint64_t)n == bytes ? 0 : err_set(ENOMEM, "no memory for what waits");
}

static int check_piece(uint64_t start, uint64_t end, uint64_t after)
{
	if (start >= after && start < end && end <= TASK_SIZE &&
	    (start | end) % IMAGE_PAGE_SIZE == 0)
		return 0;
	return err_set(EBADMSG, "memory %" PRIx64 "-%" PRIx64 " cannot be", start, end);
}

int stage_maps(struct stage *s, pid_t nspid, const struct page_map *v, unsigned n)
{
	struct stage_task *t = task_of(s, nspid);
	uint64_t after = 0;
	int r = n > MAPS_MAX ? err_set(E2BIG, "process %d has %u mappings", nspid, n) : 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (v[i].end > TASK_SIZE) /* [vsyscall] */
			break;
		r = check_piece(v[i].start, v[i].end, after);
		after = v[i].end;
		if (r == 0)
			r = stage_make_room(t, &v[i]);
	}
	return r;
}

/* What follows the last one, at the same place, becomes one with it. */
static void add_run(GArray *a, const struct image_run *x)
{
	struct image_run *last = a->len ? &g_array_index(a, struct image_run, a->len - 1) : NULL;
	uint64_t bytes = last ? last->nr_pages * IMAGE_PAGE_SIZE : 0;

	if (last && last->vaddr + bytes == x->vaddr && last->fd == x->fd &&
	    (x->fd < 0 || last->offset + bytes == x->offset))
		last->nr_pages += x->nr_pages;
	else
		g_array_append_val(a, *x);
}

/* The same as before this round. */
static int keep(struct stage_task *t, const struct page_piece *p)
{
	for (uint64_t at = p->start; at < p->end;) {
		const struct image_run *run;
		struct image_run part;
		uint64_t end;

		for (;; t->from++) {
			if (t->from == t->runs->len)
				return err_set(EBADMSG, "process %d: no page came for %" PRIx64,
					       t->nspid, at);
			run = &g_array_index(t->runs, struct image_run, t->from);
			end = run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE;
			if (end > at)
				break;
		}
		if (run->vaddr > at)
			return err_set(EBADMSG, "process %d: no page came for %" PRIx64, t->nspid,
				       at);
		part = *run;
		end = MIN(end, p->end);
		part.vaddr = at;
		part.nr_pages = (end - at) / IMAGE_PAGE_SIZE;
		if (run->fd >= 0)
			part.offset += at - run->vaddr;
		add_run(t->next, &part);
		at = end;
	}
	return 0;
}

/* Pages on their way into the stub. */
struct pokes {
	struct stage_task *t;
	struct iovec from[POKES], to[POKES];
	unsigned n;
	uint64_t bytes;
};

static int pokes_flush(struct pokes *k)
{
	int r = k->n ? stage_poke(k->t->stage, k->from, k->n, k->to, k->n, k->bytes) : 0;

	k->n = 0;
	k->bytes = 0;
	return r;
}

static int pokes_add(struct pokes *k, const uint8_t *buf, uint64_t to, uint64_t len)
{
	int r = k->n == POKES ? pokes_flush(k) : 0;

	k->from[k->n] = (struct iovec){(void *)(uintptr_t)buf, len};
	k->to[k->n++] = (struct iovec){(void *)(uintptr_t)to, len};
	k->bytes += len;
	return r;
}

static int put_aside(struct stage_task *t, const uint8_t *buf, uint64_t at, uint64_t len)
{
	struct stage *s = t->stage;
	const struct image_run run = {.vaddr = at,
				      .nr_pages = len / IMAGE_PAGE_SIZE,
				      .flags = PE_PRESENT,
				      .fd = s->aside,
				      .offset = s->aside_end};
	int r = fd_pwrite_full(s->aside, buf, len, (off_t)s->aside_end);

	if (r < 0)
		return r;
	s->aside_end += len;
	add_run(t->next, &run);
	return 0;
}

static int take(struct pokes *k, const struct page_piece *p, const uint8_t *buf)
{
	struct stage_task *t = k->t;
	int r = 0;

	for (uint64_t at = p->start, end; r == 0 && at < p->end; buf += end - at, at = end) {
		unsigned i = stage_seg_from(t, at);
		const struct stage_seg *g =
			i < t->segs->len ? &g_array_index(t->segs, struct stage_seg, i) : NULL;

		if (g && g->start <= at) {
			struct image_run run = {.vaddr = at, .flags = PE_LAZY, .fd = -1};

			end = MIN(g->end, p->end);
			run.nr_pages = (end - at) / IMAGE_PAGE_SIZE;
			add_run(t->next, &run);
			r = pokes_add(k, buf, g->at + at - g->start, end - at);
		} else {
			end = g ? MIN(g->start, p->end) : p->end;
			r = put_aside(t, buf, at, end - at);
		}
	}
	return r;
}

int stage_pages(struct stage *s, pid_t nspid, const struct page_piece *v, unsigned n,
		const uint8_t *buf)
{
	struct stage_task *t = task_of(s, nspid);
	struct pokes k = {.t = t};
	int r = 0;

	t->seen = true;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = check_piece(v[i].start, v[i].end, t->end);
		t->end = v[i].end;
		if (r == 0 && v[i].flags & PE_PRESENT) {
			r = take(&k, &v[i], buf);
			buf += v[i].end - v[i].start;
		} else if (r == 0) {
			r = keep(t, &v[i]);
		}
	}
	return r < 0 ? r : pokes_flush(&k);
}

static void add_range(GArray *a, uint64_t start, uint64_t end)
{
	struct stage_range *last =
		a->len ? &g_array_index(a, struct stage_range, a->len - 1) : NULL;

	if (last && last->end >= start)
		last->end = MAX(last->end, end);
	else
		g_array_append_val(a, ((struct stage_range){start, end}));
}

/* HAD and what waits now. */
static void note(struct stage_task *t)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct stage_range));
	const struct stage_range *h = (const void *)t->had->data, *h_end = h + t->had->len;
	const struct image_run *x = (const void *)t->runs->data, *x_end = x + t->runs->len;

	while (h < h_end || x < x_end) {
		if (x < x_end && x->fd >= 0) {
			x++;
		} else if (x == x_end || (h < h_end && h->start <= x->vaddr)) {
			add_range(all, h->start, h->end);
			h++;
		} else {
			add_range(all, x->vaddr, x->vaddr + x->nr_pages * IMAGE_PAGE_SIZE);
			x++;
		}
	}
	g_array_unref(t->had);
	t->had = all;
}

int stage_round(struct stage *s)
{
	GHashTableIter it;
	struct stage_task *t;

	g_hash_table_iter_init(&it, s->tasks);
	while (g_hash_table_iter_next(&it, NULL, (void **)&t)) {
		GArray *old = t->runs;

		/* Of one that has ended nothing is wanted; what waits goes with the restore. */
		t->runs = t->next;
		t->next = old;
		g_array_set_size(t->next, 0);
		t->from = 0;
		t->end = 0;
		t->seen = false;
		note(t);
	}
	return 0;
}

void stage_sums(const struct stage *s, uint64_t *ret_waiting, uint64_t *ret_aside)
{
	GHashTableIter it;
	struct stage_task *t;

	*ret_waiting = *ret_aside = 0;
	g_hash_table_iter_init(&it, s->tasks);
	while (g_hash_table_iter_next(&it, NULL, (void **)&t))
		for (unsigned i = 0; i < t->runs->len; i++) {
			const struct image_run *x = &g_array_index(t->runs, struct image_run, i);

			*(x->fd < 0 ? ret_waiting : ret_aside) += x->nr_pages * IMAGE_PAGE_SIZE;
		}
}

unsigned stage_tasks(const struct stage *s)
{
	GHashTableIter it;
	struct stage_task *t;
	unsigned n = 0;

	g_hash_table_iter_init(&it, s->tasks);
	while (g_hash_table_iter_next(&it, NULL, (void **)&t))
		n += t->runs->len > 0;
	return n;
}
