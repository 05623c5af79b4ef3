/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing pages: the agent writes from the process straight into the pages image, without a copy in
 * between; all processes at the same time.  What the process itself may not read (PROT_NONE with
 * content) is copied from outside, which may (/proc/PID/mem, FOLL_FORCE); so is all of one whose
 * limit leaves no room for the image's descriptor.
 *
 * Where pages go to a stream (an archive), they are read from outside, in order, process by
 * process; but not while somebody stands still who is to go on afterwards: that would be for as
 * long as it takes to compress them.
 */
#include "state/mem/cow.h"
#include "state/mem/lanes.h"
#include "state/mem/lazy.h"
#include "state/mem/mem.h"
#include "state/mem/readout.h"
#include "state/mem/track.h"
#include "state/mem/transfer.h"

#include "base/fd.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/parallel.h"
#include "image/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define COPY_MAX    (1u << 20)
#define DIRECT_MIN  (UINT64_C(1) << 20) /* of mappings that may hold pages of their own */
#define AHEAD_BYTES (UINT64_C(32) << 20)
#define AHEAD_PART  4			  /* of little: what is left is found in the meantime */
#define SMALL_BYTES (UINT64_C(512) << 10) /* copied by us: a channel to its agent costs more */

static void lane_clear(struct lane *l)
{
	if (l->begun)
		batch_end(&l->b);
	pages_writer_drop(&l->w);
	cleanup_close(&l->mem);
	if (l->nspid)
		cleanup_close(&l->dir);
	if (l->found)
		g_array_unref(l->found);
	if (l->guards)
		g_array_unref(l->guards);
}

bool mem_is_shared(const struct dump *d, const struct dtask *t)
{
	return t->lends || t->stat.flags & PROC_PF_FORKNOEXEC;
}

/*
 * Is it worth a second descriptor?  Not where pages are shared: O_DIRECT pins them, and a page that
 * is pinned is copied first (mm/gup.c: gup_must_unshare()).
 */
static bool is_large(const struct dump *d, const struct dtask *t)
{
	uint64_t sum = 0;

	if (mem_is_shared(d, t))
		return false;
	for (size_t i = 0; i < t->maps.n; i++)
		if (!t->maps.v[i].shared && t->maps.v[i].prot & PROT_WRITE)
			sum += vma_len(&t->maps.v[i]);
	return sum >= DIRECT_MIN;
}

/* One for each memory. */
static void lanes_make(struct dump *d)
{
	struct pages_dump *p = d->pages;

	if (p)
		return;
	p = d->pages = g_new0(struct pages_dump, 1);
	p->lanes = g_new0(struct lane, d->tasks->len);
	for (unsigned i = 0; i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie || t->vm != i)
			continue;
		p->lanes[p->n++] = (struct lane){
			.t = t,
			.w = PAGES_WRITER_NONE,
			.dir = t->proc.dir,
			.mem = -1,
			.found = g_array_new(FALSE, FALSE, sizeof(struct found)),
		};
	}
}

static int lane_begin(struct dump *d, struct lane *l)
{
	int r = pages_create(&l->w, &d->w, IMG_PAGEMAP, (uint64_t)l->t->nspid, d->next_pages_id++);

	l->ahead_bytes = r < 0 ? 0 : pages_prepared_bytes(&l->w) / AHEAD_PART;
	if (!l->ahead_bytes || l->ahead_bytes > AHEAD_BYTES)
		l->ahead_bytes = AHEAD_BYTES;
	return r;
}

int lane_connect(struct dump *d, struct lane *l)
{
	uint64_t prepared = pages_prepared_bytes(&l->w);
	struct dtask *t = l->t;
	autoclose int direct = -1;
	int r = 0;

	if (is_large(d, t) && !d->pages->stream && mem_has_more(t, prepared))
		r = pages_reopen_direct(l->w.fd, true, &direct);
	if (r < 0)
		return r;
	dtask_batch(t, &l->b);
	l->begun = true;
	if (d->pages->stream)
		return 0;
	l->x = (struct transfer){
		.b = &l->b, .write = true, .fd = l->w.fd, .tfds = {-1, -1}, .prepared = prepared};
	batch_recv_fds(&l->b, (const int[]){l->w.fd, direct}, direct < 0 ? 1 : 2, l->x.tfds);
	r = batch_run(&l->b);
	if (r == -EMFILE) { /* no room for another descriptor (agent_channel()): by us */
		err_clear();
		batch_end(&l->b);
		dtask_batch(t, &l->b);
		l->outside = true;
		r = 0;
	}
	l->b.interruptible = true;
	return r;
}

