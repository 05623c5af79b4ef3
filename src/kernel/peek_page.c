/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel sees all memory in one mapping, and describes its pages in one array (x86: see
 * Documentation/arch/x86/x86_64/mm.rst).  Both begin at a multiple of 1 GiB, which is random
 * (kernel_randomize_memory()) and which nothing shows: they are found by a page of our own, whose
 * physical address, content and index are known.
 */
#include "kernel/peek_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define GIB	   (1ull << 30)
#define PAGE	   4096
#define PFN_MASK   ((1ull << 55) - 1)
#define CANDIDATES 4096

struct mark {
	char *page;
	uint64_t pfn, index; /* of the page in its file */
};

static void mark_drop(struct mark *m)
{
	if (m->page)
		munmap(m->page, PAGE);
}

static int mark_make(struct mark *m)
{
	autoclose int fd = memfd_create("mark", MFD_CLOEXEC),
		      map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;
	void *p;

	if (fd < 0 || map < 0 || getrandom(&m->index, sizeof(m->index), 0) < 0)
		return err_errno("a page of ours");
	m->index = (m->index & 0xffffffffull) | 1ull << 32; /* in pages: 16 TiB and more */
	if (ftruncate(fd, (off_t)((m->index + 1) * PAGE)) < 0)
		return err_errno("a page of ours");
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(m->index * PAGE));
	if (p == MAP_FAILED)
		return err_errno("a page of ours");
	m->page = p;
	if (getrandom(m->page, 64, 0) != 64 ||
	    pread(map, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * sizeof(entry))) !=
		    sizeof(entry))
		return err_errno("a page of ours");
	m->pfn = entry & PFN_MASK;
	return m->pfn ? 0 : err_set(EOPNOTSUPP, "physical addresses are not shown here");
}

static bool is_memory(struct peek *k, const struct mark *m, uint64_t base)
{
	char b[64];

	if (peek_read(k, base + m->pfn * PAGE, b, sizeof(b)) < 0) {
		err_clear();
		return false;
	}
	return memcmp(b, m->page, sizeof(b)) == 0;
}

/* struct page has the index of our page somewhere. */
static bool is_pages(struct peek *k, const struct mark *m, uint64_t base)
{
	uint64_t b[16] = {0};

	if (peek_read(k, base + m->pfn * k->page_size, b, MIN(sizeof(b), k->page_size)) < 0) {
		err_clear();
		return false;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(b); i++)
		if (b[i] == m->index)
			return true;
	return false;
}

static int search(struct peek *k, const struct mark *m, uint64_t within,
		  bool (*is)(struct peek *, const struct mark *, uint64_t), uint64_t *ret)
{
	uint64_t base = ROUND_DOWN(within, GIB);

	for (unsigned i = 0; i < CANDIDATES; i++, base -= GIB)
		if (is(k, m, base)) {
			*ret = base;
			return 0;
		}
	return err_set(EOPNOTSUPP, "the kernel's own mapping of memory is not found");
}

int peek_page(struct peek *k, uint64_t at, uint64_t *ret)
{
	CLEANUP(mark_drop) struct mark m = {0};
	int r = 0;

	if (!k->pages) {
		r = peek_size(k, "page", &k->page_size);
		if (r == 0)
			r = mark_make(&m);
		if (r == 0)
			r = search(k, &m, k->task, is_memory, &k->memory);
		if (r == 0)
			r = search(k, &m, at, is_pages, &k->pages);
	}
	if (r == 0)
		*ret = k->memory + (at - k->pages) / k->page_size * PAGE;
	return r;
}
