/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of processes that run already: faults come first; in between, what is missing is filled in
 * from the beginning on, so that there is an end.  The kernel tells what the process does to its
 * mappings, and waits until that has been read (userfaultfd(2), "non-cooperative" mode):
 * UFFDIO_COPY gives EAGAIN meanwhile.
 */
#include "cr/lazy.h"
#include "cr/lazy_segs.h"

#include "base/fd.h"
#include "base/log.h"
#include "image/mm.pb-c.h"
#include "image/wire.h"
#include "state/mem/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PAGE	    IMAGE_PAGE_SIZE
#define FAULT_BYTES (16u * PAGE) /* at one fault: neighbours are wanted next */
#define CHUNK_BYTES (64u * PAGE)

struct client {
	int uffd; /* -1: it has all, or has ended */
	pid_t nspid;
	int number; /* in the order of arrival; -1: born meanwhile */
	GArray *segs;
};

struct lazy {
	const struct cryo_lazy_options *o;
	int sock; /* tasks come from here; -1: all have come */
	int told; /* who watches us; told which tasks have all */
	int next;
	struct wire wire;
	GArray *clients;
	GArray *sets; /* struct page_set: their descriptors are in use */
	uint8_t *buf;
};

static void client_clear(void *p)
{
	struct client *c = p;

	cleanup_close(&c->uffd);
	if (c->segs)
		g_array_unref(c->segs);
}

static void set_clear(void *p)
{
	page_set_clear(p);
}

static void client_end(struct lazy *l, struct client *c)
{
	cleanup_close(&c->uffd);
	c->uffd = -1;
	if (c->number >= 0 && send(l->told, &c->number, sizeof(c->number), MSG_NOSIGNAL) < 0)
		log_debug("nobody watches any more");
	g_array_set_size(c->segs, 0);
}

/* What the images have of a process, as far as it lies in mappings that are served. */
static int load(struct lazy *l, const struct lazy_task *t, struct client *c)
{
	CLEANUP(image_record_free) MmEntry *mm = NULL;
	struct page_set set = {};
	int r = image_load_needed(l->o->images, IMG_MM, (uint64_t)t->nspid, &mm);

	if (r == 0)
		r = pages_open(l->o->images, IMG_PAGEMAP, (uint64_t)t->nspid, &set);
	if (r)
		return r < 0 ? r : err_set(ENOENT, "pagemap-%d.img is missing", t->nspid);
	g_array_append_val(l->sets, set);
	for (unsigned i = 0, v = 0; i < set.n; i++) {
		const struct image_run *run = &set.runs[i];
		uint64_t end = run->vaddr + run->nr_pages * PAGE;

		while (v < mm->n_vmas && mm->vmas[v]->end <= run->vaddr)
			v++;
		for (unsigned k = v; k < mm->n_vmas && mm->vmas[k]->start < end; k++) {
			struct seg s = {.at = MAX(run->vaddr, mm->vmas[k]->start),
					.end = MIN(end, mm->vmas[k]->end),
					.fd = run->fd};

			s.orig = s.at;
			s.offset = run->offset + s.at - run->vaddr;
			if (lazy_vma(mm->vmas[k]))
				g_array_append_val(c->segs, s);
		}
	}
	return 0;
}

static int take_client(struct lazy *l)
{
	struct client c = {.uffd = -1, .segs = segs_new()};
	struct lazy_task t = {0};
	unsigned n = 0;
	ssize_t got = fd_recv(l->sock, &t, sizeof(t), &c.uffd, 1, &n);
	int r;

	if (got == sizeof(t) && t.nspid && n == 1) {
		c.nspid = t.nspid;
		c.number = l->next++;
		g_array_append_val(l->clients, c);
		r = load(l, &t, &g_array_index(l->clients, struct client, l->clients->len - 1));
		return r < 0 ? err_wrap(r, "task %d", t.nspid) : 0;
	}
	client_clear(&c);
	if (got < 0)
		return (int)got;
	if (got != sizeof(t) || n)
		return err_set(EPIPE, "the restore has not come to its end");
	l->sock = -1;
	return 0;
}

