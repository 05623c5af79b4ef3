/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack_tree.h"
#include "base/dir.h"
#include "base/libarchive.h"
#include "engine/layer_tree.h"
#include "engine/utf8.h"

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

#define CHUNK	   ((size_t)1 << 20)
#define XATTRS_MAX 65536 /* XATTR_LIST_MAX, XATTR_SIZE_MAX */

struct xattr {
	char *name;
	void *value;
	size_t len;
};

struct segment {
	uint64_t at, len;
};

struct node {
	char *path; /* relative to the root, as it is in the tar file */
	char *link; /* of a symbolic link, or the path of an earlier hard link */
	struct stat st;
	GArray *xattrs, *segments; /* struct xattr; struct segment: data between holes; or NULL */
	bool is_hardlink, is_mark;
};

struct file_id {
	uint64_t dev, ino;
};

struct pack_tree {
	int root;
	dev_t dev;
	GArray *nodes;
	bool cross;
	GHashTable *links; /* struct file_id -> path */
	uint64_t content;
	char *buf;
};

static void xattr_clear(void *data)
{
	struct xattr *x = data;

	g_free(x->name);
	g_free(x->value);
}

static void node_clear(void *data)
{
	struct node *n = data;

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
	t->nodes = g_array_new(FALSE, FALSE, sizeof(struct node));
	g_array_set_clear_func(t->nodes, node_clear);
	t->links = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
	t->buf = g_malloc(CHUNK);
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

static int read_xattrs(int fd, struct node *n)
{
	g_autofree char *names = g_malloc(XATTRS_MAX), *value = g_malloc(XATTRS_MAX);
	char proc[64];
	ssize_t len, size;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd); /* also for O_PATH and links */
	len = S_ISLNK(n->st.st_mode) ? 0 : listxattr(proc, names, XATTRS_MAX);
	if (len < 0 && errno != ENOTSUP)
		return err_errno("list attributes of %s", n->path);
	for (char *p = names; len > 0 && p < names + len; p += strlen(p) + 1) {
		struct xattr x;

		if (!overlay_xattr_wanted(p))
			continue;
		size = getxattr(proc, p, value, XATTRS_MAX);
		if (size < 0 && errno == ENODATA)
			continue;
		if (size < 0)
			return err_errno("read attribute %s of %s", p, n->path);
		if (!n->xattrs) {
			n->xattrs = g_array_new(FALSE, FALSE, sizeof(struct xattr));
			g_array_set_clear_func(n->xattrs, xattr_clear);
		}
		x = (struct xattr){g_strdup(p), g_memdup2(value, (gsize)size), (size_t)size};
		g_array_append_val(n->xattrs, x);
	}
	return 0;
}

/* Where the data is, if there are holes.  A file system that does not know has none. */
static void read_segments(struct pack_tree *t, struct node *n)
{
	autoclose int fd = -1;
	off_t size = n->st.st_size, at = 0;

	if (n->st.st_blocks * 512 >= size)
		return;
	fd = dir_open_beneath(t->root, n->path, O_RDONLY);
	if (fd < 0)
		return;
	n->segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		struct segment s;

		if (data < 0 || data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || hole > size)
			hole = size;
		s = (struct segment){(uint64_t)data, (uint64_t)(hole - data)};
		g_array_append_val(n->segments, s);
		at = hole;
	}
	if (n->segments->len == 1 && g_array_index(n->segments, struct segment, 0).at == 0 &&
	    g_array_index(n->segments, struct segment, 0).len == (uint64_t)size)
		g_clear_pointer(&n->segments, g_array_unref);
}

static uint64_t stored_bytes(const struct node *n)
{
	uint64_t sum = 0;

	if (!S_ISREG(n->st.st_mode) || n->is_hardlink)
		return 0;
	if (!n->segments)
		return (uint64_t)n->st.st_size;
	for (unsigned i = 0; i < n->segments->len; i++)
		sum += g_array_index(n->segments, struct segment, i).len;
	return sum;
}

