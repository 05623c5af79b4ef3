/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: pagemap_next() hands out the runs of a bounded buffer; when it is empty, one
 * of the two ways refills it from p->at.  Both may cut a run at the end of their buffer, so
 * pagemap_next() joins what touches.
 */
#include "kernel/pagemap.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u
#define RUNS	   512u	 /* PAGEMAP_SCAN: PM_SCAN's own walk buffer holds as many */
#define READ_PAGES 4096u /* by read(2): 32 KiB of entries, 16 MiB of addresses at once */
#define CATEGORIES 0x1ffu
#define OPTIONAL   (PAGE_GUARD | PAGE_SOFT_DIRTY)

/* linux/fs.h of Linux 6.7, not in every distribution's headers yet. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL	   _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING   (1u << 0)
#define SCAN_CHECK_WPASYNC (1u << 1)

const struct page_filter PAGES_PRIVATE = {
	.any = PAGE_PRESENT | PAGE_SWAPPED,
	.none = PAGE_FILE | PAGE_PFNZERO,
};

/* A kernel that does not know a category refuses it: PAGE_IS_GUARD came ten releases later. */
static uint64_t known_categories(int fd)
{
	static _Thread_local uint64_t known;

	for (uint64_t try = CATEGORIES; !known; try &= ~(uint64_t)PAGE_GUARD) {
		struct scan_arg a = {.size = sizeof(a), .return_mask = try};

		if (ioctl(fd, SCAN_IOCTL, &a) >= 0)
			known = try;
		else if (!(try & PAGE_GUARD))
			break;
	}
	return known;
}

/*
 * The frame number of the zero page, which bit 0..54 of a page shows that was read and never
 * written: 0 without CAP_SYS_ADMIN, and then zero pages are just pages.
 */
static uint64_t find_zero_pfn(void)
{
	static _Thread_local uint64_t pfn;
	autoclose int fd = -1;
	volatile char *page;
	uint64_t entry = 0;

	if (pfn)
		return pfn;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 0;
	(void)*page;
	if (fd >= 0 && fd_pread_full(fd, &entry, 8, (off_t)((uintptr_t)page / PAGE_BYTES * 8)) == 0)
		pfn = entry & ((UINT64_C(1) << 55) - 1);
	munmap((void *)page, PAGE_BYTES);
	return pfn;
}

int pagemap_open(struct pagemap *p, int dir)
{
	autoclose int fd = openat(dir, "pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno("open pagemap");
	*p = PAGEMAP_NONE;
	p->scan = known_categories(fd) != 0;
	p->fd = take_fd(&fd);
	p->runs = g_new(struct page_run, RUNS);
	if (!p->scan)
		pagemap_force_read(p);
	return 0;
}

void pagemap_force_read(struct pagemap *p)
{
	p->scan = false;
	p->zero_pfn = find_zero_pfn();
}

void pagemap_close(struct pagemap *p)
{
	if (p->fd >= 0)
		close(p->fd);
	g_free(p->runs);
	*p = PAGEMAP_NONE;
}

void pagemap_begin(struct pagemap *p, uint64_t start, uint64_t end, const struct page_filter *f)
{
	p->filter = *f;
	p->at = start;
	p->end = end;
	p->next = p->count = 0;
}

static int fill_by_scan(struct pagemap *p)
{
	uint64_t known = known_categories(p->fd);
	struct scan_arg a = {
		.size = sizeof(a),
		.flags = p->filter.protect ? SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC : 0,
		.start = p->at,
		.end = p->end,
		.vec = (uintptr_t)p->runs,
		.vec_len = RUNS,
		.category_inverted = p->filter.none & known,
		.category_mask = (p->filter.all | p->filter.none) & known,
		.category_anyof_mask = p->filter.any & known,
		.return_mask = known,
	};
	long n = ioctl(p->fd, SCAN_IOCTL, &a);

	if (n < 0)
		return err_errno("PAGEMAP_SCAN of %llx-%llx", (unsigned long long)p->at,
				 (unsigned long long)p->end);
	p->count = (unsigned)n;
	p->at = a.walk_end;
	return 0;
}

/* Documentation/admin-guide/mm/pagemap.rst */
static uint64_t entry_categories(uint64_t e, uint64_t zero_pfn)
{
	uint64_t c = 0;

	if (e >> 63 & 1) {
		c |= PAGE_PRESENT;
		if (zero_pfn && (e & ((UINT64_C(1) << 55) - 1)) == zero_pfn)
			c |= PAGE_PFNZERO;
	}
	if (e >> 62 & 1)
		c |= PAGE_SWAPPED;
	if (e >> 61 & 1)
		c |= PAGE_FILE;
	if (e >> 58 & 1)
		c |= PAGE_GUARD;
	if (e >> 55 & 1)
		c |= PAGE_SOFT_DIRTY;
	if (!(e >> 57 & 1))
		c |= PAGE_WRITTEN;
	return c;
}

static bool wanted(const struct page_filter *f, uint64_t c)
{
	return (c & f->all) == f->all && !(c & f->none) && (!f->any || c & f->any);
}

static int fill_by_read(struct pagemap *p)
{
	uint64_t entries[READ_PAGES];
	uint64_t pages = MIN((p->end - p->at) / PAGE_BYTES, READ_PAGES), i;
	int r = fd_pread_full(p->fd, entries, pages * 8, (off_t)(p->at / PAGE_BYTES * 8));

	if (r < 0)
		return err_wrap(r, "pagemap of %llx-%llx", (unsigned long long)p->at,
				(unsigned long long)p->end);
	for (i = 0; i < pages; i++, p->at += PAGE_BYTES) {
		uint64_t c = entry_categories(entries[i], p->zero_pfn);
		struct page_run *last = p->count ? &p->runs[p->count - 1] : NULL;

		if (!wanted(&p->filter, c))
			continue;
		if (last && last->end == p->at && last->categories == c) {
			last->end += PAGE_BYTES;
			continue;
		}
		if (p->count == RUNS)
			return 0;
		p->runs[p->count++] = (struct page_run){p->at, p->at + PAGE_BYTES, c};
	}
	return 0;
}

/* 1: p->runs[p->next] is there; 0: the end. */
static int fill(struct pagemap *p)
{
	while (p->next == p->count) {
		int r;

		p->next = p->count = 0;
		if (p->at >= p->end)
			return 0;
		r = p->scan ? fill_by_scan(p) : fill_by_read(p);
		if (r < 0)
			return r;
	}
	return 1;
}

int pagemap_next(struct pagemap *p, struct page_run *ret)
{
	int r = fill(p);

	if (r <= 0)
		return r;
	*ret = p->runs[p->next++];
	while ((r = fill(p)) > 0) {
		const struct page_run *more = &p->runs[p->next];

		if (more->start != ret->end || more->categories != ret->categories)
			break;
		ret->end = more->end;
		p->next++;
	}
	return r < 0 ? r : 1;
}
