/* SPDX-License-Identifier: Apache-2.0 */
#include "state/mem/readout.h"

#include "state/mem/mem.h"
#include "state/mem/track.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define BUF_BYTES (4u << 20)
#define OUT_BYTES (512u << 10) /* what is passed on at once is still in the CPU's cache */
#define PIECES	  512u	       /* of one call: below IOV_MAX */

struct readout {
	struct dtask *t;
	GArray *pieces; /* struct page_piece */
	bool shared;	/* with others since fork(2) */
	int mem;	/* its memory, whatever it executes meanwhile; -1 */
};

static void readout_clear(void *p)
{
	struct readout *o = p;

	if (o->pieces)
		g_array_unref(o->pieces);
	cleanup_close(&o->mem);
}

static int keep(void *arg, const struct vma *v, uint64_t start, uint64_t end, uint32_t flags)
{
	const struct page_piece p = {start, end, flags};
	struct readout *o = arg;

	g_array_append_val(o->pieces, p);
	return 0;
}

static int begin(struct dump *d, struct dtask *t, struct readout *o)
{
	o->t = t;
	o->shared = mem_is_shared(d, t);
	o->pieces = g_array_new(FALSE, FALSE, sizeof(struct page_piece));
	o->mem = openat(t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
	if (o->mem < 0)
		return err_errno("open its memory");
	return track_pages(d, t, t->proc.dir, keep, o);
}

static uint32_t map_flags(const struct vma *v, bool alone)
{
	const uint64_t special = VMF(LO) | VMF(GD) | VMF(DP) | VMF(HT);
	bool anonymous = mem_has_pages(v) && v->ino == 0 && v->name[0] != '/';

	return (alone && anonymous && !(v->vmflags & special) ? PAGE_MAP_ALONE : 0) |
	       (v->vmflags & VMF(NR) ? PAGE_MAP_NORESERVE : 0) |
	       (v->vmflags & VMF(HG) ? PAGE_MAP_HUGE : 0);
}

static int tell_maps(struct dump *d, const struct dtask *t)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct page_map));
	CLEANUP(maps_clear) struct maps m = {0};
	bool alone = !t->guest && !mem_is_shared(d, t);
	int r = maps_read_vmflags(t->proc.dir, &m);

	for (size_t i = 0; r == 0 && i < m.n; i++) {
		const struct vma *v = &m.v[i];
		const struct page_map p = {v->start, v->end, map_flags(v, alone)};

		g_array_append_val(all, p);
	}
	if (r == -ESRCH || r == -ENOENT) { /* it ends just now */
		err_clear();
		return 0;
	}
	return r < 0 ? r
		     : d->o.pages_out->maps(d->o.pages_out->arg, t->nspid, (void *)all->data,
					    all->len);
}

int mem_readout_tell_maps(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && d->o.pages_out && i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie)
			r = dtask_wrap(dump_task(d, i), tell_maps(d, dump_task(d, i)));
	return r;
}

int mem_readout_begin(struct dump *d)
{
	int r = 0;

	d->readouts = g_array_new(FALSE, TRUE, sizeof(struct readout));
	g_array_set_clear_func(d->readouts, readout_clear);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct readout o = {.mem = -1};

		if (dump_task(d, i)->zombie || dump_task(d, i)->vm != i)
			continue;
		g_array_append_val(d->readouts, o);
		r = dtask_wrap(dump_task(d, i), begin(d, dump_task(d, i),
						      &g_array_index(d->readouts, struct readout,
								     d->readouts->len - 1)));
	}
	return r;
}

void mem_readout_end(struct dump *d)
{
	g_clear_pointer(&d->readouts, g_array_unref);
}

/* Also what the process itself may not read; what is gone is zeros. */
static void read_slowly(const struct readout *o, uint64_t addr, uint64_t len, uint8_t *buf)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t n = pread(o->mem, buf + done, len - done, (off_t)(addr + done));

		n = n < 0 ? 0 : (ssize_t)ROUND_DOWN((uint64_t)n, IMAGE_PAGE_SIZE);
		if (n == 0) {
			memset(buf + done, 0, IMAGE_PAGE_SIZE);
			n = IMAGE_PAGE_SIZE;
		}
		done += (uint64_t)n;
	}
}

/*
 * One call for all of a group; it stops where something has gone (process_vm_readv(2)).  It pins
 * the pages, and would take from the process those that it shares (mm/gup.c: gup_must_unshare()).
 */
static void read_group(const struct readout *o, const struct iovec *v, unsigned n, uint8_t *buf)
{
	uint64_t done = 0, at = 0;
	struct iovec to = {.iov_base = buf};
	ssize_t got;

	for (unsigned i = 0; i < n; i++)
		to.iov_len += v[i].iov_len;
	got = o->shared ? 0 : process_vm_readv(o->t->proc.pid, &to, 1, v, n, 0);
	done = got < 0 ? 0 : ROUND_DOWN((uint64_t)got, IMAGE_PAGE_SIZE);
	for (unsigned i = 0; i < n; at += v[i++].iov_len) {
		uint64_t skip = done > at ? MIN(done - at, v[i].iov_len) : 0;

		read_slowly(o, (uint64_t)(uintptr_t)v[i].iov_base + skip, v[i].iov_len - skip,
			    buf + at + skip);
	}
}

static int write_group(const struct readout *o, struct page_sink *s, const struct page_piece *p,
		       unsigned n, uint8_t *buf)
{
	struct iovec v[PIECES];
	unsigned nv = 0;

	for (unsigned i = 0; i < n; i++)
		if (p[i].flags & PE_PRESENT)
			v[nv++] = (struct iovec){(void *)(uintptr_t)p[i].start,
						 p[i].end - p[i].start};
	if (nv)
		read_group(o, v, nv, buf);
	return page_sink_put(s, p, n, buf);
}

static int write_one(struct dump *d, const struct readout *o, uint8_t *buf)
{
	CLEANUP(page_sink_drop) struct page_sink s = PAGE_SINK_NONE;
	struct page_piece group[PIECES];
	uint64_t bytes = 0, max = d->o.pages_out ? OUT_BYTES : BUF_BYTES;
	unsigned n = 0;
	int r = page_sink_open(&s, d, IMG_PAGEMAP, (uint64_t)o->t->nspid);

	for (unsigned i = 0; r == 0 && i < o->pieces->len; i++) {
		struct page_piece p = g_array_index(o->pieces, struct page_piece, i);

		if (s.no_parent && p.flags & PE_PARENT)
			p.flags = PE_PRESENT;

		while (r == 0 && p.start < p.end) {
			bool present = p.flags & PE_PRESENT;
			uint64_t len = p.end - p.start;

			if (present)
				len = MIN(len, max - bytes);
			group[n++] = (struct page_piece){p.start, p.start + len, p.flags};
			bytes += present ? len : 0;
			p.start += len;
			if (n == PIECES || bytes == max) {
				r = write_group(o, &s, group, n, buf);
				n = 0;
				bytes = 0;
			}
		}
	}
	if (r == 0 && n)
		r = write_group(o, &s, group, n, buf);
	return r < 0 ? r : page_sink_close(&s);
}

int mem_readout_write(struct dump *d)
{
	uint8_t *buf =
		mmap(NULL, BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = buf == MAP_FAILED ? err_errno("memory to copy pages") : 0;

	for (unsigned i = 0; r == 0 && i < d->readouts->len; i++) {
		struct readout *o = &g_array_index(d->readouts, struct readout, i);

		r = dtask_wrap(o->t, write_one(d, o, buf));
	}
	if (buf != MAP_FAILED)
		munmap(buf, BUF_BYTES);
	return r;
}
