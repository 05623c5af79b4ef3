/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What says that a file has not changed since the last pass is its ctime, which nobody can set.
 * Two things make it true: a ctime that is so fresh that a later change may have the same (the
 * clock of inodes ticks with the timer, inode_set_ctime_current() in fs/inode.c) does not count;
 * and dirty pages are written out before a file is copied, since a mapped page that is dirty
 * already takes further writes without a fault, and so without a new ctime (file_update_time() is
 * called by ->page_mkwrite only).
 */
#include "base/treesync.h"

#include "base/dir.h"
#include "base/file.h"
#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define FRESH_NS   100000000LL
#define DEPTH_MAX  1000u
#define CHUNK	   (8u << 20)
#define XATTRS_MAX 65536

/* One inode of the source. */
struct node {
	int64_t ctime_ns; /* when it was copied; 0: again in any case */
	unsigned pass;	  /* in which it was last seen */
	char *at;	  /* where it is in TO; for further links */
};

struct treesync {
	int from, to;
	unsigned pass;
	dev_t dev;
	GHashTable *nodes; /* inode number -> struct node * */
	uint64_t copied, total;
};

static void node_free(void *p)
{
	struct node *n = p;

	g_free(n->at);
	g_free(n);
}

struct treesync *treesync_new(int from, int to)
{
	struct treesync *s = g_new0(struct treesync, 1);

	s->from = from;
	s->to = to;
	s->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, node_free);
	return s;
}

void treesync_free(struct treesync **s)
{
	if (!*s)
		return;
	g_hash_table_unref((*s)->nodes);
	g_clear_pointer(s, g_free);
}

uint64_t treesync_copied(const struct treesync *s)
{
	return s->copied;
}

uint64_t treesync_total(const struct treesync *s)
{
	return s->total;
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

/* "/proc/self/fd/N/NAME": for calls that know no directory handles, without following NAME. */
static void fd_path(int dir, const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "/proc/self/fd/%d/%s", dir, name);
}

static int copy_xattrs(const char *from, const char *to)
{
	g_autofree char *names = g_malloc(XATTRS_MAX), *value = g_malloc(XATTRS_MAX);
	ssize_t len = llistxattr(from, names, XATTRS_MAX);

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : err_errno("list the attributes of %s", from);
	for (const char *n = names; n < names + len; n += strlen(n) + 1) {
		ssize_t size = lgetxattr(from, n, value, XATTRS_MAX);

		if (size < 0)
			return err_errno("attribute %s of %s", n, from);
		if (lsetxattr(to, n, value, (size_t)size, 0) < 0)
			return err_errno("set attribute %s of %s", n, to);
	}
	return 0;
}

