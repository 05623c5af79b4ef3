/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that go to somebody else (an archive): read from outside, in order, process by process. */
#include "state/mem/lanes.h"
#include "state/mem/track.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define STREAM_BUFFER ((size_t)1 << 20)

/*
 * Pieces of memory on their way through a buffer of ours: read with one call as long as they are
 * neighbours in it.
 */
struct gather {
	struct lane *l;
	pid_t pid;
	const struct cryo_pages_stream *to;
	uint8_t *buf;
	size_t bytes;
	unsigned n;
	struct iovec v[TRANSFER_PIECES];
};

/* What the process may not read itself, FOLL_FORCE may. */
static int read_slowly(struct gather *g)
{
	struct lane *l = g->l;
	size_t at = 0;
	int r = lane_open_mem(l);

	for (unsigned i = 0; r == 0 && i < g->n; i++) {
		r = fd_pread_full(l->mem, g->buf + at, g->v[i].iov_len,
				  (off_t)(uintptr_t)g->v[i].iov_base);

		if (r < 0)
			return err_wrap(r, "memory at %p", g->v[i].iov_base);
		at += g->v[i].iov_len;
	}
	return r;
}

static int gather_flush(struct gather *g)
{
	const struct iovec to = {g->buf, g->bytes};
	int r = 0;

	if (!g->n)
		return 0;
	if (process_vm_readv(g->pid, &to, 1, g->v, g->n, 0) != (ssize_t)g->bytes)
		r = read_slowly(g);
	if (r == 0)
		r = g->to->data(g->to->arg, g->buf, g->bytes);
	g->n = 0;
	g->bytes = 0;
	return r;
}

static int gather_add(struct gather *g, uint64_t start, uint64_t end)
{
	int r = 0;

	while (r == 0 && start < end) {
		size_t n = MIN(end - start, STREAM_BUFFER - g->bytes);

		g->v[g->n++] = (struct iovec){(void *)(uintptr_t)start, n};
		g->bytes += n;
		start += n;
		if (g->n == TRANSFER_PIECES || g->bytes == STREAM_BUFFER)
			r = gather_flush(g);
	}
	return r;
}

static int stream_pages(struct dump *d, struct lane *l, uint8_t *buf)
{
	struct gather g = {.l = l, .to = d->o.pages_stream, .buf = buf};
	int r = 0;

	g.pid = l->nspid ? agent_tid(l->t->agent, SNAPSHOT_SLOT) : l->t->proc.pid;
	for (unsigned i = 0; r == 0 && i < l->found->len; i++) {
		const struct found *f = &g_array_index(l->found, struct found, i);

		if (f->flags & PE_PRESENT)
			r = gather_add(&g, f->start, f->end);
	}
	return r < 0 ? r : gather_flush(&g);
}

/* The pagemap says what there is; the pages file itself is only where it goes. */
static int stream_lane(struct dump *d, struct lane *l, uint8_t *buf)
{
	const struct cryo_pages_stream *to = d->o.pages_stream;
	char name[IMAGE_NAME_MAX];
	int r = 0;

	if (!l->scanned)
		r = track_pages(d, l->t, l->dir, lane_keep_found, l);
	for (unsigned i = 0; r == 0 && i < l->found->len; i++) {
		const struct found *f = &g_array_index(l->found, struct found, i);

		r = pages_add(&l->w, f->start, (f->end - f->start) / IMAGE_PAGE_SIZE, f->flags,
			      NULL);
	}
	image_name(IMG_PAGES, l->w.pages_id, name);
	if (r == 0)
		r = to->begin(to->arg, name, l->w.offset_bytes);
	if (r == 0)
		r = stream_pages(d, l, buf);
	if (r == 0)
		r = to->end(to->arg);
	if (r == 0)
		r = pages_finish(&l->w);
	if (r == 0 && unlinkat(d->dir, name, 0) < 0)
		r = err_errno("remove %s", name);
	d->stats.pages_written += l->w.present_pages;
	d->stats.pages_skipped_parent += l->w.parent_pages;
	return r < 0 ? dtask_wrap(l->t, r) : 0;
}

int stream_lanes(struct dump *d, struct pages_dump *p)
{
	/* The kernel copies much slower from where no cache line begins. */
	uint8_t *buf = mmap(NULL, STREAM_BUFFER, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = buf == MAP_FAILED ? err_errno("map a buffer") : 0;

	for (unsigned i = 0; r == 0 && i < p->n; i++)
		r = stream_lane(d, &p->lanes[i], buf);
	if (buf != MAP_FAILED)
		munmap(buf, STREAM_BUFFER);
	return r;
}
