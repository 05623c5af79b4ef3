/* SPDX-License-Identifier: Apache-2.0 */
/* What waits goes to the processes that it belongs to, and home. */
#include "state/mem/stage_parts.h"

#include "state/mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

void stage_give_stub(struct stage *s, struct stub *ret)
{
	*ret = s->stub;
	s->stub = STUB_NONE;
}

bool stage_waits(const struct rtask *t)
{
	return t->staged && t->staged->segs->len > 0;
}

void stage_place(const struct restore *r, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = r->o.stage ? STAGE_PLACE : 0;
	*ret_end = r->o.stage ? STAGE_PLACE + STAGE_BYTES : 0;
}

static bool can_move_to(const VmaEntry *v)
{
	const unsigned special =
		VMA_STATUS_VDSO | VMA_STATUS_VVAR | VMA_STATUS_VSYSCALL | VMA_STATUS_AIORING;

	return v->status & VMA_STATUS_ANON_PRIVATE && !(v->status & special) &&
	       !(v->flags & (MAP_HUGETLB | MAP_GROWSDOWN | MAP_DROPPABLE));
}

static int changed(const struct rtask *t, uint64_t at)
{
	return err_set(EAGAIN,
		       "task %d: its mappings have changed too much meanwhile (%" PRIx64
		       "): try again",
		       t->nspid, at);
}

/* All that waits is in mappings that it can be moved to. */
static int check_runs(const struct rtask *t)
{
	const MmEntry *m = t->mm;
	size_t k = 0;

	for (unsigned i = 0; i < t->staged->runs->len; i++) {
		const struct image_run *x = &g_array_index(t->staged->runs, struct image_run, i);
		uint64_t at = x->vaddr, end = at + x->nr_pages * IMAGE_PAGE_SIZE;

		for (; x->fd < 0 && at < end; k++) {
			if (k == m->n_vmas || m->vmas[k]->start > at)
				return changed(t, at);
			if (m->vmas[k]->end <= at)
				continue;
			if (!can_move_to(m->vmas[k]))
				return changed(t, at);
			at = m->vmas[k]->end;
			if (at >= end) /* it may have more */
				break;
		}
	}
	return 0;
}

int stage_load(struct restore *r, struct rtask *t)
{
	struct stage *s = r->o.stage;
	struct stage_task *st = g_hash_table_lookup(s->tasks, GINT_TO_POINTER(t->nspid));
	struct page_set *set = &t->pages;

	if (!st)
		return err_set(EBADMSG, "the memory of process %d has not come", t->nspid);
	t->staged = st;
	set->fds = g_new0(int, 1);
	set->fds[0] = fcntl(s->aside, F_DUPFD_CLOEXEC, 3);
	if (set->fds[0] < 0)
		return err_errno("duplicate a descriptor");
	set->nfds = 1;
	set->n = st->runs->len;
	set->runs = g_memdup2(st->runs->data, set->n * sizeof(*set->runs));
	for (unsigned i = 0; i < set->n; i++)
		if (set->runs[i].fd >= 0) {
			set->runs[i].fd = set->fds[0];
			set->nr_pages += set->runs[i].nr_pages;
		} else {
			r->stats.pages_restored += set->runs[i].nr_pages;
		}
	return check_runs(t);
}

int stage_check(const struct restore *r)
{
	for (unsigned i = 0; r->o.stage && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (size_t k = 0; t->mm && k < t->mm->n_vmas; k++) {
			const VmaEntry *v = t->mm->vmas[k];

			if (v->start < STAGE_PLACE + STAGE_BYTES && v->end > STAGE_PLACE)
				return err_set(EOPNOTSUPP,
					       "task %d has a mapping at %" PRIx64
					       ", where memory waits: use --pre-copy 0",
					       t->nspid, v->start);
		}
	}
	return 0;
}

static bool descends(struct restore *r, const struct rtask *t, const struct rtask *from)
{
	for (int i = (int)t->slot; i >= 0; i = restore_task(r, (unsigned)i)->forker)
		if (i == (int)from->slot)
			return true;
	return false;
}

static void each_seg(const struct stage_task *st, struct batch *b, uint32_t nr, uint64_t arg)
{
	for (unsigned i = 0; i < st->segs->len; i++) {
		const struct stage_seg *g = &g_array_index(st->segs, struct stage_seg, i);

		batch_add(b, nr, IMM(g->at), IMM(g->end - g->start), IMM(arg));
	}
}

