/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/cow.h"

#include "state/mem/cow_files.h"
#include "state/mem/mem.h"
#include "state/mem/staged.h"
#include "state/mem/transfer.h"

#include "base/fd.h"
#include "image/pages.h"
#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PAGE	  4096u
#define PM_CHUNK  4096u
#define PM_SAME	  ((UINT64_C(1) << 55) - 1) /* the frame's number */
#define PM_MINE	  (UINT64_C(1) << 63)	    /* present */
#define PM_FILE	  (UINT64_C(1) << 61)
#define ANONYMOUS (VMA_STATUS_ANON_PRIVATE)
#define PRIVATE	  (VMA_STATUS_ANON_PRIVATE | VMA_STATUS_FILE_PRIVATE)

struct range {
	uint64_t start, end;
};

static GArray *ranges_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct range));
}

static void ranges_add(GArray *a, uint64_t start, uint64_t end)
{
	struct range *last = a->len ? &g_array_index(a, struct range, a->len - 1) : NULL;

	if (last && last->end == start)
		last->end = end;
	else
		g_array_append_val(a, ((struct range){start, end}));
}

/* The first range that ends behind ADDR, or NULL. */
static const struct range *ranges_from(const GArray *a, uint64_t addr)
{
	unsigned lo = 0, hi = a ? a->len : 0;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (g_array_index(a, struct range, mid).end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return a && lo < a->len ? &g_array_index(a, struct range, lo) : NULL;
}

/* The next part of [*AT, END) outside of A. */
static bool outside(const GArray *a, uint64_t *at, uint64_t end, struct range *ret)
{
	while (*at < end) {
		const struct range *x = ranges_from(a, *at);

		if (x && x->start <= *at) {
			*at = x->end;
			continue;
		}
		*ret = (struct range){*at, x && x->start < end ? x->start : end};
		*at = ret->end;
		return true;
	}
	return false;
}

/* Dump. */

static bool is_anonymous(const struct vma *v)
{
	return !v->shared && v->ino == 0 && v->name[0] != '/' && !(v->vmflags & VMF(DP)) &&
	       (v->special == VMA_ORDINARY || v->special == VMA_HEAP || v->special == VMA_STACK ||
		v->special == VMA_ANON_NAMED);
}

/* What was never writable has no pages of its own (mm/vma.c: accountable_mapping()). */
static bool is_file(const struct vma *v)
{
	return !v->shared && v->ino && v->name[0] == '/' && !v->deleted &&
	       (!v->vmflags || v->vmflags & VMF(AC));
}

static bool is_alike(const struct vma *v, const struct vma *p)
{
	const uint64_t kind = VMF(GD) | VMF(NR);

	if (!p || p->end < v->end || (p->vmflags & kind) != (v->vmflags & kind))
		return false;
	if (is_anonymous(v))
		return is_anonymous(p);
	return is_file(p) && p->ino == v->ino && p->major == v->major && p->minor == v->minor &&
	       v->offset - p->offset == v->start - p->start && strcmp(v->name, p->name) == 0;
}

static int compare(int mine, int theirs, const struct page_run *run, GArray *ret)
{
	uint64_t a[PM_CHUNK], b[PM_CHUNK];

	for (uint64_t at = run->start; at < run->end;) {
		uint64_t n = MIN((run->end - at) / PAGE, PM_CHUNK);
		off_t place = (off_t)(at / PAGE * 8);
		int r = fd_pread_full(mine, a, n * 8, place);

		if (r == 0)
			r = fd_pread_full(theirs, b, n * 8, place);
		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n; i++, at += PAGE)
			if (a[i] & PM_SAME && a[i] & b[i] & PM_MINE && !((a[i] | b[i]) & PM_FILE) &&
			    (a[i] & PM_SAME) == (b[i] & PM_SAME))
				ranges_add(ret, at, at + PAGE);
	}
	return 0;
}

