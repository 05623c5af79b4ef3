/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that has stayed in a tree which stands still, page by page to where it runs already. */
#include "cr/lazy.h"

#include "base/fd.h"
#include "image/wire.h"
#include "state/mem/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>

#define AT_ONCE 64u /* pages */

struct source {
	struct dump *d;
	struct wire wire;
	GHashTable *mem; /* nspid -> descriptor of its memory */
	uint8_t buf[AT_ONCE * IMAGE_PAGE_SIZE];
};

static void close_value(void *p)
{
	close(GPOINTER_TO_INT(p));
}

static void source_free(struct source **s)
{
	g_hash_table_unref((*s)->mem);
	g_free(*s);
}

static struct dtask *find(struct dump *d, uint64_t nspid)
{
	for (unsigned i = 0; i < d->tasks->len; i++)
		if ((uint64_t)dump_task(d, i)->nspid == nspid && dump_task(d, i)->lazy)
			return dump_task(d, i);
	return NULL;
}

/* How many of the NR pages at VADDR there are in one piece; the first one is. */
static uint64_t count(const struct dtask *t, uint64_t vaddr, uint64_t nr)
{
	unsigned lo = 0, hi = t->lazy->len;
	const struct page_piece *p;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (g_array_index(t->lazy, struct page_piece, mid).end <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	p = lo < t->lazy->len ? &g_array_index(t->lazy, struct page_piece, lo) : NULL;
	if (!p || p->start > vaddr || vaddr % IMAGE_PAGE_SIZE)
		return 0;
	return MIN(MIN(nr, AT_ONCE), (p->end - vaddr) / IMAGE_PAGE_SIZE);
}

static int open_mem(struct source *s, const struct dtask *t, int *ret)
{
	gpointer key = GINT_TO_POINTER(t->nspid), value;

	if (g_hash_table_lookup_extended(s->mem, key, NULL, &value)) {
		*ret = GPOINTER_TO_INT(value);
		return 0;
	}
	*ret = openat(t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
	if (*ret < 0)
		return err_errno("open memory");
	g_hash_table_insert(s->mem, key, GINT_TO_POINTER(*ret));
	return 0;
}

static int get(struct source *s, struct wire_header *h)
{
	struct dtask *t = find(s->d, h->dst);
	uint64_t n = t ? count(t, h->vaddr, h->nr_pages) : 0;
	int fd, r;

	if (!n)
		return err_set(EPROTO,
			       "asked for pages of task %" PRIu64 " at %" PRIx64
			       ", which have not stayed here",
			       h->dst, h->vaddr);
	r = open_mem(s, t, &fd);
	if (r == 0)
		r = fd_pread_full(fd, s->buf, n * IMAGE_PAGE_SIZE, (off_t)h->vaddr);
	if (r < 0)
		return dtask_wrap(t, r);
	h->cmd = WIRE_ADD_F;
	h->flags = PE_PRESENT;
	h->nr_pages = n;
	return wire_send(&s->wire, h, s->buf, n * IMAGE_PAGE_SIZE);
}

int lazy_dump_serve(struct dump *d, int sock)
{
	CLEANUP(source_free) struct source *s = g_new0(struct source, 1);
	struct wire_header h;
	int32_t status = 0;
	int r;

	s->d = d;
	s->wire.sock = sock;
	s->mem = g_hash_table_new_full(NULL, NULL, NULL, close_value);
	while ((r = wire_recv(&s->wire, &h)) == 0 && h.cmd == WIRE_GET)
		if ((r = get(s, &h)) < 0)
			break;
	if (r == 1)
		return err_set(EPIPE, "whoever took the memory has gone before he had all of it");
	if (r < 0)
		return err_wrap(r, "memory to come later");
	if (h.cmd != WIRE_CLOSE && h.cmd != WIRE_FORCE_CLOSE)
		return err_set(EPROTO, "command %u where pages are asked for", h.cmd);
	if (send(sock, &status, sizeof(status), MSG_NOSIGNAL) != sizeof(status))
		return err_errno("answer");
	return 0;
}
