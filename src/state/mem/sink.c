/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/sink.h"

#include "base/fd.h"

#define DIRECT_MIN (256u << 10) /* below, the wait for the device is longer than a copy */

int page_sink_open(struct page_sink *s, struct dump *d, enum image_kind kind, uint64_t id)
{
	int r;

	*s = PAGE_SINK_NONE;
	s->d = d;
	r = pages_create(&s->w, &d->w, kind, id, d->next_pages_id++);
	if (r == 0)
		r = pages_reopen_direct(s->w.fd, true, &s->direct);
	return MIN(r, 0);
}

int page_sink_put(struct page_sink *s, const struct page_piece *v, unsigned n, const uint8_t *buf)
{
	uint64_t first = s->w.offset_bytes, bytes;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = pages_add(&s->w, v[i].start, (v[i].end - v[i].start) / IMAGE_PAGE_SIZE,
			      v[i].flags, NULL);
	bytes = s->w.offset_bytes - first;
	if (r < 0 || !bytes)
		return r;
	return fd_pwrite_full(s->direct >= 0 && bytes >= DIRECT_MIN ? s->direct : s->w.fd, buf,
			      bytes, (off_t)first);
}

int page_sink_close(struct page_sink *s)
{
	s->d->stats.pages_written += s->w.present_pages;
	s->d->stats.pages_skipped_parent += s->w.parent_pages;
	return pages_finish(&s->w);
}

void page_sink_drop(struct page_sink *s)
{
	pages_writer_drop(&s->w);
	cleanup_close(&s->direct);
	s->direct = -1;
}
