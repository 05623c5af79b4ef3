/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dir.h"
#include "engine/layer_tree.h"
#include "engine/pack_tree_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */
#endif

#define XATTRS_MAX 65536 /* XATTR_LIST_MAX, XATTR_SIZE_MAX */

static void xattr_clear(void *data)
{
	struct tree_xattr *x = data;

	g_free(x->name);
	g_free(x->value);
}

static void node_clear(void *data)
{
	struct tree_node *n = data;

	g_free(n->path);
	g_free(n->link);
	if (n->xattrs)
		g_array_unref(n->xattrs);
	if (n->segments)
		g_array_unref(n->segments);
}

static guint id_hash(gconstpointer p)
{
	const struct file_id *id = p;

	return (guint)(id->ino * 31 + id->dev);
}

static gboolean id_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct file_id));
}

int pack_tree_new(int root, struct pack_tree **ret)
{
	struct pack_tree *t = *ret = g_new0(struct pack_tree, 1);
	struct stat st;

	t->root = root;
	t->nodes = g_array_new(FALSE, FALSE, sizeof(struct tree_node));
	g_array_set_clear_func(t->nodes, node_clear);
	t->links = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
	t->buf = g_malloc(TREE_CHUNK);
	if (fstat(root, &st) < 0)
		return err_errno("look at the directory to pack");
	t->dev = st.st_dev;
	return 0;
}

void pack_tree_drop(struct pack_tree **tp)
{
	struct pack_tree *t = *tp;

	if (!t)
		return;
	g_array_unref(t->nodes);
	g_hash_table_unref(t->links);
	g_free(t->buf);
	g_clear_pointer(tp, g_free);
}

unsigned pack_tree_entries(const struct pack_tree *t)
{
	return t->nodes->len;
}

uint64_t pack_tree_content(const struct pack_tree *t)
{
	return t->content;
}

static int read_xattrs(int fd, struct tree_node *n)
{
	g_autofree char *names = g_malloc(XATTRS_MAX), *value = g_malloc(XATTRS_MAX);
	char proc[64];
	ssize_t len, size;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd); /* also for O_PATH and links */
	len = S_ISLNK(n->st.st_mode) ? 0 : listxattr(proc, names, XATTRS_MAX);
	if (len < 0 && errno != ENOTSUP)
		return err_errno("list attributes of %s", n->path);
	for (char *p = names; len > 0 && p < names + len; p += strlen(p) + 1) {
		struct tree_xattr x;

		if (!overlay_xattr_wanted(p))
			continue;
		size = getxattr(proc, p, value, XATTRS_MAX);
		if (size < 0 && errno == ENODATA)
			continue;
		if (size < 0)
			return err_errno("read attribute %s of %s", p, n->path);
		if (!n->xattrs) {
			n->xattrs = g_array_new(FALSE, FALSE, sizeof(struct tree_xattr));
			g_array_set_clear_func(n->xattrs, xattr_clear);
		}
		x = (struct tree_xattr){g_strdup(p), g_memdup2(value, (gsize)size), (size_t)size};
		g_array_append_val(n->xattrs, x);
	}
	return 0;
}

/* Where the data is, if there are holes.  A file system that does not know has none. */
static void read_segments(struct pack_tree *t, struct tree_node *n)
{
	autoclose int fd = -1;
	off_t size = n->st.st_size, at = 0;

	if (n->st.st_blocks * 512 >= size)
		return;
	fd = dir_open_beneath(t->root, n->path, O_RDONLY);
	if (fd < 0)
		return;
	n->segments = g_array_new(FALSE, FALSE, sizeof(struct tree_segment));
	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		struct tree_segment s;

		if (data < 0 || data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || hole > size)
			hole = size;
		s = (struct tree_segment){(uint64_t)data, (uint64_t)(hole - data)};
		g_array_append_val(n->segments, s);
		at = hole;
	}
	if (n->segments->len == 1 && g_array_index(n->segments, struct tree_segment, 0).at == 0 &&
	    g_array_index(n->segments, struct tree_segment, 0).len == (uint64_t)size)
		g_clear_pointer(&n->segments, g_array_unref);
}

