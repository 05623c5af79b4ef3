/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: pagemap-ID.img says which pages there are, pages-N.img has them, raw, one after another.
 *
 * Neither side copies memory: writing, a run of pages is given its place in the pages file and the
 * agent writes it there from the target; reading, each run says where it is and the agent reads it
 * from there.  Places are multiples of 4 KiB, so O_DIRECT works.
 *
 *	r = pages_create(&p, &w, IMG_PAGEMAP, pid, pages_id);
 *	r = pages_add(&p, vaddr, nr_pages, PE_PRESENT, &offset);	// agent: pwrite(fd, ...,
 *offset) r = pages_finish(&p);
 *
 *	r = pages_open(dir_fd, IMG_PAGEMAP, pid, &s);
 *	for (i = 0; i < s.n; i++) ...				// agent: pread(run->fd, ...,
 *run->offset)
 *
 * An incremental image has a link "parent" to the directory of the one before; pages_open()
 *resolves pages that are only there.
 */
#pragma once

#include "image/image.h"

#define IMAGE_PAGE_SIZE 4096u

/* flags of a pagemap entry */
#define PE_PARENT  (1u << 0) /* the page is in the parent image */
#define PE_LAZY	   (1u << 1) /* may be restored by userfaultfd after the task runs */
#define PE_PRESENT (1u << 2) /* the page is in this pages file */

struct pages_writer {
	struct image_writer *w;
	enum image_kind kind;
	uint64_t id;
	int fd;		       /* pages-N.img, open for reading and writing */
	uint32_t pages_id;     /* N */
	uint64_t offset_bytes; /* where the next present run goes */
	uint64_t present_pages, parent_pages;
	/* the entry that is still growing */
	uint64_t vaddr, nr_pages;
	uint32_t flags;
};
#define PAGES_WRITER_NONE ((struct pages_writer){.fd = -1})

/*
 * KIND is IMG_PAGEMAP (ID: the task) or IMG_SHMEM_PAGEMAP (ID: the shmid).  PAGES_ID is any number
 * that no other pagemap of the directory uses; the first is 1.
 */
int pages_create(struct pages_writer *p, struct image_writer *w, enum image_kind kind, uint64_t id,
		 uint32_t pages_id) MUST_CHECK;

/*
 * Before: the file that pages_create() with that number will take, as long as BYTES; FILL: with
 * zeros in it, so that there is room in the page cache.  What is too much is cut off at the end, an
 * expected file that nobody takes is removed.
 */
int pages_expect(struct image_writer *w, uint32_t pages_id, uint64_t bytes, bool fill) MUST_CHECK;
uint64_t pages_prepared_bytes(const struct pages_writer *p); /* 0: not expected */

/*
 * The next run; addresses ascend.  With PE_PRESENT *RET_OFFSET (may be NULL) is its place in bytes
 * in p->fd.  Neighbours with the same flags become one entry.
 */
int pages_add(struct pages_writer *p, uint64_t vaddr, uint64_t nr_pages, uint32_t flags,
	      uint64_t *ret_offset) MUST_CHECK;

/* Writes the last entry, makes the pages file as long as it should be and closes it. */
int pages_finish(struct pages_writer *p) MUST_CHECK;
void pages_writer_drop(struct pages_writer *p);

struct image_run {
	uint64_t vaddr, nr_pages;
	uint32_t flags;	 /* of the entry: PE_PRESENT, PE_LAZY; PE_PARENT is resolved */
	int fd;		 /* owned by the set; -1 with PE_LAZY alone: it is not in the images */
	uint64_t offset; /* bytes */
};

struct page_set {
	struct image_run *runs; /* ascending, not overlapping */
	unsigned n;
	uint64_t nr_pages;
	int *fds; /* the pages files: this image's and its parents' */
	unsigned nfds;
};

/*
 * Everything is checked: order, overflow, that the pages file is long enough, that the parents have
 * what is looked for.  1: there is no such pagemap, *RET is an empty set.
 */
int pages_open(int dir, enum image_kind kind, uint64_t id, struct page_set *ret) MUST_CHECK;
void page_set_clear(struct page_set *s);

/* Frees what the images before those in DIR have, but nobody reads any more. */
int pages_dedup(int dir) MUST_CHECK;
/* Frees all pages of the images in DIR, in those before, too: they cannot be restored any more. */
int pages_forget(int dir) MUST_CHECK;

/*
 * Is the page at VADDR in the set?  *END, the end of what is asked for, becomes the end of the part
 * of which that is true.
 */
bool page_set_has(const struct page_set *s, uint64_t vaddr, uint64_t *end);

/*
 * The same file once more with O_DIRECT; 1: the file system cannot, or does not say so.  FD is one
 * of the files above.
 */
int pages_reopen_direct(int fd, bool writable, int *ret_fd) MUST_CHECK;
