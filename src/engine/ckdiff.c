/* SPDX-License-Identifier: Apache-2.0 */
/* What two checkpoints of a container differ in. */
#include "base/file.h"
#include "base/json.h"
#include "engine/ckfiles.h"
#include "engine/ckinspect.h"
#include "engine/cknamed.h"
#include "engine/describe.h"
#include "image/pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK (1u << 20)

struct side {
	int dir, images, rootfs;
	json_t *described;
};
#define SIDE_NONE ((struct side){.dir = -1, .images = -1, .rootfs = -1})

static void side_clear(struct side *s)
{
	if (s->dir >= 0)
		close(s->dir);
	if (s->images >= 0)
		close(s->images);
	if (s->rootfs >= 0)
		close(s->rootfs);
	json_decref(s->described);
	*s = SIDE_NONE;
}

static int side_open(struct engine *e, const struct container *c, const char *custom,
		     const char *name, struct side *ret)
{
	int r = cknamed_open(e, c, custom, name, &ret->dir);

	if (r < 0)
		return r;
	ret->images = openat(ret->dir, CK_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret->rootfs = openat(ret->dir, CKNAMED_ROOTFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->images < 0 || ret->rootfs < 0)
		return err_errno("open checkpoint %s", name);
	return describe_images(ret->images, &ret->described);
}

/* A place in a page set: the run and how far we are in it. */
struct cursor {
	const struct page_set *set;
	unsigned run;
	uint64_t page;
};

static bool at_end(const struct cursor *c)
{
	return c->run >= c->set->n;
}

static uint64_t address(const struct cursor *c)
{
	return at_end(c) ? UINT64_MAX : c->set->runs[c->run].vaddr + c->page * IMAGE_PAGE_SIZE;
}

static uint64_t left_in_run(const struct cursor *c)
{
	return at_end(c) ? 0 : c->set->runs[c->run].nr_pages - c->page;
}

static void advance(struct cursor *c, uint64_t pages)
{
	c->page += pages;
	if (c->page >= c->set->runs[c->run].nr_pages) {
		c->run++;
		c->page = 0;
	}
}

static int read_at(const struct cursor *c, void *to, uint64_t pages)
{
	const struct image_run *run = &c->set->runs[c->run];
	size_t len = (size_t)pages * IMAGE_PAGE_SIZE;
	ssize_t n = pread(run->fd, to, len, (off_t)(run->offset + c->page * IMAGE_PAGE_SIZE));

	return n == (ssize_t)len ? 0 : n < 0 ? err_errno("read pages") : err_set(EBADMSG, "pages");
}

/* Pages that are in one only, or not the same in both. */
static int compare_pages(const struct page_set *a, const struct page_set *b, uint64_t *ret)
{
	g_autofree char *x = g_malloc(BLOCK), *y = g_malloc(BLOCK);
	struct cursor i = {.set = a}, k = {.set = b};

	*ret = 0;
	while (!at_end(&i) || !at_end(&k)) {
		uint64_t n, ai = address(&i), ak = address(&k);

		if (ai != ak) {
			struct cursor *first = ai < ak ? &i : &k;
			uint64_t gap = (MAX(ai, ak) - MIN(ai, ak)) / IMAGE_PAGE_SIZE;

			n = MIN(left_in_run(first), gap);
			*ret += n;
			advance(first, n);
			continue;
		}
		n = MIN(MIN(left_in_run(&i), left_in_run(&k)), BLOCK / IMAGE_PAGE_SIZE);
		if (read_at(&i, x, n) < 0 || read_at(&k, y, n) < 0)
			return -EIO;
		for (uint64_t p = 0; p < n; p++)
			*ret += memcmp(x + p * IMAGE_PAGE_SIZE, y + p * IMAGE_PAGE_SIZE,
				       IMAGE_PAGE_SIZE) != 0;
		advance(&i, n);
		advance(&k, n);
	}
	return 0;
}

static json_t *process_of(const json_t *described, json_int_t pid)
{
	json_t *list = json_object_get(described, "processes"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (json_integer_value(json_object_get(j, "pid")) == pid)
			return j;
	}
	return NULL;
}

static json_t *process_change(const json_t *p, const char *change)
{
	return json_pack("{sO ss ss}", "pid", json_object_get(p, "pid"), "command",
			 json_text_of(p, "command"), "change", change);
}

static int both(const struct side *a, const struct side *b, const json_t *p, json_t *to)
{
	CLEANUP(page_set_clear) struct page_set x = {0}, y = {0};
	uint64_t pid = (uint64_t)json_integer_value(json_object_get(p, "pid")), changed = 0;
	json_t *j;
	int r = pages_open(a->images, IMG_PAGEMAP, pid, &x);

	if (r >= 0)
		r = pages_open(b->images, IMG_PAGEMAP, pid, &y);
	if (r >= 0)
		r = compare_pages(&x, &y, &changed);
	if (r < 0)
		return r;
	j = process_change(p, changed ? "changed" : "same");
	json_object_set_new(j, "pages_changed", json_integer((json_int_t)changed));
	json_object_set_new(j, "pages_total", json_integer((json_int_t)y.nr_pages));
	json_array_append_new(to, j);
	return 0;
}

static int diff_processes(const struct side *a, const struct side *b, json_t *to)
{
	json_t *p;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(b->described, "processes"), i, p)
	{
		json_int_t pid = json_integer_value(json_object_get(p, "pid"));
		const json_t *old = process_of(a->described, pid);

		if (!old)
			json_array_append_new(to, process_change(p, "added"));
		else if ((r = both(a, b, p, to)) < 0)
			return r;
	}
	json_array_foreach(json_object_get(a->described, "processes"), i, p)
	{
		if (!process_of(b->described, json_integer_value(json_object_get(p, "pid"))))
			json_array_append_new(to, process_change(p, "removed"));
	}
	return r;
}