static int read_link(int fd, struct node *n)
{
	char target[4096];
	ssize_t len = readlinkat(fd, "", target, sizeof(target));

	if (len < 0)
		return err_errno("read link %s", n->path);
	n->link = g_strndup(target, (gsize)len);
	return 0;
}

static int fill(struct pack_tree *t, int fd, struct node *n)
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
	struct node n = {.path = g_strdup(path)};
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
	struct node n = {
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
	    !S_ISDIR(g_array_index(t->nodes, struct node, before).st.st_mode))
		return r;
	return add_below(t, path);
}

void pack_tree_cross(struct pack_tree *t)
{
	t->cross = true;
}

int pack_tree_add_all(struct pack_tree *t)
{
	int r = add(t, "");

	return r < 0 ? r : add_below(t, "");
}

/* The tar file goes into the archive, into a file of its own, or into a counter. */
struct sink {
	struct pack *p;
	int fd; /* or -1 */
	struct sha256 *sum;
	uint64_t bytes;
	int failed;
};

static bool counts_only(const struct sink *s)
{
	return !s->p && s->fd < 0;
}

static int write_fd(struct sink *s, const char *buf, size_t len)
{
	if (s->sum)
		sha256_update(s->sum, buf, len);
	while (len) {
		ssize_t n = write(s->fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno("write the tar file");
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static la_ssize_t on_write(struct archive *a, void *data, const void *buf, size_t len)
{
	struct sink *s = data;

	s->bytes += len;
	if (s->p)
		s->failed = pack_data(s->p, buf, len);
	else if (s->fd >= 0)
		s->failed = write_fd(s, buf, len);
	if (s->failed < 0)
		archive_set_error(a, EIO, "write");
	return s->failed < 0 ? -1 : (la_ssize_t)len;
}

static int inner_failure(const struct sink *s, struct archive *a, const char *path)
{
	const char *why = archive_error_string(a);

	if (s->failed < 0)
		return s->failed;
	return err_set(EIO, "pack %s: %s", path, why ? why : "unknown error");
}

static void describe(struct archive_entry *e, const struct node *n)
{
	g_autofree char *name = *n->path ? g_strdup(n->path) : g_strdup("./");

	archive_entry_clear(e);
	archive_entry_set_pathname(e, name);
	archive_entry_set_mode(e, n->st.st_mode);
	archive_entry_set_uid(e, n->st.st_uid);
	archive_entry_set_gid(e, n->st.st_gid);
	archive_entry_set_mtime(e, n->st.st_mtim.tv_sec, n->st.st_mtim.tv_nsec);
	archive_entry_set_atime(e, n->st.st_atim.tv_sec, n->st.st_atim.tv_nsec);
	if (n->is_hardlink)
		archive_entry_set_hardlink(e, n->link);
	else if (n->link)
		archive_entry_set_symlink(e, n->link);
	if (S_ISCHR(n->st.st_mode) || S_ISBLK(n->st.st_mode))
		archive_entry_set_rdev(e, n->st.st_rdev);
	if (!S_ISREG(n->st.st_mode) || n->is_hardlink)
		archive_entry_set_size(e, 0);
	else
		archive_entry_set_size(e, n->st.st_size);
	for (unsigned i = 0; n->xattrs && i < n->xattrs->len; i++) {
		const struct xattr *x = &g_array_index(n->xattrs, struct xattr, i);

		archive_entry_xattr_add_entry(e, x->name, x->value, x->len);
	}
	if (n->is_hardlink || !n->segments)
		return;
	for (unsigned i = 0; i < n->segments->len; i++) {
		const struct segment *s = &g_array_index(n->segments, struct segment, i);

		archive_entry_sparse_add_entry(e, (int64_t)s->at, (int64_t)s->len);
	}
	if (!n->segments->len)
		archive_entry_sparse_add_entry(e, n->st.st_size, 0);
}

/* [AT, AT+LEN) of the file, whatever has become of it. */
static int write_range(struct pack_tree *t, struct archive *a, int fd, uint64_t at, uint64_t len,
		       bool hole)
{
	while (len) {
		size_t n = MIN(len, CHUNK);
		ssize_t got = hole ? 0 : pread(fd, t->buf, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			memset(t->buf, 0, n);
			got = (ssize_t)n;
		}
		if (archive_write_data(a, t->buf, (size_t)got) < 0)
			return 1;
		at += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

static int write_content(struct pack_tree *t, struct archive *a, const struct sink *s,
			 const struct node *n)
{
	autoclose int fd = dir_open_beneath(t->root, n->path, O_RDONLY | O_NONBLOCK);
	uint64_t at = 0, size = (uint64_t)n->st.st_size;
	int r = 0;

	if (fd < 0 && errno != ENOENT)
		return err_errno("open %s", n->path);
	for (unsigned i = 0; r == 0 && n->segments && i < n->segments->len; i++) {
		const struct segment *g = &g_array_index(n->segments, struct segment, i);

		r = write_range(t, a, fd, at, g->at - at, true);
		if (r == 0)
			r = write_range(t, a, fd, g->at, g->len, fd < 0);
		at = g->at + g->len;
	}
	if (r == 0)
		r = write_range(t, a, fd, at, size - at, n->segments || fd < 0);
	if (r < 0)
		return err_code(-r, "read %s", n->path);
	return r > 0 ? inner_failure(s, a, n->path) : 0;
}

static int write_nodes(struct pack_tree *t, struct archive *a, struct sink *s,
		       struct archive_entry *e)
{
	for (unsigned i = 0; i < t->nodes->len; i++) {
		const struct node *n = &g_array_index(t->nodes, struct node, i);
		int r = 0;

		describe(e, n);
		if (archive_write_header(a, e) < ARCHIVE_WARN)
			return inner_failure(s, a, n->path);
		if (!counts_only(s) && S_ISREG(n->st.st_mode) && !n->is_hardlink && !n->is_mark)
			r = write_content(t, a, s, n);
		else if (n->segments && !n->is_hardlink && archive_write_data(a, "", 0) < 0)
			r = inner_failure(s, a, n->path); /* the map of the holes */
		/* What was not given is written as zeros: that is all that counting needs. */
		if (r == 0 && archive_write_finish_entry(a) != ARCHIVE_OK)
			r = inner_failure(s, a, n->path);
		if (r < 0)
			return r;
	}
	return archive_write_close(a) == ARCHIVE_OK ? 0 : inner_failure(s, a, "the end");
}

static int write_tar(struct pack_tree *t, struct sink *s)
{
	CLEANUP(utf8_end) struct utf8 utf8 __attribute__((unused)) = utf8_begin();
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	int r;

	/* Not "restricted", which rounds times to seconds. */
	archive_write_set_format_pax(a);
	archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY"); /* Go reads only that */
	archive_write_set_bytes_per_block(a, 0);
	archive_write_set_bytes_in_last_block(a, 1);
	if (archive_write_open(a, s, NULL, on_write, NULL) != ARCHIVE_OK)
		r = inner_failure(s, a, "a tree");
	else
		r = write_nodes(t, a, s, e);
	if (r < 0)
		archive_write_fail(a);
	archive_write_free(a);
	archive_entry_free(e);
	return r;
}

int pack_tree_write_fd(struct pack_tree *t, int fd, struct sha256 *sum, uint64_t *ret_bytes)
{
	struct sink out = {.fd = fd, .sum = sum};
	int r = write_tar(t, &out);

	*ret_bytes = out.bytes;
	return r;
}

int pack_tree_write(struct pack_tree *t, struct pack *p, const char *member)
{
	struct sink count = {.fd = -1}, out = {.p = p, .fd = -1};
	int r = write_tar(t, &count);

	if (r == 0)
		r = pack_begin(p, member, count.bytes);
	if (r == 0)
		r = write_tar(t, &out);
	return r < 0 ? err_wrap(r, "%s", member) : pack_end(p);
}