static int dump_child(struct dtask *t, const struct dtask *parent)
{
	CLEANUP(pagemap_close) struct pagemap mine = PAGEMAP_NONE, theirs = PAGEMAP_NONE;
	g_autoptr(GArray) same = ranges_new();
	struct page_run run;
	json_t *all;
	int r = pagemap_open(&mine, t->proc.dir);

	if (r == 0)
		r = pagemap_open(&theirs, parent->proc.dir);
	for (size_t i = 0; r == 0 && i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];

		if (!is_anonymous(v) && !is_file(v))
			continue;
		if (!is_alike(v, maps_find(&parent->maps, v->start)))
			continue;
		pagemap_begin(&mine, v->start, v->end, &PAGES_PRIVATE);
		while ((r = pagemap_next(&mine, &run)) > 0) {
			r = compare(mine.fd, theirs.fd, &run, same);
			if (r < 0)
				return r;
		}
	}
	if (r < 0 || same->len == 0)
		return r;
	all = json_array();
	for (unsigned i = 0; i < same->len; i++) {
		const struct range *x = &g_array_index(same, struct range, i);

		json_array_append_new(all, json_integer((json_int_t)x->start));
		json_array_append_new(all, json_integer((json_int_t)((x->end - x->start) / PAGE)));
	}
	json_object_set_new(t->extra, "cow", all);
	return 0;
}

int cow_dump(struct dump *d)
{
	int r = 0;

	for (unsigned i = 1; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (!t->zombie && !t->guest && t->vm == i &&
		    !dump_task(d, (unsigned)t->parent)->zombie)
			r = dtask_wrap(t, dump_child(t, dump_task(d, (unsigned)t->parent)));
	}
	return r;
}

/* Restore. */

static int load_ranges(const struct rtask *t, GArray *ret)
{
	json_t *all = json_object_get(t->extra, "cow");
	uint64_t last = 0;

	for (size_t i = 0; i + 1 < json_array_size(all); i += 2) {
		uint64_t start = (uint64_t)json_integer_value(json_array_get(all, i));
		uint64_t pages = (uint64_t)json_integer_value(json_array_get(all, i + 1));

		if (start % PAGE || start < last || pages == 0 || pages > UINT64_C(1) << 35)
			return err_set(EBADMSG, "%s: pages of the parent at %" PRIx64, IMAGE_EXTRA,
				       start);
		last = start + pages * PAGE;
		ranges_add(ret, start, last);
	}
	return 0;
}

static bool touches(const GArray *a, uint64_t start, uint64_t end)
{
	const struct range *x = ranges_from(a, start);

	return x && x->start < end;
}

static bool holds(const GArray *a, uint64_t start, uint64_t end)
{
	const struct range *x = ranges_from(a, start);

	return x && x->start <= start && x->end >= end;
}

/* All pages of a task. */
static GArray *pages_of(const struct rtask *t)
{
	GArray *a = ranges_new();

	for (unsigned i = 0; i < t->pages.n; i++)
		ranges_add(a, t->pages.runs[i].vaddr,
			   t->pages.runs[i].vaddr + t->pages.runs[i].nr_pages * PAGE);
	return a;
}

static void unref_array(void *a)
{
	g_array_unref(a);
}

/* The mappings that children of T have in common with it. */
static int wanted(struct restore *r, const struct rtask *t, GArray **ret)
{
	g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(unref_array);
	int e = 0;

	*ret = ranges_new();
	for (unsigned i = 0; e == 0 && i < r->nimages; i++) {
		const struct rtask *c = restore_task(r, i);

		if (c->parent < 0 || restore_task(r, (unsigned)c->parent) != t || c->zombie ||
		    !json_object_get(c->extra, "cow"))
			continue;
		g_ptr_array_add(children, ranges_new());
		e = load_ranges(c, g_ptr_array_index(children, children->len - 1));
	}
	for (unsigned i = 0; children->len && i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];
		bool any = false;

		for (unsigned k = 0; v->status & PRIVATE && !any && k < children->len; k++)
			any = touches(g_ptr_array_index(children, k), v->start, v->end);
		if (any && (v->status & ANONYMOUS || cow_file_may(r, v)))
			ranges_add(*ret, v->start, v->end);
	}
	return e;
}

