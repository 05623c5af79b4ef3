/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why memory could not be read: a page is poisoned, be it that the machine's memory has failed
 * (hwpoison) or that a userfaultfd said so (UFFDIO_POISON).  Both look like swapped pages, and
 * whoever touches them gets SIGBUS (mm/memory.c: do_swap_page(), handle_pte_marker()).  Asked only
 * when a dump has failed.
 */
#include "state/mem/mem.h"

#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* 1: RET_AT is. */
static int find_in(const struct dtask *t, uint64_t *ret_at)
{
	const struct page_filter swapped = {.all = PAGE_SWAPPED, .none = PAGE_GUARD};
	autoclose int mem = openat(t->proc.dir, "mem", O_RDONLY | O_CLOEXEC);
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	int r = mem < 0 ? err_errno("open mem") : pagemap_open(&pm, t->proc.dir);

	for (size_t i = 0; r == 0 && i < t->maps.n; i++) {
		const struct vma *v = &t->maps.v[i];
		struct page_run run;
		char byte;

		if (!mem_has_pages(v))
			continue;
		pagemap_begin(&pm, v->start, v->end, &swapped);
		while ((r = pagemap_next(&pm, &run)) > 0)
			for (*ret_at = run.start; *ret_at < run.end; *ret_at += IMAGE_PAGE_SIZE)
				if (pread(mem, &byte, 1, (off_t)*ret_at) < 0 && errno == EIO)
					return 1;
	}
	return r;
}

int mem_why_unreadable(struct dump *d, int failed)
{
	for (unsigned i = 0; failed < 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		uint64_t at = 0;
		int r;

		if (t->zombie || t->vm != i)
			continue;
		{
			ERR_KEEP;

			r = find_in(t, &at);
		}
		if (r == 1)
			return dtask_wrap(
				t, err_set(EOPNOTSUPP,
					   "the page of memory at %" PRIx64
					   " is poisoned (UFFDIO_POISON of userfaultfd, or memory "
					   "of the machine has failed) and cannot be read; let it "
					   "be unmapped, or dropped by MADV_DONTNEED, first",
					   at));
	}
	return failed;
}
