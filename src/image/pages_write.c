/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pages.h"

#include "base/fd.h"

#include "image/pagemap.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* An entry counts its pages in 32 bits for readers older than the 64-bit field; 4 TiB is plenty. */
#define ENTRY_PAGES_MAX (1u << 30)

int pages_create(struct pages_writer *p, struct image_writer *w, enum image_kind kind, uint64_t id,
		 uint32_t pages_id)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;
	char name[IMAGE_NAME_MAX];
	int r;

	*p = (struct pages_writer){.w = w, .kind = kind, .id = id, .fd = -1, .pages_id = pages_id};
	head.pages_id = pages_id;
	r = image_write(w, kind, id, &head.base);
	if (r < 0)
		return r;
	image_name(IMG_PAGES, pages_id, name);
	p->fd = image_take(w, IMG_PAGES, pages_id);
	if (p->fd < 0)
		p->fd = openat(w->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			       0600);
	if (p->fd < 0)
		return err_errno("create image %s", name);
	return 0;
}

int pages_expect(struct image_writer *w, uint32_t pages_id, uint64_t bytes, bool fill)
{
	static const uint8_t zeros[256 << 10];
	int fd, r = image_expect_fd(w, IMG_PAGES, pages_id, &fd);

	if (r == 0 && fd >= 0 && ftruncate(fd, (off_t)bytes) < 0)
		r = err_errno("prepare");
	for (uint64_t at = 0; r == 0 && fd >= 0 && fill && at < bytes; at += sizeof(zeros))
		r = fd_pwrite_full(fd, zeros, MIN(sizeof(zeros), bytes - at), (off_t)at);
	return r < 0 ? err_wrap(r, "pages-%u.img", pages_id) : 0;
}

uint64_t pages_prepared_bytes(const struct pages_writer *p)
{
	struct stat st;

	return fstat(p->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int write_entry(struct pages_writer *p, uint64_t vaddr, uint64_t nr)
{
	PagemapEntry e = PAGEMAP_ENTRY__INIT;

	e.vaddr = vaddr;
	e.compat_nr_pages = nr;
	e.has_nr_pages = true;
	e.nr_pages = nr;
	e.has_flags = true;
	e.flags = p->flags;
	/* what readers before the flags (CRIU 2.9) look at */
	e.has_in_parent = e.in_parent = p->flags & PE_PARENT;
	return image_write(p->w, p->kind, p->id, &e.base);
}

static int write_run(struct pages_writer *p)
{
	while (p->nr_pages) {
		uint64_t nr = MIN(p->nr_pages, ENTRY_PAGES_MAX);
		int r = write_entry(p, p->vaddr, nr);

		if (r < 0)
			return r;
		p->vaddr += nr * IMAGE_PAGE_SIZE;
		p->nr_pages -= nr;
	}
	return 0;
}

int pages_add(struct pages_writer *p, uint64_t vaddr, uint64_t nr_pages, uint32_t flags,
	      uint64_t *ret_offset)
{
	uint64_t bytes = nr_pages * IMAGE_PAGE_SIZE, end = p->vaddr + p->nr_pages * IMAGE_PAGE_SIZE;
	int r;

	if (vaddr % IMAGE_PAGE_SIZE || vaddr < end || vaddr + bytes < vaddr)
		return err_set(EINVAL,
			       "pagemap of %" G_GUINT64_FORMAT ": 0x%" G_GINT64_MODIFIER
			       "x is out of order",
			       p->id, vaddr);
	if (vaddr != end || flags != p->flags) {
		r = write_run(p);
		if (r < 0)
			return r;
		p->vaddr = vaddr;
		p->flags = flags;
	}
	p->nr_pages += nr_pages;
	if (flags & PE_PRESENT) {
		if (ret_offset)
			*ret_offset = p->offset_bytes;
		p->offset_bytes += bytes;
		p->present_pages += nr_pages;
	}
	if (flags & PE_PARENT)
		p->parent_pages += nr_pages;
	return 0;
}

int pages_finish(struct pages_writer *p)
{
	int r = write_run(p);

	if (r < 0)
		return r;
	/* O_DIRECT writers may leave a tail; a zero page at the end may never have been written */
	if (ftruncate(p->fd, p->offset_bytes) < 0)
		return err_errno("pages-%u.img", p->pages_id);
	cleanup_close(&p->fd);
	p->fd = -1;
	return 0;
}

void pages_writer_drop(struct pages_writer *p)
{
	cleanup_close(&p->fd);
	p->fd = -1;
}

/* Places and addresses are multiples of a page: is that enough?  statx(2), Linux 6.1. */
static bool takes_pages(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
	       st.stx_mask & STATX_DIOALIGN && st.stx_dio_mem_align &&
	       st.stx_dio_mem_align <= IMAGE_PAGE_SIZE && st.stx_dio_offset_align &&
	       st.stx_dio_offset_align <= IMAGE_PAGE_SIZE;
}

int pages_reopen_direct(int fd, bool writable, int *ret_fd)
{
	char path[32];
	int direct;

	if (!takes_pages(fd))
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (direct < 0 && errno == EINVAL)
		return 1;
	if (direct < 0)
		return err_errno("open the pages image for direct access");
	*ret_fd = direct;
	return 0;
}