int lane_open_mem(struct lane *l)
{
	if (l->mem < 0)
		l->mem = openat(l->dir, "mem", O_RDONLY | O_CLOEXEC);
	return l->mem < 0 ? err_errno("open mem of process %d", l->t->proc.pid) : 0;
}

static int copy_out(struct lane *l, uint64_t addr, uint64_t len, uint64_t offset)
{
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	int r = lane_open_mem(l);

	for (uint64_t done = 0; r == 0 && done < len;) {
		size_t n = MIN(len - done, COPY_MAX);

		r = interrupt_check();
		if (r == 0)
			r = fd_pread_full(l->mem, buf, n, (off_t)(addr + done));
		if (r == 0)
			r = fd_pwrite_full(l->w.fd, buf, n, (off_t)(offset + done));
		if (r < 0)
			return err_wrap(r, "memory at %" PRIx64, addr + done);
		done += n;
	}
	return r;
}

static int dump_run(struct lane *l, const struct found *f)
{
	uint64_t len = f->end - f->start, offset;
	int r = pages_add(&l->w, f->start, len / IMAGE_PAGE_SIZE, f->flags, &offset);

	if (r < 0 || !(f->flags & PE_PRESENT))
		return r;
	if (!f->readable || l->outside)
		return copy_out(l, f->start, len, offset);
	transfer_add(&l->x, f->start, len, offset);
	return 0;
}

/*
 * What may be dropped at any time (MAP_DROPPABLE) is not kept: C libraries have the state of
 * getrandom(3) of the vdso there, and who is restored twice must not have the same random numbers
 * twice.  Who finds it empty asks the kernel (lib/vdso/getrandom.c).
 */
bool mem_has_pages(const struct vma *v)
{
	return !v->shared && !(v->vmflags & VMF(DP)) && v->special != VMA_VDSO &&
	       v->special != VMA_VVAR && v->special != VMA_VVAR_VCLOCK &&
	       v->special != VMA_VSYSCALL && v->special != VMA_UPROBES;
}

/* By the process itself. */
static bool is_readable(const struct vma *v)
{
	return v->prot & PROT_READ && !aio_is_ring(v);
}

/* What is to stay is only told of. */
static uint32_t flags_of(struct lane *l, const struct vma *v, uint64_t start, uint64_t end,
			 uint32_t flags)
{
	const struct page_piece p = {start, end, PE_LAZY};

	if (!l->t->dump->o.lazy || !(flags & PE_PRESENT) || !lazy_map(l->t, v))
		return flags;
	if (!l->t->lazy)
		l->t->lazy = g_array_new(FALSE, FALSE, sizeof(struct page_piece));
	g_array_append_val(l->t->lazy, p);
	l->t->dump->stats.pages_lazy += (end - start) / IMAGE_PAGE_SIZE;
	return PE_LAZY;
}

/*
 * A page that is shared since fork(2) would be copied for process_vm_readv(2), which pins it
 * (mm/gup.c: gup_must_unshare()).
 */
static int read_small(struct lane *l, const struct iovec *v, unsigned n, const struct iovec *to)
{
	uint8_t *at = to->iov_base;
	int r;

	if (n <= IOV_MAX && !mem_is_shared(l->t->dump, l->t) &&
	    process_vm_readv(l->t->proc.pid, to, 1, v, n, 0) == (ssize_t)to->iov_len)
		return 0;
	r = lane_open_mem(l);
	for (unsigned i = 0; r == 0 && i < n; at += v[i++].iov_len) {
		r = fd_pread_full(l->mem, at, v[i].iov_len, (off_t)v[i].iov_base);
		if (r < 0)
			return err_wrap(r, "memory at %p", v[i].iov_base);
	}
	return r;
}

