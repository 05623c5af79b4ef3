/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing pages: the agent writes from the process straight into the pages image, without a copy in
 * between; all processes at the same time.  What the process itself may not read (PROT_NONE with
 * content) is copied from outside, which may (/proc/PID/mem, FOLL_FORCE).
 */
#include "state/mem/mem.h"
#include "state/mem/transfer.h"

#include "base/fd.h"
#include "image/pages.h"
#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#define COPY_MAX   (1u << 20)
#define DIRECT_MIN (UINT64_C(1) << 20) /* of mappings that may hold pages of their own */

struct lane { /* one process */
	struct dtask *t;
	struct pages_writer w;
	struct batch b;
	struct transfer x;
	bool begun;
	int mem; /* /proc/PID/mem, when it is needed */
};

static void lane_clear(struct lane *l)
{
	if (l->begun)
		batch_end(&l->b);
	pages_writer_drop(&l->w);
	cleanup_close(&l->mem);
}

/* Is it worth a second descriptor? */
static bool is_large(const struct dtask *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->maps.n; i++)
		if (!t->maps.v[i].shared && t->maps.v[i].prot & PROT_WRITE)
			sum += vma_len(&t->maps.v[i]);
	return sum >= DIRECT_MIN;
}

static int lane_begin(struct dump *d, struct dtask *t, struct lane *l)
{
	autoclose int direct = -1;
	int r;

	*l = (struct lane){.t = t, .w = PAGES_WRITER_NONE, .mem = -1};
	r = pages_create(&l->w, &d->w, IMG_PAGEMAP, (uint64_t)t->nspid, d->next_pages_id++);
	if (r == 0 && is_large(t))
		r = pages_reopen_direct(l->w.fd, true, &direct);
	if (r < 0)
		return r;
	dtask_batch(t, &l->b);
	l->begun = true;
	l->x = (struct transfer){.b = &l->b, .write = true, .fd = l->w.fd, .tfds = {-1, -1}};
	batch_recv_fds(&l->b, (const int[]){l->w.fd, direct}, direct < 0 ? 1 : 2, l->x.tfds);
	return batch_run(&l->b);
}

static int copy_out(struct lane *l, uint64_t addr, uint64_t len, uint64_t offset)
{
	g_autofree uint8_t *buf = g_malloc(COPY_MAX);
	int r;

	if (l->mem < 0) {
		l->mem = openat(l->t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
		if (l->mem < 0)
			return err_errno("open /proc/%d/mem", l->t->proc.pid);
	}
	for (uint64_t done = 0; done < len;) {
		size_t n = MIN(len - done, COPY_MAX);

		r = fd_pread_full(l->mem, buf, n, (off_t)(addr + done));
		if (r == 0)
			r = fd_pwrite_full(l->w.fd, buf, n, (off_t)(offset + done));
		if (r < 0)
			return err_wrap(r, "memory at %" PRIx64, addr + done);
		done += n;
	}
	return 0;
}

static int dump_run(struct lane *l, const struct page_run *run, bool readable)
{
	uint64_t len = run->end - run->start, offset;
	int r = pages_add(&l->w, run->start, len / IMAGE_PAGE_SIZE, PE_PRESENT, &offset);

	if (r < 0)
		return r;
	if (!readable)
		return copy_out(l, run->start, len, offset);
	transfer_add(&l->x, run->start, len, offset);
	return 0;
}

static bool has_pages(const struct vma *v)
{
	return !v->shared && v->special != VMA_VDSO && v->special != VMA_VVAR &&
	       v->special != VMA_VVAR_VCLOCK && v->special != VMA_VSYSCALL;
}

static int lane_post(struct dump *d, struct lane *l)
{
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	struct page_run run;
	int r = pagemap_open(&pm, l->t->proc.dir);

	for (size_t i = 0; r == 0 && i < l->t->maps.n; i++) {
		const struct vma *v = &l->t->maps.v[i];

		if (!has_pages(v))
			continue;
		d->stats.pages_scanned += vma_len(v) / IMAGE_PAGE_SIZE;
		pagemap_begin(&pm, v->start, v->end, &PAGES_PRIVATE);
		while ((r = pagemap_next(&pm, &run)) > 0) {
			r = dump_run(l, &run, v->prot & PROT_READ);
			if (r < 0)
				return r;
		}
	}
	transfer_flush(&l->x);
	return r < 0 ? r : batch_post(&l->b);
}

static int lane_finish(struct dump *d, struct lane *l)
{
	int r = batch_wait(&l->b);

	if (r == 0) {
		batch_close_fds(&l->b);
		r = batch_run(&l->b);
	}
	d->stats.pages_written += l->w.present_pages;
	if (r == 0)
		r = pages_finish(&l->w);
	return r < 0 ? dtask_wrap(l->t, err_wrap(r, "save its memory")) : 0;
}

int mem_dump_pages(struct dump *d)
{
	g_autofree struct lane *lanes = g_new0(struct lane, d->tasks->len);
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);

		if (t->zombie)
			continue;
		r = lane_begin(d, t, &lanes[n++]);
		if (r == 0)
			r = lane_post(d, &lanes[n - 1]);
		if (r < 0)
			r = dtask_wrap(t, r);
	}
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = lane_finish(d, &lanes[i]);
		if (r < 0)
			r = dtask_wrap(lanes[i].t, err_wrap(r, "write its memory to the image"));
	}
	for (unsigned i = 0; i < n; i++)
		lane_clear(&lanes[i]);
	return r < 0 ? r : shmem_dump_pages(d);
}