/* LEN bytes of S from AT on into the buffer; fewer from a page server. */
static int fetch(struct lazy *l, const struct client *c, const struct seg *s, uint64_t at,
		 uint64_t *len)
{
	struct wire_header h = {.cmd = WIRE_GET,
				.nr_pages = *len / PAGE,
				.vaddr = s->orig + at - s->at,
				.dst = (uint64_t)c->nspid};
	int r;

	if (s->fd >= 0)
		return fd_pread_full(s->fd, l->buf, *len, (off_t)(s->offset + at - s->at));
	if (l->wire.sock < 0)
		return err_set(ENODATA,
			       "pages at %" PRIx64 " are not in the images; where is the "
			       "dump that has them? use --page-server, --address and --port",
			       h.vaddr);
	r = wire_send(&l->wire, &h, NULL, 0);
	if (r == 0)
		r = wire_recv(&l->wire, &h);
	if (r == 1 || (r == 0 && (!h.nr_pages || h.nr_pages > *len / PAGE)))
		return err_set(EPROTO, "the page server has no pages at %" PRIx64, h.vaddr);
	*len = h.nr_pages * PAGE;
	return r < 0 ? r : wire_recv_bytes(&l->wire, l->buf, *len);
}

static void wake(const struct client *c, uint64_t at, uint64_t len)
{
	struct uffdio_range range = {at, len};

	if (ioctl(c->uffd, UFFDIO_WAKE, &range) < 0)
		log_debug("wake: %s", strerror(errno));
}

static int read_events(struct lazy *l, unsigned i);

/*
 * The buffer to AT.  What is there already stays (EEXIST); what is not mapped any more is told of
 * soon (ENOENT); whoever has ended needs nothing (ESRCH).
 */
static int place(struct lazy *l, unsigned i, uint64_t at, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		struct client *c = &g_array_index(l->clients, struct client, i);
		struct uffdio_copy copy = {
			.dst = at + done, .src = (uintptr_t)l->buf + done, .len = len - done};
		int r;

		if (c->uffd < 0)
			return 0;
		if (ioctl(c->uffd, UFFDIO_COPY, &copy) == 0)
			break;
		if (copy.copy > 0) {
			done += (uint64_t)copy.copy;
			continue;
		}
		if (errno == EEXIST) {
			wake(c, at + done, PAGE);
			done += PAGE;
		} else if (errno == EAGAIN) {
			/* its mappings change: nothing of this is right any more */
			r = read_events(l, i);
			return r < 0 ? r : 1;
		} else if (errno == ENOENT) {
			segs_remove(c->segs, at + done, at + done + PAGE);
			done += PAGE;
		} else if (errno == ESRCH) {
			client_end(l, c);
			return 0;
		} else {
			return err_errno("give a page at %" PRIx64, at + done);
		}
	}
	segs_remove(g_array_index(l->clients, struct client, i).segs, at, at + len);
	return 0;
}

static int give(struct lazy *l, unsigned i, const struct seg *s, uint64_t at, uint64_t max)
{
	struct client *c = &g_array_index(l->clients, struct client, i);
	const struct seg copy = *s;
	uint64_t len = MIN(max, copy.end - at);
	int r = fetch(l, c, &copy, at, &len);

	return r < 0 ? r : place(l, i, at, len);
}

static int zero(struct lazy *l, struct client *c, uint64_t at)
{
	struct uffdio_zeropage z = {.range = {at, PAGE}};

	if (ioctl(c->uffd, UFFDIO_ZEROPAGE, &z) == 0)
		return 0;
	if (errno == ESRCH)
		client_end(l, c);
	else if (errno != EEXIST && errno != EAGAIN && errno != ENOENT)
		return err_errno("give an empty page at %" PRIx64, at);
	else
		wake(c, at, PAGE); /* it faults again if need be */
	return 0;
}

static int fault(struct lazy *l, unsigned i, uint64_t addr)
{
	struct client *c = &g_array_index(l->clients, struct client, i);
	uint64_t at = ROUND_DOWN(addr, PAGE);
	const struct seg *s = segs_find(c->segs, at);
	int r = s ? give(l, i, s, at, FAULT_BYTES) : zero(l, c, at);

	c = &g_array_index(l->clients, struct client, i);
	if (r == 1 && c->uffd >= 0) { /* asked again, when all is told */
		wake(c, at, PAGE);
		r = 0;
	}
	return r;
}

