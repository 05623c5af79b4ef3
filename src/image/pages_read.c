/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: the pagemap of one image is loaded into runs.  A run that is only in the
 * parent is looked up in the parent's own (already resolved) set and replaced by the pieces found
 * there, so that callers see places in files and nothing else.
 */
#include "image/pages.h"

#include "image/pagemap.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define PARENTS_MAX 128 /* a chain of pre-dumps; a link in a circle ends here */
#define ENTRIES_MAX (16u << 20)

struct load {
	enum image_kind kind;
	uint64_t id;
	GArray *runs, *fds; /* struct image_run, int */
	uint64_t nr_pages;
	/* this image */
	char name[IMAGE_NAME_MAX];
	int dir;
	uint32_t pages_id;
	bool is_open; /* its pages: FD_INDEX, FILE_BYTES */
	unsigned fd_index;
	uint64_t file_bytes, offset, end;
	struct page_set *parent;
};

static int load_level(int dir, enum image_kind kind, uint64_t id, unsigned level,
		      struct page_set *ret);

static void load_clear(struct load *l)
{
	for (unsigned i = 0; i < l->fds->len; i++)
		close(g_array_index(l->fds, int, i));
	g_array_unref(l->fds);
	g_array_unref(l->runs);
}

void page_set_clear(struct page_set *s)
{
	for (unsigned i = 0; i < s->nfds; i++)
		close(s->fds[i]);
	g_free(s->fds);
	g_free(s->runs);
	*s = (struct page_set){};
}