/* --- the root file system's changes --- */

static bool same_entry(const struct stat *x, const struct stat *y)
{
	return x->st_mode == y->st_mode && x->st_uid == y->st_uid && x->st_gid == y->st_gid &&
	       x->st_rdev == y->st_rdev &&
	       (S_ISDIR(x->st_mode) ||
		(x->st_size == y->st_size && x->st_mtim.tv_sec == y->st_mtim.tv_sec &&
		 x->st_mtim.tv_nsec == y->st_mtim.tv_nsec));
}

/* overlayfs marks what is deleted by a device 0:0 (Documentation/filesystems/overlayfs.rst). */
static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && !st->st_rdev;
}

static void note(json_t *to, const char *path, const char *change)
{
	g_autofree char *valid = g_utf8_make_valid(path, -1);

	json_array_append_new(to, json_pack("{ss ss}", "path", valid, "change", change));
}

static int walk(int a, int b, const char *path, json_t *to);

static int open_sub(int dir, const char *name)
{
	return dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int entry(int a, int b, const char *dir, const char *name, json_t *to)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, name);
	struct stat x, y;
	bool in_a = a >= 0 && fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) == 0;
	bool in_b = b >= 0 && fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) == 0;
	autoclose int da = -1, db = -1;

	if (in_b && is_whiteout(&y)) {
		if (!in_a || !is_whiteout(&x))
			note(to, path, "deleted");
		return 0;
	}
	if (!in_b)
		note(to, path, in_a && is_whiteout(&x) ? "restored" : "removed");
	else if (!in_a)
		note(to, path, S_ISDIR(y.st_mode) ? "changed" : "written");
	else if (!same_entry(&x, &y))
		note(to, path, "changed");
	if (in_a && S_ISDIR(x.st_mode))
		da = open_sub(a, name);
	if (in_b && S_ISDIR(y.st_mode))
		db = open_sub(b, name);
	return da >= 0 || db >= 0 ? walk(da, db, path, to) : 0;
}

static void add_names(int dir, GHashTable *names)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dir);
	g_autoptr(GDir) d = dir < 0 ? NULL : g_dir_open(path, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d)))
		g_hash_table_add(names, g_strdup(name));
}

static int walk(int a, int b, const char *path, json_t *to)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GList) sorted = NULL;
	int r = 0;

	add_names(a, names);
	add_names(b, names);
	sorted = g_list_sort(g_hash_table_get_keys(names), (GCompareFunc)strcmp);
	for (GList *l = sorted; r == 0 && l; l = l->next)
		r = entry(a, b, path, l->data, to);
	return r;
}

int ckdiff(struct engine *e, const struct container *c, const char *custom, const char *a,
	   const char *b, json_t **ret)
{
	CLEANUP(side_clear) struct side x = SIDE_NONE;
	CLEANUP(side_clear) struct side y = SIDE_NONE;
	json_t *processes, *files;
	int r = side_open(e, c, custom, a, &x);

	if (r == 0)
		r = side_open(e, c, custom, b, &y);
	if (r < 0)
		return r;
	processes = json_array();
	files = json_array();
	r = diff_processes(&x, &y, processes);
	if (r == 0)
		r = walk(x.rootfs, y.rootfs, "", files);
	*ret = json_pack("{ss ss so so}", "from", a, "to", b, "processes", processes, "files",
			 files);
	if (r < 0)
		json_decref(*ret);
	return r;
}
