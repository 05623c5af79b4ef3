/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/treedelta.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRESH_NS  100000000LL /* as in base/treesync.c */
#define DEPTH_MAX 1000u

struct node {
	uint64_t ino;
	int64_t ctime_ns; /* 0: it counts as changed */
	unsigned pass;
};

struct treedelta {
	int root;
	dev_t dev;
	unsigned pass;
	GHashTable *nodes; /* path -> struct node */
};

struct treedelta *treedelta_new(int root)
{
	struct treedelta *d = g_new0(struct treedelta, 1);

	d->root = root;
	d->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return d;
}

void treedelta_free(struct treedelta **d)
{
	if (!*d)
		return;
	g_hash_table_unref((*d)->nodes);
	g_clear_pointer(d, g_free);
}

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ns_of(t);
}

/* Pages that are dirty now take further writes without a new time of the inode. */
static void write_out(const struct treedelta *d, const char *path)
{
	autoclose int fd = dir_open_beneath(d->root, path, O_RDONLY | O_NONBLOCK);

	if (fd >= 0)
		(void)!fdatasync(fd);
}

static void look_at(struct treedelta *d, const char *path, bool frozen, GPtrArray *changed)
{
	struct node *n = g_hash_table_lookup(d->nodes, path);
	struct stat st;

	if (fstatat(d->root, *path ? path : ".", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_dev != d->dev)
		return; /* it has just gone; or a mount */
	if (n && n->ino == st.st_ino && n->ctime_ns == ns_of(st.st_ctim)) {
		n->pass = d->pass;
		return;
	}
	if (!n) {
		n = g_new0(struct node, 1);
		g_hash_table_insert(d->nodes, g_strdup(path), n);
	}
	if (!frozen && S_ISREG(st.st_mode))
		write_out(d, path);
	n->ino = st.st_ino;
	n->ctime_ns = now_ns() - ns_of(st.st_ctim) < FRESH_NS ? 0 : ns_of(st.st_ctim);
	n->pass = d->pass;
	if (changed)
		g_ptr_array_add(changed, g_strdup(path));
}

/* All below PATH, directories before what is in them. */
static int list(const struct treedelta *d, const char *path, unsigned depth, GPtrArray *all)
{
	autoclose int fd = dir_open_beneath(d->root, path, O_RDONLY | O_DIRECTORY);
	g_autoptr(GPtrArray) names = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : err_errno("read directory %s", path);
	if (depth > DEPTH_MAX)
		return err_set(ELOOP, "%s: more than %u directories deep", path, DEPTH_MAX);
	if (fstat(fd, &st) < 0 || st.st_dev != d->dev)
		return 0;
	r = dir_names(fd, &names);
	if (r < 0)
		return err_wrap(r, "%s", path);
	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		const char *name = names->pdata[i];
		char *child = *path ? g_strdup_printf("%s/%s", path, name) : g_strdup(name);

		g_ptr_array_add(all, child);
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			r = list(d, child, depth + 1, all);
	}
	return r;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void forget_gone(struct treedelta *d, GPtrArray *gone)
{
	GHashTableIter it;
	struct node *n;
	char *path;

	g_hash_table_iter_init(&it, d->nodes);
	while (g_hash_table_iter_next(&it, (void **)&path, (void **)&n)) {
		if (n->pass == d->pass)
			continue;
		if (gone)
			g_ptr_array_add(gone, g_strdup(path));
		g_hash_table_iter_remove(&it);
	}
	if (gone)
		g_ptr_array_sort(gone, by_path);
}

int treedelta_pass(struct treedelta *d, const GPtrArray *paths, bool frozen, GPtrArray *changed,
		   GPtrArray *gone)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
	struct stat st;
	int r = 0;

	if (fstat(d->root, &st) < 0)
		return err_errno("look at a directory");
	d->dev = st.st_dev;
	d->pass++;
	if (!paths) {
		g_ptr_array_add(all, g_strdup(""));
		r = list(d, "", 0, all);
		paths = all;
	}
	for (unsigned i = 0; r == 0 && i < paths->len; i++)
		look_at(d, paths->pdata[i], frozen, changed);
	if (r == 0)
		forget_gone(d, gone);
	return r;
}