/* The index of the first run that ends behind VADDR. */
static unsigned find_run(const struct page_set *s, uint64_t vaddr)
{
	unsigned low = 0, high = s->n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		const struct image_run *run = &s->runs[mid];

		if (run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool page_set_has(const struct page_set *s, uint64_t vaddr, uint64_t *end)
{
	unsigned i = find_run(s, vaddr);

	if (i == s->n || s->runs[i].vaddr > vaddr) {
		*end = i == s->n ? *end : MIN(*end, s->runs[i].vaddr);
		return false;
	}
	for (uint64_t at = vaddr; i < s->n && s->runs[i].vaddr <= at; i++) {
		at = s->runs[i].vaddr + s->runs[i].nr_pages * IMAGE_PAGE_SIZE;
		if (at >= *end)
			return true;
		vaddr = at;
	}
	*end = vaddr;
	return true;
}

static void add_run(struct load *l, struct image_run run)
{
	g_array_append_val(l->runs, run);
	l->nr_pages += run.nr_pages;
}

static int add_from_parent(struct load *l, uint64_t vaddr, uint64_t nr_pages)
{
	uint64_t end = vaddr + nr_pages * IMAGE_PAGE_SIZE;

	for (unsigned i = l->parent ? find_run(l->parent, vaddr) : 0; vaddr < end; i++) {
		struct image_run run;
		uint64_t skip;

		if (!l->parent || i >= l->parent->n || l->parent->runs[i].vaddr > vaddr)
			return err_set(EBADMSG,
				       "image %s: page 0x%" PRIx64 " is in no parent image",
				       l->name, vaddr);
		run = l->parent->runs[i];
		skip = (vaddr - run.vaddr) / IMAGE_PAGE_SIZE;
		run.vaddr = vaddr;
		run.nr_pages = MIN(run.nr_pages - skip, (end - vaddr) / IMAGE_PAGE_SIZE);
		run.offset += skip * IMAGE_PAGE_SIZE;
		add_run(l, run);
		vaddr += run.nr_pages * IMAGE_PAGE_SIZE;
	}
	return 0;
}

/* With the first page that is in it: what has none may have no such file (zombies). */
static int open_pages(struct load *l)
{
	char name[IMAGE_NAME_MAX];
	struct stat st;
	int fd;

	image_name(IMG_PAGES, l->pages_id, name);
	fd = openat(l->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_errno("open image %s", name);
	l->is_open = true;
	l->fd_index = l->fds->len;
	g_array_append_val(l->fds, fd);
	if (fstat(fd, &st) < 0)
		return err_errno("stat image %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(EBADMSG, "image %s is not a regular file", name);
	l->file_bytes = st.st_size;
	return 0;
}

static int add_present(struct load *l, uint64_t vaddr, uint64_t nr_pages, uint32_t flags)
{
	uint64_t bytes = nr_pages * IMAGE_PAGE_SIZE;
	int r = l->is_open ? 0 : open_pages(l);

	if (r < 0)
		return r;
	if (bytes > l->file_bytes - l->offset)
		return err_set(EBADMSG, "image %s: the pages image is too short", l->name);
	add_run(l, (struct image_run){.vaddr = vaddr,
				      .nr_pages = nr_pages,
				      .flags = flags,
				      .fd = g_array_index(l->fds, int, l->fd_index),
				      .offset = l->offset});
	l->offset += bytes;
	return 0;
}

static int add_entry(struct load *l, const PagemapEntry *e)
{
	uint64_t nr = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages;
	uint32_t flags = e->has_flags ? e->flags : e->in_parent ? PE_PARENT : PE_PRESENT;

	/* user addresses end below 2^57 on every CPU of Linux; a shmem's begin at 0 */
	if (e->vaddr % IMAGE_PAGE_SIZE || e->vaddr < l->end || e->vaddr >= 1ull << 57 ||
	    nr > (1ull << 57) / IMAGE_PAGE_SIZE)
		return err_set(EBADMSG, "image %s: bad run of %" PRIu64 " pages at 0x%" PRIx64,
			       l->name, nr, e->vaddr);
	if (l->runs->len >= ENTRIES_MAX)
		return err_set(EBADMSG, "image %s has too many runs", l->name);
	l->end = e->vaddr + nr * IMAGE_PAGE_SIZE;
	if (!nr)
		return 0;
	if (flags & PE_PARENT)
		return add_from_parent(l, e->vaddr, nr);
	if (flags & PE_PRESENT)
		return add_present(l, e->vaddr, nr, flags);
	if (flags & PE_LAZY) { /* they have stayed where they were dumped */
		add_run(l, (struct image_run){
				   .vaddr = e->vaddr, .nr_pages = nr, .flags = flags, .fd = -1});
		return 0;
	}
	return err_set(EBADMSG, "image %s: pages at 0x%" PRIx64 " are not in the image", l->name,
		       e->vaddr);
}

static int read_entries(struct load *l, int dir)
{
	CLEANUP(image_record_free) PagemapEntry *e = NULL;
	CLEANUP(image_record_free) PagemapHead *head = NULL;
	CLEANUP(image_close) struct image *img = NULL;
	int r;

	r = image_open(dir, l->kind, l->id, &img);
	if (r != 0)
		return r;
	r = image_read(img, &head);
	if (r != 0)
		return r < 0 ? r : err_set(EBADMSG, "image %s has no head", l->name);
	l->dir = dir;
	l->pages_id = head->pages_id;
	while ((r = image_read_as(img, &pagemap_entry__descriptor, &e)) == 0) {
		r = add_entry(l, e);
		if (r < 0)
			return err_wrap(r, "record %u", img->records);
	}
	return r < 0 ? r : 0;
}

/* The parent's set; 0 also without a parent. */
static int load_parent(int dir, enum image_kind kind, uint64_t id, unsigned level,
		       struct page_set *ret)
{
	autoclose int up = openat(dir, "parent", O_DIRECTORY | O_PATH | O_CLOEXEC);
	int r;

	if (up < 0 && errno == ENOENT)
		return 0;
	if (up < 0)
		return err_errno("open the parent image");
	if (level >= PARENTS_MAX)
		return err_set(ELOOP, "more than %u parent images", PARENTS_MAX);
	r = load_level(up, kind, id, level + 1, ret);
	return r > 0 ? 0 : r;
}

static int load_level(int dir, enum image_kind kind, uint64_t id, unsigned level,
		      struct page_set *ret)
{
	CLEANUP(page_set_clear) struct page_set parent = {};
	CLEANUP(load_clear) struct load l = {.kind = kind, .id = id, .parent = &parent};
	int r;

	l.runs = g_array_new(false, false, sizeof(struct image_run));
	l.fds = g_array_new(false, false, sizeof(int));
	image_name(kind, id, l.name);
	r = load_parent(dir, kind, id, level, &parent);
	if (r < 0)
		return err_wrap(r, "parent");
	r = read_entries(&l, dir);
	if (r != 0)
		return r;
	g_array_append_vals(l.fds, parent.fds, parent.nfds);
	parent.nfds = 0; /* they are ours now */
	*ret = (struct page_set){.n = l.runs->len, .nfds = l.fds->len, .nr_pages = l.nr_pages};
	ret->runs = g_memdup2(l.runs->data, l.runs->len * sizeof(struct image_run));
	ret->fds = g_memdup2(l.fds->data, l.fds->len * sizeof(int));
	g_array_set_size(l.fds, 0);
	return 0;
}

int pages_open(int dir, enum image_kind kind, uint64_t id, struct page_set *ret)
{
	*ret = (struct page_set){};
	return load_level(dir, kind, id, 0, ret);
}