struct settling {
	struct restore *r;
	struct rtask *t;
	GArray *had, *have;  /* what was inherited, what stays */
	GArray *same, *mine; /* pages that are the parent's, all pages */
	GArray *parent, *for_children;
	GArray *fill; /* to be read */
};

static void settling_clear(struct settling *s)
{
	GArray *all[] = {s->had, s->have, s->same, s->mine, s->parent, s->for_children, s->fill};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i])
			g_array_unref(all[i]);
}

/* An inherited mapping: what the parent has and we have not is dropped. */
static void keep(struct settling *s, struct batch *b, const VmaEntry *v)
{
	struct range x, p;
	uint64_t at = v->start;

	for (const struct range *q; at < v->end && (q = ranges_from(s->parent, at)) != NULL;) {
		uint64_t from = MAX(q->start, at), end = MIN(q->end, v->end);

		at = end;
		while (from < end && outside(s->mine, &from, end, &x))
			batch_add(b, SYS_madvise, IMM(x.start), IMM(x.end - x.start),
				  IMM(MADV_DONTNEED));
		if (q->start >= v->end)
			break;
	}
	at = v->start;
	while (outside(s->same, &at, v->end, &p))
		ranges_add(s->fill, p.start, p.end);
	ranges_add(s->have, v->start, v->end);
}

static void make(struct settling *s, struct batch *b, const VmaEntry *v, int tfd)
{
	const unsigned kept = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE;

	batch_expect(b,
		     batch_add(b, SYS_mmap, IMM(v->start), IMM(v->end - v->start),
			       IMM(v->prot | PROT_WRITE),
			       IMM((v->flags & kept) | MAP_FIXED_NOREPLACE), IMM((int64_t)tfd),
			       IMM(tfd < 0 ? 0 : v->pgoff)),
		     (int64_t)v->start);
	ranges_add(s->fill, v->start, v->end);
	ranges_add(s->have, v->start, v->end);
}

/* The pages that are to be read, from each of the pages files. */
static int fill(struct settling *s, struct batch *b)
{
	struct rtask *t = s->t;
	int ret = 0;

	for (unsigned f = 0; ret == 0 && f < t->pages.nfds; f++) {
		struct transfer x = {.b = b, .fd = t->pages.fds[f], .tfds = {-1, -1}};

		batch_recv_fds(b, &t->pages.fds[f], 1, x.tfds);
		ret = batch_run(b);
		for (unsigned i = 0; ret == 0 && i < t->pages.n; i++) {
			const struct image_run *run = &t->pages.runs[i];
			uint64_t at = run->vaddr, end = at + run->nr_pages * PAGE;
			const struct range *q;

			if (run->fd != t->pages.fds[f])
				continue;
			while (at < end && (q = ranges_from(s->fill, at)) && q->start < end) {
				uint64_t from = MAX(q->start, at), to = MIN(q->end, end);

				transfer_add(&x, from, to - from, run->offset + from - run->vaddr);
				s->r->stats.pages_restored += (to - from) / PAGE;
				at = to;
			}
		}
		transfer_flush(&x);
		batch_add(b, SYS_close, IMM(x.tfds[0]));
		if (ret == 0)
			ret = batch_run(b);
	}
	return ret;
}

static bool is_private(const VmaEntry *v)
{
	return v->status & PRIVATE &&
	       !(v->status & (VMA_STATUS_VDSO | VMA_STATUS_VVAR | VMA_STATUS_VSYSCALL));
}