static int copy_small(struct lane *l)
{
	g_autofree struct iovec *v = g_new(struct iovec, l->found->len + 1);
	g_autofree uint8_t *buf = g_malloc(l->kept + 1);
	struct iovec to = {buf, 0};
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < l->found->len; i++) {
		const struct found *f = &g_array_index(l->found, struct found, i);
		size_t len = f->end - f->start;

		r = pages_add(&l->w, f->start, len / IMAGE_PAGE_SIZE, f->flags, NULL);
		if (f->flags & PE_PRESENT) {
			v[n++] = (struct iovec){(void *)(uintptr_t)f->start, len};
			to.iov_len += len;
		}
	}
	if (r == 0 && n)
		r = read_small(l, v, n, &to);
	return r < 0 ? r : fd_pwrite_full(l->w.fd, buf, to.iov_len, 0);
}

int lane_keep_found(void *arg, const struct vma *v, uint64_t start, uint64_t end, uint32_t flags)
{
	const struct found f = {start, end, flags, is_readable(v)};
	struct lane *l = arg;

	g_array_append_val(l->found, f);
	return 0;
}

static int write_kept(struct lane *l)
{
	int r = l->begun ? 0 : lane_connect(l->t->dump, l);

	for (unsigned i = 0; r == 0 && i < l->found->len; i++)
		r = dump_run(l, &g_array_index(l->found, struct found, i));
	g_array_set_size(l->found, 0);
	return r;
}

/* The first of it is written while we look for the rest. */
static int write_found(void *arg, const struct vma *v, uint64_t start, uint64_t end, uint32_t flags)
{
	const struct found f = {start, end, flags_of(arg, v, start, end, flags), is_readable(v)};
	struct lane *l = arg;
	int r;

	if (l->ahead)
		return lane_keep_found(arg, v, start, end, f.flags);
	if (!l->begun) {
		l->kept += f.flags & PE_PRESENT ? end - start : 0;
		r = lane_keep_found(arg, v, start, end, f.flags);
		return l->kept <= SMALL_BYTES ? r : write_kept(l);
	}
	r = dump_run(l, &f);
	if (r < 0 || l->x.bytes < l->ahead_bytes)
		return r;
	transfer_flush(&l->x);
	l->ahead = true;
	return batch_post(&l->b);
}

int lane_scan(struct dump *d, struct lane *l)
{
	if (!l->t->track)
		return 0;
	l->scanned = true;
	return track_pages(d, l->t, l->dir, lane_keep_found, l);
}

static int lane_post(struct lane *l)
{
	int r = l->ahead ? batch_wait(&l->b) : 0;

	if (!l->begun && l->kept <= SMALL_BYTES)
		return copy_small(l);
	if (r == 0)
		r = write_kept(l);
	transfer_flush(&l->x);
	return r < 0 ? r : batch_post(&l->b);
}

static int lane_finish(struct dump *d, struct lane *l)
{
	int r = l->begun ? batch_wait(&l->b) : 0;

	l->b.interruptible = false;
	if (r == 0 && l->begun && !l->nspid) {
		batch_close_fds(&l->b);
		r = batch_run(&l->b);
	}
	d->stats.pages_written += l->w.present_pages;
	d->stats.pages_skipped_parent += l->w.parent_pages;
	if (r == 0)
		r = pages_finish(&l->w);
	return r < 0 ? dtask_wrap(l->t, err_wrap(r, "write its memory to the image")) : 0;
}

/* Of those that still stand. */
static int find_guards(struct pages_dump *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->n; i++) {
		struct lane *l = &p->lanes[i];

		if (l->guards)
			mem_guards_note(l->t, l->guards);
		else if (!l->nspid)
			r = dtask_wrap(l->t, mem_guards_dump(l->t));
	}
	return r;
}

int lanes_finish(struct dump *d, struct pages_dump *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && !p->stream && i < p->n; i++)
		r = lane_finish(d, &p->lanes[i]);
	return r;
}

