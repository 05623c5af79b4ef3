/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/lazy_segs.h"

GArray *segs_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct seg));
}

/* The first that ends behind ADDR. */
static unsigned from(const GArray *a, uint64_t addr)
{
	unsigned lo = 0, hi = a->len;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (g_array_index(a, struct seg, mid).end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void segs_add(GArray *a, const struct seg *s)
{
	g_array_insert_vals(a, from(a, s->at), s, 1);
}

const struct seg *segs_find(const GArray *a, uint64_t addr)
{
	unsigned i = from(a, addr);
	const struct seg *s = i < a->len ? &g_array_index(a, struct seg, i) : NULL;

	return s && s->at <= addr ? s : NULL;
}

static struct seg part(const struct seg *s, uint64_t start, uint64_t end)
{
	struct seg p = *s;

	p.at = MAX(start, s->at);
	p.end = MIN(end, s->end);
	p.orig += p.at - s->at;
	p.offset += p.at - s->at;
	return p;
}

void segs_remove(GArray *a, uint64_t start, uint64_t end)
{
	for (unsigned i = from(a, start); i < a->len;) {
		struct seg s = g_array_index(a, struct seg, i);

		if (s.at >= end)
			return;
		g_array_remove_index(a, i);
		if (s.at < start) {
			struct seg before = part(&s, s.at, start);

			g_array_insert_vals(a, i++, &before, 1);
		}
		if (s.end > end) {
			struct seg after = part(&s, end, s.end);

			g_array_insert_vals(a, i++, &after, 1);
		}
	}
}

void segs_move(GArray *a, uint64_t from_, uint64_t to, uint64_t len)
{
	g_autoptr(GArray) moved = segs_new();

	for (unsigned i = from(a, from_); i < a->len; i++) {
		const struct seg *s = &g_array_index(a, struct seg, i);
		struct seg p;

		if (s->at >= from_ + len)
			break;
		p = part(s, from_, from_ + len);
		p.at += to - from_;
		p.end += to - from_;
		g_array_append_val(moved, p);
	}
	segs_remove(a, from_, from_ + len);
	segs_remove(a, to, to + len);
	for (unsigned i = 0; i < moved->len; i++)
		segs_add(a, &g_array_index(moved, struct seg, i));
}