static int settle(struct settling *s)
{
	struct rtask *t = s->t;
	CLEANUP(batch_end) struct batch b = {0};
	struct range x;

	rtask_batch(t, &b);
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (is_private(v) && holds(s->had, v->start, v->end) &&
		    touches(s->same, v->start, v->end) &&
		    (v->status & ANONYMOUS || cow_file_same(s->r, t, v)))
			keep(s, &b, v);
	}
	for (unsigned i = 0; i < s->had->len; i++) {
		const struct range *h = &g_array_index(s->had, struct range, i);
		uint64_t at = h->start;

		while (outside(s->have, &at, h->end, &x))
			batch_add(&b, SYS_munmap, IMM(x.start), IMM(x.end - x.start));
	}
	return batch_run(&b);
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int make_for_children(struct settling *s)
{
	struct rtask *t = s->t;
	CLEANUP(batch_end) struct batch b = {0};
	CLEANUP(cow_files_clear) struct cow_files files = {0};
	g_autoptr(GArray) kept = g_array_copy(s->have);
	int ret;

	rtask_batch(t, &b);
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (!is_private(v) || !touches(s->for_children, v->start, v->end) ||
		    touches(kept, v->start, v->end))
			continue;
		if (v->status & ANONYMOUS)
			make(s, &b, v, -1);
		else
			cow_files_add(&files, s->r, v);
	}
	ret = cow_files_give(&files, &b);
	for (unsigned i = 0; ret == 0 && i < files.nmaps; i++)
		make(s, &b, files.maps[i], files.tfds[files.use[i]]);
	cow_files_end(&files, &b);
	if (ret < 0)
		return ret;
	g_array_sort(s->have, by_start);
	g_array_sort(s->fill, by_start);
	ret = batch_run(&b);
	return ret < 0 ? ret : fill(s, &b);
}

int cow_settle(struct restore *r, struct rtask *t)
{
	CLEANUP(settling_clear) struct settling s = {.r = r, .t = t};
	bool usable = t->parent >= 0 && t->have_of == t->parent;
	int ret;

	/* memory that comes one by one, or in rounds, has nothing in common */
	if (t->settled || t->helper || t->zombie || r->o.lazy || stage_waits(t))
		return 0;
	t->settled = true;
	s.had = t->have ? g_steal_pointer(&t->have) : ranges_new();
	s.have = ranges_new();
	s.same = ranges_new();
	s.fill = ranges_new();
	ret = usable ? load_ranges(t, s.same) : 0;
	if (ret == 0)
		ret = wanted(r, t, &s.for_children);
	if (ret < 0 || (s.had->len == 0 && s.for_children->len == 0))
		return ret;
	s.mine = pages_of(t);
	s.parent = usable ? pages_of(restore_task(r, (unsigned)t->parent)) : ranges_new();
	ret = settle(&s);
	if (ret == 0)
		ret = make_for_children(&s);
	t->have = g_array_ref(s.have);
	t->have_of = (int)t->slot;
	return ret < 0 ? err_wrap(ret, "memory shared with its parent or children") : 0;
}

void cow_born(const struct rtask *parent, struct rtask *child, bool same_memory)
{
	child->settled = same_memory;
	child->have = parent->have ? g_array_copy(parent->have) : NULL;
	child->have_of = parent->have_of;
}

void cow_add(struct rtask *t, uint64_t start, uint64_t end)
{
	if (!t->have)
		t->have = ranges_new();
	g_array_append_val(t->have, ((struct range){start, end}));
	g_array_sort(t->have, by_start);
}

void cow_claim(struct rtask *t, uint64_t start, uint64_t end)
{
	if (!t->have)
		t->have = ranges_new();
	ranges_add(t->have, start, end);
}

bool cow_has(const struct rtask *t, const VmaEntry *v)
{
	return t->have && v->status & PRIVATE && holds(t->have, v->start, v->end);
}

bool cow_rest(const struct rtask *t, uint64_t *at, uint64_t end, uint64_t *ret_start,
	      uint64_t *ret_end)
{
	struct range x;

	if (!outside(t->have, at, end, &x))
		return false;
	*ret_start = x.start;
	*ret_end = x.end;
	return true;
}