void stage_before_fork(struct restore *r, struct rtask *parent, struct rtask *child,
		       struct batch *b)
{
	GHashTableIter it;
	struct stage_task *st;

	if (!r->o.stage)
		return;
	/* also what waits for one that has ended meanwhile */
	g_hash_table_iter_init(&it, r->o.stage->tasks);
	while (g_hash_table_iter_next(&it, NULL, (void **)&st)) {
		const struct rtask *t = NULL;
		bool goes;

		for (unsigned i = 0; i < r->nimages && !t; i++)
			if (restore_task(r, i)->staged == st)
				t = restore_task(r, i);
		goes = t && descends(r, t, child);
		if (st->holder != parent->slot || st->unforked == !goes)
			continue;
		each_seg(st, b, SYS_madvise, goes ? MADV_DOFORK : MADV_DONTFORK);
		st->unforked = !goes;
	}
}

int stage_after_fork(struct restore *r, struct rtask *parent, struct rtask *child)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (!r->o.stage)
		return 0;
	rtask_batch(parent, &b);
	for (unsigned i = 0; i < r->nimages; i++) {
		struct stage_task *st = restore_task(r, i)->staged;

		if (!st || st->holder != parent->slot || !descends(r, restore_task(r, i), child))
			continue;
		each_seg(st, &b, SYS_munmap, 0);
		st->holder = child->slot;
	}
	return batch_run(&b);
}

bool stage_move(struct rtask *t, struct batch *b, uint64_t *at, uint64_t end, unsigned prot,
		uint64_t *ret_from, uint64_t *ret_to)
{
	const struct stage_seg *g;
	uint64_t waits, len;
	unsigned i;

	if (!t->staged || *at >= end) /* what waits may go on behind it */
		return false;
	i = stage_seg_from(t->staged, *at);
	g = i < t->staged->segs->len ? &g_array_index(t->staged->segs, struct stage_seg, i) : NULL;
	if (!g || g->start >= end)
		return false;
	*ret_from = MAX(*at, g->start);
	*ret_to = MIN(end, g->end);
	len = *ret_to - *ret_from;
	waits = g->at + *ret_from - g->start;
	if (t->staged->unforked)
		batch_add(b, SYS_madvise, IMM(waits), IMM(len), IMM(MADV_DOFORK));
	batch_expect(b,
		     batch_add(b, SYS_mremap, IMM(waits), IMM(len), IMM(len),
			       IMM(MREMAP_MAYMOVE | MREMAP_FIXED), IMM(*ret_from)),
		     (int64_t)*ret_from);
	if (prot != (PROT_READ | PROT_WRITE))
		batch_add(b, SYS_mprotect, IMM(*ret_from), IMM(len), IMM(prot));
	*at = *ret_to;
	return true;
}

/* The next part of [*AT, END) that does not wait for the process. */
static bool gap(const struct stage_task *st, uint64_t *at, uint64_t end, struct stage_range *ret)
{
	const struct image_run *v = (const void *)st->runs->data;
	unsigned lo = 0, hi = st->runs->len;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (v[mid].vaddr + v[mid].nr_pages * IMAGE_PAGE_SIZE <= *at)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; *at < end; lo++) {
		const struct image_run *x = lo < st->runs->len ? &v[lo] : NULL;
		uint64_t from = x ? x->vaddr : end;

		if (x && x->fd >= 0)
			continue;
		if (from > *at) {
			*ret = (struct stage_range){*at, MIN(from, end)};
			*at = ret->end;
			return true;
		}
		*at = x->vaddr + x->nr_pages * IMAGE_PAGE_SIZE;
	}
	return false;
}

void stage_drop_stale(struct rtask *t, struct batch *b, uint64_t start, uint64_t end)
{
	const struct stage_range *h;
	struct stage_range x;

	for (unsigned i = 0; t->staged && i < t->staged->had->len; i++) {
		uint64_t at, to;

		h = &g_array_index(t->staged->had, struct stage_range, i);
		at = MAX(h->start, start);
		to = MIN(h->end, end);
		while (at < to && gap(t->staged, &at, to, &x))
			batch_add(b, SYS_madvise, IMM(x.start), IMM(x.end - x.start),
				  IMM(MADV_DONTNEED));
	}
}

void stage_end(struct rtask *t, struct batch *b)
{
	if (t->restore->o.stage)
		batch_add(b, SYS_munmap, IMM(STAGE_PLACE), IMM(STAGE_BYTES));
}
