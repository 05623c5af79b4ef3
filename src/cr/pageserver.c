/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of options.pages_to: pages from a connection into image files. */
#include "cr/cryo.h"

#include "base/fd.h"
#include "base/log.h"
#include "image/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BUF_BYTES (1u << 20)

struct server {
	struct wire wire;
	int dir, images; /* where they are written; where the link to those before is */
	struct image_writer w;
	struct pages_writer pages; /* that are coming */
	struct page_set before;
	struct page_set asked; /* WIRE_GET: of the process ASKED_OF */
	uint64_t asked_of;
	uint64_t dst;
	uint32_t next_id;
	uint8_t *buf;
	int (*done)(void *arg);
	void *arg;
	bool flushed, received;
};

static void server_clear(struct server *s)
{
	pages_writer_drop(&s->pages);
	image_writer_drop(&s->w);
	page_set_clear(&s->before);
	page_set_clear(&s->asked);
	munmap(s->buf, BUF_BYTES);
}

static int finish_pages(struct server *s)
{
	int r = s->pages.fd >= 0 ? pages_finish(&s->pages) : 0;

	page_set_clear(&s->before);
	s->pages = PAGES_WRITER_NONE;
	s->dst = 0;
	return r;
}

/* 1: the images before have that pagemap, too. */
static int load_before(struct server *s, enum image_kind kind, uint64_t id, struct page_set *ret)
{
	autoclose int parent = openat(s->images, "parent", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = parent < 0 ? 1 : pages_open(parent, kind, id, ret);

	if (r == 1)
		err_clear();
	return r < 0 ? r : r == 0;
}

static int open_pages(struct server *s, const struct wire_header *h, bool answer)
{
	enum image_kind kind;
	uint64_t id;
	char has;
	int r = finish_pages(s), before;

	if (r == 0)
		r = wire_dst_parse(h->dst, &kind, &id);
	if (r < 0)
		return r;
	before = load_before(s, kind, id, &s->before);
	if (before < 0)
		return before;
	r = pages_create(&s->pages, &s->w, kind, id, ++s->next_id);
	if (r < 0)
		return r;
	s->dst = h->dst;
	s->received = true;
	has = before == 1;
	if (answer && send(s->wire.sock, &has, 1, MSG_NOSIGNAL) != 1)
		return err_errno("answer");
	return 0;
}

static int tell_parent(struct server *s, const struct wire_header *h)
{
	CLEANUP(page_set_clear) struct page_set before = {};
	enum image_kind kind;
	uint64_t id;
	int32_t has;
	int r = wire_dst_parse(h->dst, &kind, &id);

	if (r == 0)
		r = load_before(s, kind, id, &before);
	if (r < 0)
		return r;
	has = r;
	if (send(s->wire.sock, &has, sizeof(has), MSG_NOSIGNAL) != sizeof(has))
		return err_errno("answer");
	return 0;
}

/* What is left to the images before must be there. */
static int check_before(const struct server *s, uint64_t vaddr, uint64_t nr_pages)
{
	uint64_t end = vaddr + nr_pages * IMAGE_PAGE_SIZE, to = end;

	if (page_set_has(&s->before, vaddr, &to) && to == end)
		return 0;
	return err_set(EBADMSG, "pages at %" PRIx64 " are not in the images before", vaddr);
}

static int add(struct server *s, const struct wire_header *h, uint32_t flags)
{
	uint64_t left = h->nr_pages * IMAGE_PAGE_SIZE, at;
	int r = 0;

	if (s->dst != h->dst)
		r = open_pages(s, h, false);
	if (r == 0 && flags & PE_PARENT)
		r = check_before(s, h->vaddr, h->nr_pages);
	if (r == 0)
		r = pages_add(&s->pages, h->vaddr, h->nr_pages, flags, &at);
	while (r == 0 && flags & PE_PRESENT && left) {
		size_t n = MIN(left, BUF_BYTES);

		r = wire_recv_bytes(&s->wire, s->buf, n);
		if (r == 0)
			r = fd_pwrite_full(s->pages.fd, s->buf, n, (off_t)at);
		at += n;
		left -= n;
	}
	return r;
}

/* The other direction: what the images have of a process, for lazy-pages elsewhere. */
static int get(struct server *s, struct wire_header *h)
{
	const struct image_run *run = NULL;
	uint64_t n, skip;
	int r = 0;

	if (!s->asked.n || s->asked_of != h->dst) {
		page_set_clear(&s->asked);
		s->asked_of = h->dst;
		r = pages_open(s->images, IMG_PAGEMAP, h->dst, &s->asked);
	}
	for (unsigned lo = 0, hi = s->asked.n; r == 0 && lo < hi;) {
		unsigned mid = lo + (hi - lo) / 2;

		run = &s->asked.runs[mid];
		if (run->vaddr > h->vaddr)
			hi = mid;
		else if (run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE <= h->vaddr)
			lo = mid + 1;
		else
			break;
		run = NULL;
	}
	if (r < 0)
		return r;
	if (!run || run->fd < 0 || h->vaddr % IMAGE_PAGE_SIZE || !h->nr_pages)
		return err_set(ENODATA, "process %" PRIu64 " has no page at %" PRIx64, h->dst,
			       h->vaddr);
	skip = (h->vaddr - run->vaddr) / IMAGE_PAGE_SIZE;
	n = MIN(MIN(h->nr_pages, run->nr_pages - skip), BUF_BYTES / IMAGE_PAGE_SIZE);
	r = fd_pread_full(run->fd, s->buf, n * IMAGE_PAGE_SIZE,
			  (off_t)(run->offset + skip * IMAGE_PAGE_SIZE));
	h->cmd = WIRE_ADD_F;
	h->flags = PE_PRESENT;
	h->nr_pages = n;
	return r < 0 ? r : wire_send(&s->wire, h, s->buf, n * IMAGE_PAGE_SIZE);
}

static int flush(struct server *s)
{
	int32_t status = 0;
	int r = finish_pages(s);

	if (r == 0)
		r = image_writer_finish(&s->w);
	if (r == 0 && s->done)
		r = s->done(s->arg);
	if (r < 0)
		return r;
	s->flushed = true;
	image_writer_init(&s->w, s->dir);
	if (send(s->wire.sock, &status, sizeof(status), MSG_NOSIGNAL) != sizeof(status))
		return err_errno("answer");
	return 0;
}

/* 1: that was the last. */
static int serve_one(struct server *s, struct wire_header *h)
{
	int r;

	switch (h->cmd) {
	case WIRE_OPEN:
	case WIRE_OPEN2:
		return open_pages(s, h, h->cmd == WIRE_OPEN2);
	case WIRE_PARENT:
		return tell_parent(s, h);
	case WIRE_ADD:
		return add(s, h, PE_PRESENT);
	case WIRE_HOLE:
		return add(s, h, PE_PARENT);
	case WIRE_ADD_F:
		return add(s, h, h->flags);
	case WIRE_GET:
		return get(s, h);
	case WIRE_CLOSE:
	case WIRE_FORCE_CLOSE:
		r = flush(s);
		return r < 0 ? r : h->cmd == WIRE_CLOSE;
	default:
		return err_set(EPROTO, "page server: command %u is not known", h->cmd);
	}
}

int cryo_serve_pages(const struct cryo_page_server *o)
{
	CLEANUP(server_clear)
	struct server s = {
		.wire = {.sock = o->sock},
		.dir = o->dir,
		.images = o->images,
		.pages = PAGES_WRITER_NONE,
		.done = o->done,
		.arg = o->arg,
		.buf = mmap(NULL, BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0),
	};
	struct wire_header h;
	int r = 0;

	if (s.buf == MAP_FAILED)
		return err_errno("memory to copy pages");
	image_writer_init(&s.w, o->dir);
	while (r == 0 && (r = wire_recv(&s.wire, &h)) == 0)
		r = serve_one(&s, &h);
	if (r < 0)
		return err_wrap(r, "page server");
	if (s.received && !s.flushed)
		return err_set(EPIPE, "page server: the dump has not come to its end");
	return 0;
}

int cryo_images_dedup(int dir)
{
	return pages_dedup(dir);
}

int cryo_images_forget(int dir)
{
	return pages_forget(dir);
}
