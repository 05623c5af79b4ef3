/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/sink.h"

#include "base/fd.h"
#include "image/wire.h"

#define DIRECT_MIN (256u << 10) /* below, the wait for the device is longer than a copy */

static int open_remote(struct page_sink *s, enum image_kind kind, uint64_t id)
{
	struct wire w = {.sock = s->d->o.pages_to};
	const struct wire_header h = {.cmd = WIRE_OPEN2, .dst = wire_dst(kind, id)};
	char has = 0;
	int r = wire_send(&w, &h, NULL, 0);

	if (r == 0)
		r = wire_recv_bytes(&w, &has, 1);
	s->dst = h.dst;
	s->no_parent = !has;
	return r < 0 ? err_wrap(r, "page server") : 0;
}

static int put_remote(struct page_sink *s, const struct page_piece *v, unsigned n,
		      const uint8_t *buf)
{
	struct wire w = {.sock = s->d->o.pages_to};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		bool present = v[i].flags & PE_PRESENT;
		size_t bytes = v[i].end - v[i].start;
		const struct wire_header h = {
			.cmd = WIRE_ADD_F,
			.flags = v[i].flags,
			.nr_pages = bytes / IMAGE_PAGE_SIZE,
			.vaddr = v[i].start,
			.dst = s->dst,
		};

		r = wire_send(&w, &h, buf, present ? bytes : 0);
		buf += present ? bytes : 0;
		if (present)
			s->w.present_pages += h.nr_pages;
		else if (v[i].flags & PE_PARENT)
			s->w.parent_pages += h.nr_pages;
	}
	return r < 0 ? err_wrap(r, "page server") : 0;
}

int page_sinks_end(struct dump *d)
{
	struct wire w = {.sock = d->o.pages_to};

	return d->o.pages_elsewhere ? wire_close(&w, d->o.pages_force_close) : 0;
}

int page_sink_open(struct page_sink *s, struct dump *d, enum image_kind kind, uint64_t id)
{
	int r;

	*s = PAGE_SINK_NONE;
	s->d = d;
	s->shared = kind == IMG_SHMEM_PAGEMAP;
	if (d->o.pages_out && kind == IMG_PAGEMAP) {
		s->nspid = (pid_t)id;
		return d->o.pages_out->put(d->o.pages_out->arg, s->nspid, NULL, 0, NULL);
	}
	if (d->o.pages_elsewhere)
		return open_remote(s, kind, id);
	r = pages_create(&s->w, &d->w, kind, id, d->next_pages_id++);
	if (r == 0)
		r = pages_reopen_direct(s->w.fd, true, &s->direct);
	return MIN(r, 0);
}

int page_sink_open_stream(struct page_sink *s, struct dump *d, enum image_kind kind, uint64_t id,
			  uint64_t bytes)
{
	const struct cryo_pages_stream *to = d->o.pages_stream;
	char name[IMAGE_NAME_MAX];
	int r;

	*s = PAGE_SINK_NONE;
	s->d = d;
	s->shared = kind == IMG_SHMEM_PAGEMAP;
	r = pages_create(&s->w, &d->w, kind, id, d->next_pages_id++);
	if (r < 0)
		return r;
	s->stream = to;
	image_name(IMG_PAGES, s->w.pages_id, name);
	return to->begin(to->arg, name, bytes);
}

static int put_out(struct page_sink *s, const struct page_piece *v, unsigned n, const uint8_t *buf)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].flags & PE_PRESENT)
			s->w.present_pages += (v[i].end - v[i].start) / IMAGE_PAGE_SIZE;
		else
			s->w.parent_pages += (v[i].end - v[i].start) / IMAGE_PAGE_SIZE;
	return s->d->o.pages_out->put(s->d->o.pages_out->arg, s->nspid, v, n, buf);
}

int page_sink_put(struct page_sink *s, const struct page_piece *v, unsigned n, const uint8_t *buf)
{
	uint64_t first = s->w.offset_bytes, bytes;
	int r = 0;

	if (s->nspid)
		return put_out(s, v, n, buf);
	if (s->d->o.pages_elsewhere)
		return put_remote(s, v, n, buf);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = pages_add(&s->w, v[i].start, (v[i].end - v[i].start) / IMAGE_PAGE_SIZE,
			      v[i].flags, NULL);
	bytes = s->w.offset_bytes - first;
	if (r < 0 || !bytes)
		return r;
	if (s->stream)
		return s->stream->data(s->stream->arg, buf, bytes);
	return fd_pwrite_full(s->direct >= 0 && bytes >= DIRECT_MIN ? s->direct : s->w.fd, buf,
			      bytes, (off_t)first);
}

/* Its pagemap stays, the file with the pages is only where they went. */
static int close_stream(struct page_sink *s)
{
	char name[IMAGE_NAME_MAX];
	int r = s->stream->end(s->stream->arg);

	image_name(IMG_PAGES, s->w.pages_id, name);
	if (r == 0)
		r = pages_finish(&s->w);
	if (r == 0 && unlinkat(s->d->dir, name, 0) < 0)
		r = err_errno("remove %s", name);
	return r;
}

int page_sink_close(struct page_sink *s)
{
	struct cryo_dump_stats *to = &s->d->stats;

	*(s->shared ? &to->shpages_written : &to->pages_written) += s->w.present_pages;
	*(s->shared ? &to->shpages_skipped_parent : &to->pages_skipped_parent) += s->w.parent_pages;
	if (s->stream)
		return close_stream(s);
	return s->d->o.pages_elsewhere || s->nspid ? 0 : pages_finish(&s->w);
}

void page_sink_drop(struct page_sink *s)
{
	pages_writer_drop(&s->w);
	cleanup_close(&s->direct);
	s->direct = -1;
}