static void forked(struct lazy *l, unsigned i, int uffd)
{
	const struct client *p = &g_array_index(l->clients, struct client, i);
	struct client c = {
		.uffd = uffd, .nspid = p->nspid, .number = -1, .segs = g_array_copy(p->segs)};

	g_array_append_val(l->clients, c);
}

static int handle(struct lazy *l, unsigned i, const struct uffd_msg *m)
{
	struct client *c = &g_array_index(l->clients, struct client, i);

	switch (m->event) {
	case UFFD_EVENT_PAGEFAULT:
		return fault(l, i, m->arg.pagefault.address);
	case UFFD_EVENT_FORK:
		forked(l, i, (int)m->arg.fork.ufd);
		return 0;
	case UFFD_EVENT_REMAP:
		segs_move(c->segs, m->arg.remap.from, m->arg.remap.to, m->arg.remap.len);
		return 0;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		segs_remove(c->segs, m->arg.remove.start, m->arg.remove.end);
		return 0;
	default:
		return 0;
	}
}

static int read_events(struct lazy *l, unsigned i)
{
	for (;;) {
		struct client *c = &g_array_index(l->clients, struct client, i);
		struct uffd_msg m;
		ssize_t n = c->uffd < 0 ? 0 : read(c->uffd, &m, sizeof(m));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return err_errno("read what process %d does", c->nspid);
		if (n != sizeof(m))
			return 0;
		r = handle(l, i, &m);
		if (r < 0)
			return r;
	}
}

/* One more piece of what is missing.  1: nothing is. */
static int fill(struct lazy *l)
{
	for (unsigned i = 0; i < l->clients->len; i++) {
		struct client *c = &g_array_index(l->clients, struct client, i);
		const struct seg *s;
		int r;

		if (c->uffd < 0)
			continue;
		if (!c->segs->len) { /* it may go on by itself */
			client_end(l, c);
			continue;
		}
		s = &g_array_index(c->segs, struct seg, 0);
		r = give(l, i, s, s->at, CHUNK_BYTES);
		return MIN(r, 0);
	}
	return 1;
}

static int serve_once(struct lazy *l, bool idle)
{
	g_autofree struct pollfd *p = g_new0(struct pollfd, l->clients->len + 1);
	unsigned n = l->clients->len;
	int r = 0;

	for (unsigned i = 0; i < n; i++)
		p[i] = (struct pollfd){g_array_index(l->clients, struct client, i).uffd, POLLIN, 0};
	p[n] = (struct pollfd){l->sock, POLLIN, 0};
	if (poll(p, n + 1, idle ? -1 : 0) < 0)
		return errno == EINTR ? 0 : err_errno("poll");
	for (unsigned i = 0; r == 0 && i < n; i++)
		if (p[i].revents)
			r = read_events(l, i);
	if (r == 0 && p[n].revents)
		r = take_client(l);
	return r;
}

int lazy_serve(const struct cryo_lazy_options *o, int sock)
{
	struct lazy l = {
		.o = o,
		.sock = sock,
		.told = sock,
		.wire = {.sock = o->page_server, .known = true},
		.clients = g_array_new(FALSE, TRUE, sizeof(struct client)),
		.sets = g_array_new(FALSE, TRUE, sizeof(struct page_set)),
		.buf = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0),
	};
	int r = l.buf == MAP_FAILED ? err_errno("memory to copy pages") : 0;
	bool idle = true;

	g_array_set_clear_func(l.clients, client_clear);
	g_array_set_clear_func(l.sets, set_clear);
	while (r == 0) {
		r = serve_once(&l, idle);
		if (r == 0) {
			r = fill(&l);
			idle = r == 1;
			if (idle && l.sock < 0)
				break;
			r = MIN(r, 0);
		}
	}
	if (r == 1)
		r = 0;
	if (r == 0 && o->page_server >= 0)
		r = wire_close(&l.wire, false);
	if (r == 0) { /* what is left of them is nobody's any more */
		g_array_unref(l.clients);
		g_array_unref(l.sets);
	}
	return r;
}
