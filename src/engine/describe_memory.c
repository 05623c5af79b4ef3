/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces: mappings, how many pages of each are in the image, command lines. */
#include "engine/describe_parts.h"
#include "image/pages.h"
#include "state/mem/mem.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGUMENTS_MAX 4096u

static const struct {
	uint32_t status;
	const char *name;
} kinds[] = {
	{VMA_STATUS_HEAP, "heap"},	    {VMA_STATUS_STACK, "stack"},
	{VMA_STATUS_VDSO, "vdso"},	    {VMA_STATUS_VVAR, "vvar"},
	{VMA_STATUS_VSYSCALL, "vsyscall"},  {VMA_STATUS_SYSVIPC, "System V shared memory"},
	{VMA_STATUS_AIORING, "AIO ring"},   {VMA_STATUS_MEMFD, "memfd"},
	{VMA_STATUS_FILE_PRIVATE, "file"},  {VMA_STATUS_FILE_SHARED, "shared file"},
	{VMA_STATUS_ANON_SHARED, "shared"}, {VMA_STATUS_ANON_PRIVATE, "anonymous"},
};

static const char *kind_of(uint32_t status)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (status & kinds[i].status)
			return kinds[i].name;
	return "?";
}

/* Pages of the runs that lie within [START, END); *AT is the first run that may. */
static uint64_t pages_within(const struct page_set *s, unsigned *at, uint64_t start, uint64_t end)
{
	uint64_t pages = 0;

	while (*at < s->n && s->runs[*at].vaddr + s->runs[*at].nr_pages * IMAGE_PAGE_SIZE <= start)
		++*at;
	for (unsigned i = *at; i < s->n && s->runs[i].vaddr < end; i++) {
		uint64_t from = MAX(s->runs[i].vaddr, start);
		uint64_t to = MIN(s->runs[i].vaddr + s->runs[i].nr_pages * IMAGE_PAGE_SIZE, end);

		pages += to > from ? (to - from) / IMAGE_PAGE_SIZE : 0;
	}
	return pages;
}

/* Of the object that it shows; others may show the same. */
static uint64_t shared_pages(const struct describing *d, const VmaEntry *v)
{
	CLEANUP(page_set_clear) struct page_set set = {0};
	unsigned at = 0;

	if (pages_open(d->images, IMG_SHMEM_PAGEMAP, v->shmid, &set) == 0)
		return pages_within(&set, &at, v->pgoff, v->pgoff + (v->end - v->start));
	err_clear();
	return 0;
}

static json_t *mapping(const struct describing *d, const VmaEntry *v, uint64_t pages)
{
	const char prot[4] = {v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
			      v->prot & PROT_EXEC ? 'x' : '-', 0};
	const uint32_t has_file = VMA_STATUS_FILE_PRIVATE | VMA_STATUS_FILE_SHARED;
	g_autofree char *start = g_strdup_printf("%" G_GINT64_MODIFIER "x", (guint64)v->start);
	g_autofree char *file =
		v->status & has_file ? describe_target(d, (uint32_t)v->shmid) : NULL;
	json_t *j = json_pack("{ss sI ss ss sI}", "start", start, "size",
			      (json_int_t)(v->end - v->start), "access", prot, "kind",
			      kind_of(v->status), "pages", (json_int_t)pages);

	if (file)
		json_object_set_new(j, "file", json_string(file));
	return j;
}

int describe_memory(const struct describing *d, uint32_t pid, const MmEntry *mm, json_t **ret)
{
	CLEANUP(page_set_clear) struct page_set set = {0};
	json_t *list = json_array();
	uint64_t size = 0;
	unsigned at = 0;
	int r = pages_open(d->images, IMG_PAGEMAP, pid, &set);

	if (r < 0) {
		json_decref(list);
		return r;
	}
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (v->end < v->start) {
			json_decref(list);
			return err_set(EBADMSG, "mm-%u.img: mapping %zu ends before it begins", pid,
				       i);
		}
		if (!(v->status & VMA_STATUS_VSYSCALL))
			size += v->end - v->start;
		json_array_append_new(list,
				      mapping(d, v,
					      v->status & VMA_STATUS_ANON_SHARED
						      ? shared_pages(d, v)
						      : pages_within(&set, &at, v->start, v->end)));
	}
	*ret = json_pack("{sI sI so}", "size", (json_int_t)size, "pages", (json_int_t)set.nr_pages,
			 "mappings", list);
	return 0;
}

/* How much of [VADDR, VADDR+LEN) could be read from its beginning on. */
static size_t read_memory(const struct page_set *s, uint64_t vaddr, void *to, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < s->n && done < len; i++) {
		const struct image_run *run = &s->runs[i];
		uint64_t at = vaddr + done, end = run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE;
		size_t want;

		if (at < run->vaddr || at >= end)
			continue;
		want = (size_t)MIN(end - at, len - done);
		if (pread(run->fd, (char *)to + done, want,
			  (off_t)(run->offset + at - run->vaddr)) != (ssize_t)want)
			break;
		done += want;
	}
	return done;
}

json_t *describe_arguments(const struct describing *d, uint32_t pid, const MmEntry *mm)
{
	CLEANUP(page_set_clear) struct page_set set = {0};
	g_autofree char *text = NULL;
	json_t *list = json_array();
	size_t len;

	if (mm->mm_arg_end <= mm->mm_arg_start)
		return list;
	if (pages_open(d->images, IMG_PAGEMAP, pid, &set) < 0) {
		err_clear();
		return list;
	}
	len = (size_t)MIN(mm->mm_arg_end - mm->mm_arg_start, ARGUMENTS_MAX);
	text = g_malloc0(len + 1);
	len = read_memory(&set, mm->mm_arg_start, text, len);
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		g_autofree char *word = g_utf8_make_valid(text + at, -1);

		json_array_append_new(list, json_string(word));
	}
	return list;
}
