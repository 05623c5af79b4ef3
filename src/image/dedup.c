/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of images before that newer ones have, too, are never read: holes take their place.  The
 * files stay as long as they are.  The same for all pages once a tree has them.
 */
#include "image/pages.h"

#include "image/pagemap.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LEVELS_MAX 128

struct entry {
	uint64_t start, end, offset; /* bytes */
};

/* What this one image has itself, and where.  1: it has no such pagemap. */
static int read_present(int dir, enum image_kind kind, uint64_t id, GArray *ret,
			uint32_t *ret_pages)
{
	CLEANUP(image_record_free) PagemapHead *head = NULL;
	CLEANUP(image_record_free) PagemapEntry *e = NULL;
	CLEANUP(image_close) struct image *img = NULL;
	uint64_t offset = 0, last = 0;
	int r = image_open(dir, kind, id, &img);

	if (r == 0)
		r = image_read(img, &head);
	if (r)
		return r;
	*ret_pages = head->pages_id;
	while ((r = image_read_as(img, &pagemap_entry__descriptor, &e)) == 0) {
		uint64_t nr = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages;
		uint32_t flags = e->has_flags ? e->flags : e->in_parent ? PE_PARENT : PE_PRESENT;
		struct entry one = {e->vaddr, e->vaddr + nr * IMAGE_PAGE_SIZE, offset};

		if (one.start < last || one.end < one.start || nr > UINT64_C(1) << 45)
			return err_set(EBADMSG, "image %s: record %u", img->name, img->records);
		last = one.end;
		if (!(flags & PE_PRESENT))
			continue;
		offset += nr * IMAGE_PAGE_SIZE;
		g_array_append_val(ret, one);
	}
	return MIN(r, 0);
}

static int punch(int fd, uint64_t from, uint64_t to)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
		      (off_t)(to - from)) < 0)
		return err_errno("make a hole in the images before");
	return 0;
}

/* Both ascend. */
static int punch_common(const GArray *newer, const GArray *older, int fd)
{
	unsigned k = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < newer->len; i++) {
		const struct entry *n = &g_array_index(newer, struct entry, i);

		while (k < older->len && g_array_index(older, struct entry, k).end <= n->start)
			k++;
		for (unsigned j = k; r == 0 && j < older->len; j++) {
			const struct entry *o = &g_array_index(older, struct entry, j);
			uint64_t from = MAX(n->start, o->start), to = MIN(n->end, o->end);

			if (o->start >= n->end)
				break;
			if (from < to)
				r = punch(fd, o->offset + from - o->start,
					  o->offset + to - o->start);
		}
	}
	return r;
}

static int dedup_level(int dir, enum image_kind kind, uint64_t id, const GArray *newer)
{
	g_autoptr(GArray) older = g_array_new(FALSE, FALSE, sizeof(struct entry));
	char name[IMAGE_NAME_MAX];
	autoclose int fd = -1;
	uint32_t pages;
	int r = read_present(dir, kind, id, older, &pages);

	if (r || !older->len)
		return MIN(r, 0);
	image_name(IMG_PAGES, pages, name);
	fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno("open image %s", name);
	return punch_common(newer, older, fd);
}

static int dedup_one(int dir, enum image_kind kind, uint64_t id)
{
	g_autoptr(GArray) newer = g_array_new(FALSE, FALSE, sizeof(struct entry));
	autoclose int at = -1;
	uint32_t pages;
	int r = read_present(dir, kind, id, newer, &pages);

	for (unsigned i = 0; r == 0 && newer->len; i++) {
		int up = openat(at < 0 ? dir : at, "parent", O_DIRECTORY | O_RDONLY | O_CLOEXEC);

		if (up < 0)
			return errno == ENOENT ? 0 : err_errno("open the images before");
		cleanup_close(&at);
		at = up;
		r = i == LEVELS_MAX ? err_set(ELOOP, "more than %u images before", LEVELS_MAX)
				    : dedup_level(at, kind, id, newer);
	}
	return MIN(r, 0);
}

/* All that a restore reads, those of images before as well. */
static int forget_one(int dir, enum image_kind kind, uint64_t id)
{
	CLEANUP(page_set_clear) struct page_set s = {0};
	int r = pages_open(dir, kind, id, &s);

	for (unsigned i = 0; r == 0 && i < s.nfds; i++) {
		g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", s.fds[i]);
		autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return err_errno("open the pages for writing");
		for (unsigned k = 0; r == 0 && k < s.n; k++)
			if (s.runs[k].fd == s.fds[i])
				r = punch(fd, s.runs[k].offset,
					  s.runs[k].offset + s.runs[k].nr_pages * IMAGE_PAGE_SIZE);
	}
	return MIN(r, 0);
}

static int for_all(int dir, int (*fn)(int dir, enum image_kind kind, uint64_t id))
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return err_errno("read the images directory");
	while (r == 0 && (e = readdir(d)) != NULL) {
		unsigned long id;
		char rest[8];

		if (sscanf(e->d_name, "pagemap-%lu.%7s", &id, rest) == 2 && !strcmp(rest, "img"))
			r = fn(dir, IMG_PAGEMAP, id);
		else if (sscanf(e->d_name, "pagemap-shmem-%lu.%7s", &id, rest) == 2 &&
			 !strcmp(rest, "img"))
			r = fn(dir, IMG_SHMEM_PAGEMAP, id);
	}
	closedir(d);
	return r;
}

int pages_dedup(int dir)
{
	return for_all(dir, dedup_one);
}

int pages_forget(int dir)
{
	return for_all(dir, forget_one);
}