int lanes_post(struct dump *d, struct pages_dump *p)
{
	int r = 0;

	if (p->stream) {
		r = find_guards(p);
		return r < 0 ? r : stream_lanes(d, p);
	}
	if (d->o.lazy) /* they decide what may stay */
		r = find_guards(p);
	for (unsigned i = 0; i < p->n; i++)
		p->lanes[i].b.interruptible = p->lanes[i].begun;
	for (unsigned i = 0; r == 0 && i < p->n; i++) {
		struct lane *l = &p->lanes[i];

		if (!l->scanned)
			r = dtask_wrap(l->t, track_pages(d, l->t, l->dir, write_found, l));
	}
	for (unsigned i = 0; r == 0 && i < p->n; i++)
		r = dtask_wrap(p->lanes[i].t, lane_post(&p->lanes[i]));
	if (r == 0 && !d->o.lazy) /* while that is written */
		r = find_guards(p);
	return r;
}

void lanes_free(struct dump *d)
{
	struct pages_dump *p = g_steal_pointer(&d->pages);

	for (unsigned i = 0; p && i < p->n; i++)
		lane_clear(&p->lanes[i]);
	if (p)
		g_free(p->lanes);
	g_free(p);
}

uint64_t mem_resident_pages(const struct dump *d)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < d->tasks->len; i++)
		pages += dump_task(d, i)->stat.rss_pages;
	return pages;
}

static int dump_here(struct dump *d)
{
	struct lane *l;
	int r = cow_dump(d);

	lanes_make(d);
	l = d->pages->lanes;
	d->pages->snapshot = snapshots_pay(d);
	d->pages->stream = d->o.pages_stream && (d->pages->snapshot || !d->o.leave_running);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie)
			continue;
		if (t->vm != i) {
			r = dtask_wrap(t, mem_dump_no_pages(d, t));
			continue;
		}
		r = lane_begin(d, l);
		if (r == 0 && d->pages->snapshot)
			r = lane_snapshot(d, l);
		r = dtask_wrap(t, r);
		l++;
	}
	if (r == 0 && !d->pages->snapshot)
		r = lanes_post(d, d->pages);
	return r < 0 ? r : shmem_dump_pages(d);
}

/* By ourselves, to somebody else; what has been told is read while it stands still. */
static int dump_elsewhere(struct dump *d)
{
	int r = cow_dump(d);

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (!t->zombie)
			r = dtask_wrap(t,
				       t->vm == i ? mem_guards_dump(t) : mem_dump_no_pages(d, t));
	}
	if (r == 0)
		r = mem_readout_begin(d);
	if (r == 0)
		r = mem_readout_write(d);
	mem_readout_end(d);
	if (r == 0)
		r = shmem_dump_pages(d);
	return r < 0 ? r : page_sinks_end(d);
}

static int find_early(void *arg, const struct vma *v, uint64_t start, uint64_t end, uint32_t flags)
{
	struct lane *l = arg;

	l->kept += end - start;
	return lane_keep_found(arg, v, start, end, flags);
}

static int find_all_early(void *arg)
{
	struct dump *d = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->pages->n; i++) {
		struct lane *l = &d->pages->lanes[i];

		l->scanned = true;
		l->guards = g_array_new(FALSE, FALSE, sizeof(struct page_piece));
		r = track_pages(d, l->t, l->dir, find_early, l);
		if (r == 0)
			r = mem_guards_find(l->t, l->guards);
		r = dtask_wrap(l->t, r);
	}
	return r;
}

/* Of little memory, of which nothing is decided by the agents or the mappings' guards. */
int mem_find_pages(struct dump *d)
{
	if (d->o.pages_elsewhere || d->o.pages_out || d->o.pages_stream || d->o.lazy ||
	    d->o.track_mem || d->o.parent || mem_resident_pages(d) >= SNAPSHOT_MIN_PAGES)
		return 0;
	lanes_make(d);
	beside_begin(d->finding, find_all_early, d);
	return 0;
}

int mem_dump_pages(struct dump *d)
{
	bool elsewhere = d->o.pages_elsewhere || d->o.pages_out;
	int r = beside_end(&d->finding);

	if (r < 0)
		return r;
	return mem_why_unreadable(d, elsewhere ? dump_elsewhere(d) : dump_here(d));
}

int mem_end_pages(struct dump *d)
{
	int r;

	if (!d->pages || d->pages->snapshot)
		return 0;
	r = mem_why_unreadable(d, lanes_finish(d, d->pages));
	lanes_free(d);
	return r;
}