static uint64_t stored_bytes(const struct tree_node *n)
{
	uint64_t sum = 0;

	if (!S_ISREG(n->st.st_mode) || n->is_hardlink)
		return 0;
	if (!n->segments)
		return (uint64_t)n->st.st_size;
	for (unsigned i = 0; i < n->segments->len; i++)
		sum += g_array_index(n->segments, struct tree_segment, i).len;
	return sum;
}

static int read_link(int fd, struct tree_node *n)
{
	char target[4096];
	ssize_t len = readlinkat(fd, "", target, sizeof(target));

	if (len < 0)
		return err_errno("read link %s", n->path);
	n->link = g_strndup(target, (gsize)len);
	return 0;
}

static int fill(struct pack_tree *t, int fd, struct tree_node *n)
{
	const char *first;
	int r;

	if (!S_ISDIR(n->st.st_mode) && n->st.st_nlink > 1) {
		const struct file_id id = {n->st.st_dev, n->st.st_ino};

		first = g_hash_table_lookup(t->links, &id);
		if (first) {
			n->is_hardlink = true;
			n->link = g_strdup(first);
			return 0;
		}
		g_hash_table_insert(t->links, g_memdup2(&id, sizeof(id)), n->path);
	}
	r = read_xattrs(fd, n);
	if (r == 0 && S_ISLNK(n->st.st_mode))
		r = read_link(fd, n);
	if (r == 0 && S_ISREG(n->st.st_mode))
		read_segments(t, n);
	t->content += stored_bytes(n);
	return r;
}

/* Files that are a view of the kernel: to copy them is neither wanted nor possible. */
static bool is_kernels(int fd)
{
	static const long types[] = {PROC_SUPER_MAGIC,	  SYSFS_MAGIC,	 CGROUP_SUPER_MAGIC,
				     CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,
				     DEVPTS_SUPER_MAGIC,  BPF_FS_MAGIC,	 SECURITYFS_MAGIC,
				     MQUEUE_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (fs.f_type == types[i])
			return true;
	return false;
}

static int add(struct pack_tree *t, const char *path)
{
	autoclose int fd = dir_open_beneath(t->root, path, O_PATH);
	struct tree_node n = {.path = g_strdup(path)};
	int r;

	if (fd < 0 || fstat(fd, &n.st) < 0) {
		g_free(n.path);
		return errno == ENOENT ? 0 : err_errno("open %s", path);
	}
	if (S_ISSOCK(n.st.st_mode) || (n.st.st_dev != t->dev && (!t->cross || is_kernels(fd)))) {
		g_free(n.path);
		return 0;
	}
	r = fill(t, fd, &n);
	g_array_append_val(t->nodes, n);
	return r;
}

int pack_tree_add(struct pack_tree *t, const char *path)
{
	return add(t, path);
}

void pack_tree_add_mark(struct pack_tree *t, const char *path)
{
	struct tree_node n = {
		.path = g_strdup(path), .st = {.st_mode = S_IFREG | 0600}, .is_mark = true};

	g_array_append_val(t->nodes, n);
}

static int add_below(struct pack_tree *t, const char *path)
{
	autoclose int fd = dir_open_beneath(t->root, path, O_RDONLY | O_DIRECTORY);
	g_autoptr(GPtrArray) names = NULL;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("read directory %s", path);
	r = dir_names(fd, &names);
	if (r < 0)
		return err_wrap(r, "%s", path);
	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		g_autofree char *child =
			g_strdup_printf("%s%s%s", path, *path ? "/" : "", (char *)names->pdata[i]);

		r = pack_tree_add_tree(t, child);
	}
	return r;
}

int pack_tree_add_tree(struct pack_tree *t, const char *path)
{
	unsigned before = t->nodes->len;
	int r = add(t, path);

	if (r < 0 || t->nodes->len == before ||
	    !S_ISDIR(g_array_index(t->nodes, struct tree_node, before).st.st_mode))
		return r;
	return add_below(t, path);
}

void pack_tree_cross(struct pack_tree *t)
{
	t->cross = true;
}

void pack_tree_dots(struct pack_tree *t)
{
	t->dots = true;
}

int pack_tree_add_all(struct pack_tree *t)
{
	int r = add(t, "");

	return r < 0 ? r : add_below(t, "");
}