static int drop_xattrs(const char *path)
{
	g_autofree char *names = g_malloc(XATTRS_MAX);
	ssize_t len = llistxattr(path, names, XATTRS_MAX);

	for (const char *n = names; len > 0 && n < names + len; n += strlen(n) + 1)
		if (lremovexattr(path, n) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
			return err_errno("remove attribute %s of %s", n, path);
	return 0;
}

/* Owner before mode: chown() takes set-user-ID bits away. */
static int copy_attributes(int from, int to, const char *name, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	char a[PATH_MAX], b[PATH_MAX];
	int r;

	fd_path(from, name, a);
	fd_path(to, name, b);
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("chown %s", b);
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return err_errno("chmod %s", b);
	r = copy_xattrs(a, b);
	if (r == 0 && utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_errno("set the times of %s", b);
	return r;
}

static int copy_range(int in, int out, off_t from, off_t to)
{
	while (from < to) {
		loff_t a = from, b = from;
		int r = interrupt_check();
		ssize_t n;

		if (r < 0)
			return r;
		n = copy_file_range(in, &a, out, &b, (size_t)MIN(to - from, CHUNK), 0);
		if (n < 0)
			return err_errno("copy");
		if (n == 0)
			return 0; /* it has become shorter: the next pass sees it */
		from += n;
	}
	return 0;
}

static int copy_data(struct treesync *s, int in, int out, off_t size)
{
	int r = 0;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	if (ftruncate(out, size) < 0)
		return err_errno("truncate");
	for (off_t at = 0, end; r == 0 && at < size; at = end) {
		off_t data = lseek(in, at, SEEK_DATA);

		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? size : lseek(in, data, SEEK_HOLE);
		if (data < 0)
			data = at;
		if (end < 0)
			end = size;
		s->copied += (uint64_t)(end - data);
		r = copy_range(in, out, data, MIN(end, size));
	}
	return r;
}

static int copy_regular(struct treesync *s, int from, int to, const char *name,
			const struct stat *st)
{
	autoclose int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	autoclose int out = -1;
	int r;

	if (in < 0)
		return err_errno("open %s", name);
	if (fdatasync(in) < 0)
		return err_errno("write out %s", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_errno("create %s", name);
	r = copy_data(s, in, out, st->st_size);
	return r < 0 ? err_wrap(r, "%s", name) : 0;
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(from, name, target, sizeof(target) - 1);

	if (len < 0)
		return err_errno("read link %s", name);
	target[len] = 0;
	return symlinkat(target, to, name) < 0 ? err_errno("make link %s", name) : 0;
}

/* A fresh NAME in TO, which is not there. */
static int copy_new(struct treesync *s, int from, int to, const char *name, const struct stat *st)
{
	int r;

	if (S_ISREG(st->st_mode))
		r = copy_regular(s, from, to, name, st);
	else if (S_ISLNK(st->st_mode))
		r = copy_link(from, to, name);
	else if (mknodat(to, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0)
		r = err_errno("make %s", name);
	else
		r = 0;
	return r < 0 ? r : copy_attributes(from, to, name, st);
}

static struct node *node_of(struct treesync *s, const struct stat *st)
{
	gint64 key = (gint64)st->st_ino;
	struct node *n = g_hash_table_lookup(s->nodes, &key);

	if (!n) {
		n = g_new0(struct node, 1);
		g_hash_table_insert(s->nodes, g_memdup2(&key, sizeof(key)), n);
	}
	return n;
}

/* Not a directory.  PATH is its place in both trees. */
static int sync_leaf(struct treesync *s, int from, int to, const char *name, const char *path,
		     const struct stat *st)
{
	struct node *n = node_of(s, st);
	bool first = n->pass != s->pass;
	bool same = n->at && n->ctime_ns == ns_of(st->st_ctim) && (first || !strcmp(n->at, path));
	struct stat there;
	int r;

	s->total += first && S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	if (first && same && !strcmp(n->at, path) &&
	    fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (there.st_mode & S_IFMT) == (st->st_mode & S_IFMT)) {
		n->pass = s->pass;
		return 0;
	}
	r = file_remove_tree_at(to, name);
	if (r < 0)
		return r;
	if (!first) /* another link to what this pass has seen already */
		return linkat(s->to, n->at, to, name, 0) < 0 ? err_errno("link %s", path) : 0;
	n->pass = s->pass;
	n->ctime_ns = now_ns() - ns_of(st->st_ctim) < FRESH_NS ? 0 : ns_of(st->st_ctim);
	g_free(n->at);
	n->at = g_strdup(path);
	return copy_new(s, from, to, name, st);
}

static int sync_dir(struct treesync *s, int from, int to, const char *path, unsigned depth);

static int open_dir(int dir, const char *name, int *ret)
{
	*ret = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_errno("open directory %s", name) : 0;
}

static int sync_subdir(struct treesync *s, int from, int to, const char *name, const char *path,
		       const struct stat *st, unsigned depth)
{
	autoclose int in = -1, out = -1;
	struct stat there;
	char b[PATH_MAX];
	int r = 0;

	if (fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(there.st_mode))
		r = file_remove_tree_at(to, name);
	if (r == 0 && mkdirat(to, name, 0700) < 0 && errno != EEXIST)
		r = err_errno("make directory %s", path);
	if (r == 0)
		r = open_dir(from, name, &in);
	if (r == 0)
		r = open_dir(to, name, &out);
	if (r == 0)
		r = sync_dir(s, in, out, path, depth + 1);
	fd_path(to, name, b);
	if (r == 0)
		r = drop_xattrs(b);
	return r < 0 ? r : copy_attributes(from, to, name, st);
}

static int remove_others(int to, const GPtrArray *wanted)
{
	g_autoptr(GPtrArray) have = NULL;
	int r = dir_names(to, &have);

	for (unsigned i = 0; r == 0 && i < have->len; i++)
		if (!dir_names_have(wanted, have->pdata[i]))
			r = file_remove_tree_at(to, have->pdata[i]);
	return r;
}

static int sync_entry(struct treesync *s, int from, int to, const char *dir, const char *name,
		      unsigned depth)
{
	g_autofree char *path = *dir ? g_strdup_printf("%s/%s", dir, name) : g_strdup(name);
	struct stat st;
	int r = interrupt_check();

	if (r < 0)
		return r;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? file_remove_tree_at(to, name) : err_errno("stat %s", path);
	if (st.st_dev != s->dev)
		return 0; /* a mount */
	return S_ISDIR(st.st_mode) ? sync_subdir(s, from, to, name, path, &st, depth)
				   : sync_leaf(s, from, to, name, path, &st);
}

static int sync_dir(struct treesync *s, int from, int to, const char *path, unsigned depth)
{
	g_autoptr(GPtrArray) names = NULL;
	int r;

	if (depth > DEPTH_MAX)
		return err_set(ELOOP, "%s: more than %u directories deep", path, DEPTH_MAX);
	r = dir_names(from, &names);
	if (r == 0)
		r = remove_others(to, names);
	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		const char *name = names->pdata[i];

		r = sync_entry(s, from, to, path, name, depth);
		/* Gone while we looked: who is not frozen yet may do that. */
		if (r == -ENOENT && faccessat(from, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			err_clear();
			r = 0;
		}
	}
	return r;
}

int treesync_pass(struct treesync *s)
{
	struct stat st;
	int r;

	if (fstat(s->from, &st) < 0)
		return err_errno("stat a directory");
	s->dev = st.st_dev;
	s->pass++;
	s->copied = s->total = 0;
	r = sync_dir(s, s->from, s->to, "", 0);
	return r < 0 ? r : copy_attributes(s->from, s->to, ".", &st);
}
