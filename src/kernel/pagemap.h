/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of an address range exist, as runs: ioctl(PAGEMAP_SCAN) (Linux 6.7), else by reading
 * /proc/PID/pagemap.  Memory is bounded whatever the range.
 *
 *	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
 *
 *	r = pagemap_open(&pm, dir);
 *	pagemap_begin(&pm, vma.start, vma.end, &PAGES_PRIVATE);
 *	while ((r = pagemap_next(&pm, &run)) > 0)
 *		...
 */
#pragma once

#include "base/err.h"

enum page_category {			      /* PAGE_IS_* of linux/fs.h */
		     PAGE_WPALLOWED = 1 << 0, /* userfaultfd write-protect, async */
		     PAGE_WRITTEN = 1 << 1, /* written since then; only meaningful with WPALLOWED */
		     PAGE_FILE = 1 << 2,    /* page of a file or of shared memory */
		     PAGE_PRESENT = 1 << 3,
		     PAGE_SWAPPED = 1 << 4,
		     PAGE_PFNZERO = 1 << 5, /* the kernel's zero page: read but never written */
		     PAGE_HUGE = 1 << 6,    /* mapped by a PMD; PAGEMAP_SCAN only */
		     PAGE_SOFT_DIRTY = 1 << 7,
		     PAGE_GUARD = 1 << 8, /* MADV_GUARD_INSTALL; PAGEMAP_SCAN since 6.17, pagemap
					     since 6.15 */
};

struct page_filter {
	uint64_t all;  /* every one of these */
	uint64_t any;  /* at least one of these, or 0 */
	uint64_t none; /* none of these */
	/*
	 * Also marks what it gives as not written (WRITTEN is what it was before), in the same
	 * walk: PAGEMAP_SCAN only.  -EPERM where userfaultfd does not watch: kernel/uffd.h.
	 */
	bool protect;
};

/* What a dump has to save of a private mapping: pages of its own that were ever written. */
extern const struct page_filter PAGES_PRIVATE;

struct page_run {
	uint64_t start, end;
	uint64_t categories; /* the same for all of the run */
};

struct pagemap {
	int fd;
	bool scan; /* PAGEMAP_SCAN works here */
	uint64_t zero_pfn;
	struct page_filter filter;
	uint64_t at, end; /* what has not been asked for yet */
	unsigned next, count;
	struct page_run *runs;
};
#define PAGEMAP_NONE ((struct pagemap){.fd = -1})

int pagemap_open(struct pagemap *p, int dir) MUST_CHECK;
void pagemap_close(struct pagemap *p);

/* [START, END) page aligned. */
void pagemap_begin(struct pagemap *p, uint64_t start, uint64_t end, const struct page_filter *f);

/* 1: *RET is the next run, ascending, adjoining runs of the same categories being one;  0: done. */
int pagemap_next(struct pagemap *p, struct page_run *ret) MUST_CHECK;

/* Never PAGEMAP_SCAN, to test the other way. */
void pagemap_force_read(struct pagemap *p);
