/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of the stub that are made and grow where they belong, and wait elsewhere. */
#include "state/mem/stage_parts.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define ROOM_MIN (UINT64_C(1) << 20) /* what is smaller is read from the file as fast */
/* Page tables are moved whole where both addresses agree that far (mm/mremap.c). */
#define PLACE_STEP (UINT64_C(1) << 30)

#define CALL(s, ret, nr, ...) stub_call(&(s)->stub, nr, (const uint64_t[6]){__VA_ARGS__}, ret)

static int move(struct stage *s, uint64_t from, uint64_t len, uint64_t to, int64_t *ret)
{
	return CALL(s, ret, SYS_mremap, from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static int moved(int64_t ret, uint64_t to)
{
	return ret == (int64_t)to
		       ? 0
		       : err_code(ret < 0 ? (int)ret : -ENOMEM, "move memory that waits");
}

static int map(struct stage *s, uint64_t start, uint64_t len, int prot, int flags, int64_t *ret)
{
	return CALL(s, ret, SYS_mmap, start, len, (uint64_t)prot,
		    (uint64_t)(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | flags),
		    ~UINT64_C(0), 0);
}

/* Something of the stub's own, or of the kernel's, may be there.  1: it is free. */
static int is_free(struct stage *s, uint64_t start, uint64_t len)
{
	int64_t ret, unmapped;
	int r = map(s, start, len, PROT_NONE, MAP_NORESERVE, &ret);

	if (r == 0 && ret >= 0)
		r = CALL(s, &unmapped, SYS_munmap, (uint64_t)ret, len);
	return r < 0 ? r : ret == (int64_t)start;
}

/* What there is comes home, and what is missing is mapped beside it. */
static int gather(struct stage_task *t, const struct page_map *m, const struct stage_range *all,
		  unsigned first, unsigned last)
{
	int flags = m->flags & PAGE_MAP_NORESERVE ? MAP_NORESERVE : 0;
	uint64_t at = all->start;
	int64_t ret;
	int r = 0;

	for (unsigned i = first; r == 0 && i <= last; i++) {
		const struct stage_seg *g =
			i < last ? &g_array_index(t->segs, struct stage_seg, i) : NULL;
		uint64_t end = g ? g->start : all->end;

		if (at < end) {
			r = map(t->stage, at, end - at, PROT_READ | PROT_WRITE, flags, &ret);
			if (r == 0 && ret != (int64_t)at)
				r = err_code((int)ret, "map memory that is to come");
		}
		if (r == 0 && g) {
			r = move(t->stage, g->at, g->end - g->start, g->start, &ret);
			if (r == 0)
				r = moved(ret, g->start);
			at = g->end;
		}
	}
	if (r == 0 && m->flags & PAGE_MAP_HUGE) /* a wish */
		r = CALL(t->stage, &ret, SYS_madvise, all->start, all->end - all->start,
			 MADV_HUGEPAGE);
	return r;
}

/* It has its first page here, so that it knows where it belongs (mm/vma.c: copy_vma()). */
static int touch(struct stage_task *t, uint64_t at)
{
	char zero = 0;
	const struct iovec from = {&zero, 1}, to = {(void *)(uintptr_t)at, 1};
	const struct stage_range page = {at, at + IMAGE_PAGE_SIZE};
	unsigned i = 0;

	while (i < t->had->len && g_array_index(t->had, struct stage_range, i).start < at)
		i++;
	g_array_insert_val(t->had, i, page);
	return stage_poke(t->stage, &from, 1, &to, 1, 1);
}

/* 1: they are several mappings, which do not move together. */
static int put_away(struct stage_task *t, const struct stage_range *all, uint64_t place)
{
	int64_t ret;
	int r = move(t->stage, all->start, all->end - all->start, place, &ret);

	if (r == 0 && ret == -EFAULT)
		return 1;
	return r < 0 ? r : moved(ret, place);
}

/* The parts that there were, and the new ones between them, each by itself. */
static int put_away_parts(struct stage_task *t, const struct stage_range *all, uint64_t place,
			  GArray *parts)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < parts->len; i++) {
		struct stage_seg *g = &g_array_index(parts, struct stage_seg, i);

		g->at = place + g->start - all->start;
		r = put_away(t, &(struct stage_range){g->start, g->end}, g->at);
		if (r == 1)
			r = err_set(EFAULT, "memory that waits cannot be moved");
	}
	return r;
}

static GArray *parts_of(const struct stage_task *t, const struct stage_range *all, unsigned first,
			unsigned last)
{
	GArray *parts = g_array_new(FALSE, FALSE, sizeof(struct stage_seg));
	uint64_t at = all->start;

	for (unsigned i = first; i <= last; i++) {
		const struct stage_seg *g =
			i < last ? &g_array_index(t->segs, struct stage_seg, i) : NULL;
		struct stage_seg gap = {.start = at, .end = g ? g->start : all->end};

		if (gap.start < gap.end)
			g_array_append_val(parts, gap);
		if (g) {
			g_array_append_val(parts, *g);
			at = g->end;
		}
	}
	return parts;
}

static int rebuild(struct stage_task *t, const struct page_map *m, const struct stage_range *all,
		   unsigned first, unsigned last)
{
	g_autoptr(GArray) parts = NULL;
	struct stage *s = t->stage;
	uint64_t place = ROUND_UP(s->next_place, PLACE_STEP) + all->start % PLACE_STEP;
	int r;

	if (place + (all->end - all->start) > STAGE_PLACE + STAGE_BYTES)
		return 0;
	r = is_free(s, all->start, all->end - all->start);
	if (r <= 0)
		return r;
	parts = parts_of(t, all, first, last);
	r = gather(t, m, all, first, last);
	if (r == 0 && first == last)
		r = touch(t, all->start);
	if (r < 0)
		return r;
	r = put_away(t, all, place);
	if (r == 1) {
		r = put_away_parts(t, all, place, parts);
	} else {
		const struct stage_seg whole = {all->start, all->end, place};

		g_array_set_size(parts, 0);
		g_array_append_val(parts, whole);
	}
	s->next_place = place + (all->end - all->start);
	if (last > first)
		g_array_remove_range(t->segs, first, last - first);
	g_array_insert_vals(t->segs, first, parts->data, parts->len);
	return r;
}

static bool meets_place(const struct page_map *m)
{
	return m->start < STAGE_PLACE + STAGE_BYTES && m->end > STAGE_PLACE;
}

int stage_make_room(struct stage_task *t, const struct page_map *m)
{
	struct stage_range all = {m->start, m->end};
	unsigned first = stage_seg_from(t, m->start), last = first;
	const struct stage_seg *v = (const void *)t->segs->data;

	while (last < t->segs->len && v[last].start < m->end)
		last++;
	if (!(m->flags & PAGE_MAP_ALONE) || meets_place(m) ||
	    (last == first && m->end - m->start < ROOM_MIN))
		return 0;
	if (last == first + 1 && v[first].start <= m->start && v[first].end >= m->end)
		return 0;
	if (last > first) {
		all.start = MIN(all.start, v[first].start);
		all.end = MAX(all.end, v[last - 1].end);
	}
	return rebuild(t, m, &all, first, last);
}
