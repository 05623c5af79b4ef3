/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages have to be in the images. */
#include "state/mem/track.h"

#include "kernel/uffd.h"
#include "state/mem/mem.h"

#include <errno.h>

struct scan {
	struct dump *d;
	struct dtask *t;
	const struct before *before;
	const struct vma *v;
	struct pagemap pm;
	track_page_fn each;
	void *arg;
	bool any;
};

static void scan_clear(struct scan *s)
{
	pagemap_close(&s->pm);
}

/*
 * An entry that is neither a page nor in swap may look as if it were: the mark of a page of a
 * private file mapping that was dropped (mm/memory.c: pte_install_uffd_wp_if_needed(), a marker,
 * not for anonymous memory).  What is read there now is the file's.
 */
static bool is_unchanged(const struct scan *s, const struct page_run *run)
{
	return s->t->track && s->t->track->follows && run->categories & PAGE_WPALLOWED &&
	       !(run->categories & PAGE_WRITTEN) &&
	       (s->v->ino == 0 || run->categories & PAGE_PRESENT);
}

static int give(struct scan *s, const struct page_run *run)
{
	uint64_t at = run->start;
	int r = 0;

	s->any = true;
	if (!is_unchanged(s, run))
		return s->each(s->arg, s->v, run->start, run->end, PE_PRESENT);
	while (r == 0 && at < run->end) {
		uint64_t end = run->end;
		bool there = true;

		if (s->before->checked)
			there = page_set_has(&s->before->pages, at, &end);
		r = s->each(s->arg, s->v, at, end, there ? PE_PARENT : PE_PRESENT);
		at = end;
	}
	return r;
}

/* No longer run than that is given at once: who writes it may begin.  A multiple of huge pages. */
#define STRETCH (UINT64_C(64) << 20)

static int pass_stretch(struct scan *s, const struct page_filter *f, uint64_t at, uint64_t end,
			bool quiet)
{
	struct page_run run;
	int r;

	pagemap_begin(&s->pm, at, end, f);
	while ((r = pagemap_next(&s->pm, &run)) > 0) {
		if (run.categories & PAGE_GUARD || quiet)
			continue;
		r = give(s, &run);
		if (r < 0)
			return r;
	}
	return r;
}

static int pass(struct scan *s, bool protect, bool quiet)
{
	struct page_filter f = PAGES_PRIVATE;
	int r = 0;

	f.protect = protect;
	/* a guard (state/mem/extra.c) is a marker as well; it must stay the one it is */
	f.none |= PAGE_GUARD;
	for (uint64_t at = s->v->start, end; r == 0 && at < s->v->end; at = end) {
		end = MIN((at / STRETCH + 1) * STRETCH, s->v->end);
		r = pass_stretch(s, &f, at, end, quiet);
	}
	return r;
}

/* A mapping of a file that has no pages of its own is not watched: what comes later is new. */
static int scan_vma(struct scan *s)
{
	bool watch = s->d->o.track_mem && s->t->track && !hugetlb_is_anonymous(s->v);
	int r = watch ? pass(s, true, false) : -EPERM;

	if (r != -EPERM)
		return r;
	err_clear();
	s->any = false;
	if (!watch || s->v->ino)
		r = pass(s, false, false);
	if (!watch || (s->v->ino && (r < 0 || !s->any)))
		return r;
	r = uffd_watch(s->t->track->fd, s->v->start, s->v->end);
	if (r == 0)
		return pass(s, true, s->v->ino != 0);
	return r == 1 && !s->v->ino ? pass(s, false, false) : MIN(r, 0);
}

static bool is_scanned(const struct vma *v)
{
	return mem_has_pages(v) && !aio_is_ring(v);
}

/*
 * Mapping I and its neighbours within a stretch, where nothing is to be marked: one call for all of
 * them.  *RET_NEXT is the first that is not among them.
 */
static int pass_neighbours(struct scan *s, size_t i, size_t *ret_next)
{
	struct page_filter f = PAGES_PRIVATE;
	const struct maps *m = &s->t->maps;
	uint64_t start = m->v[i].start;
	struct page_run run;
	size_t to = i;
	int r;

	f.none |= PAGE_GUARD;
	for (; to < m->n && is_scanned(&m->v[to]) && m->v[to].end - start <= STRETCH; to++)
		s->d->stats.pages_scanned += vma_len(&m->v[to]) / IMAGE_PAGE_SIZE;
	*ret_next = to;
	if (to == i)
		return 0;
	pagemap_begin(&s->pm, start, m->v[to - 1].end, &f);
	while ((r = pagemap_next(&s->pm, &run)) > 0) {
		if (run.categories & PAGE_GUARD)
			continue;
		while (m->v[i].end <= run.start)
			i++;
		for (size_t k = i; k < to && m->v[k].start < run.end; k++) {
			struct page_run part = {MAX(run.start, m->v[k].start),
						MIN(run.end, m->v[k].end), run.categories};

			s->v = &m->v[k];
			r = give(s, &part);
			if (r < 0)
				return r;
		}
	}
	return r;
}

int track_pages(struct dump *d, struct dtask *t, int proc_dir, track_page_fn each, void *arg)
{
	CLEANUP(scan_clear)
	struct scan s = {
		.d = d,
		.t = t,
		.before = track_before(d, t),
		.pm = PAGEMAP_NONE,
		.each = each,
		.arg = arg,
	};
	int r = pagemap_open(&s.pm, proc_dir);

	for (size_t i = 0, next; r == 0 && i < t->maps.n; i++) {
		if (!d->o.track_mem && s.pm.scan) {
			r = pass_neighbours(&s, i, &next);
			if (r < 0 || next > i) {
				i = next - 1;
				continue;
			}
		}
		s.v = &t->maps.v[i];
		if (aio_is_ring(s.v)) /* of a file, and never private */
			r = each(arg, s.v, s.v->start, s.v->end, PE_PRESENT);
		if (r < 0 || !mem_has_pages(s.v))
			continue;
		d->stats.pages_scanned += vma_len(s.v) / IMAGE_PAGE_SIZE;
		r = scan_vma(&s);
	}
	return r;
}
