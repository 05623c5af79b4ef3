/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that has been looked at, as a tar file: once to count, and then with its content. */
#include "base/dir.h"
#include "base/libarchive.h"
#include "engine/pack_tree_parts.h"
#include "engine/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

static void describe(struct archive_entry *e, const struct tree_node *n, bool dots)
{
	const char *before = dots || !*n->path ? "./" : "";
	g_autofree char *name = g_strconcat(before, n->path, NULL);
	g_autofree char *link = n->is_hardlink ? g_strconcat(before, n->link, NULL) : NULL;

	archive_entry_clear(e);
	archive_entry_set_pathname(e, name);
	archive_entry_set_mode(e, n->st.st_mode);
	archive_entry_set_uid(e, n->st.st_uid);
	archive_entry_set_gid(e, n->st.st_gid);
	archive_entry_set_mtime(e, n->st.st_mtim.tv_sec, n->st.st_mtim.tv_nsec);
	archive_entry_set_atime(e, n->st.st_atim.tv_sec, n->st.st_atim.tv_nsec);
	if (n->is_hardlink)
		archive_entry_set_hardlink(e, link);
	else if (n->link)
		archive_entry_set_symlink(e, n->link);
	if (S_ISCHR(n->st.st_mode) || S_ISBLK(n->st.st_mode))
		archive_entry_set_rdev(e, n->st.st_rdev);
	if (!S_ISREG(n->st.st_mode) || n->is_hardlink)
		archive_entry_set_size(e, 0);
	else
		archive_entry_set_size(e, n->st.st_size);
	for (unsigned i = 0; n->xattrs && i < n->xattrs->len; i++) {
		const struct tree_xattr *x = &g_array_index(n->xattrs, struct tree_xattr, i);

		archive_entry_xattr_add_entry(e, x->name, x->value, x->len);
	}
	if (n->is_hardlink || !n->segments)
		return;
	for (unsigned i = 0; i < n->segments->len; i++) {
		const struct tree_segment *s = &g_array_index(n->segments, struct tree_segment, i);

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
		size_t n = MIN(len, TREE_CHUNK);
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
			 const struct tree_node *n)
{
	autoclose int fd = dir_open_beneath(t->root, n->path, O_RDONLY | O_NONBLOCK);
	uint64_t at = 0, size = (uint64_t)n->st.st_size;
	int r = 0;

	if (fd < 0 && errno != ENOENT)
		return err_errno("open %s", n->path);
	for (unsigned i = 0; r == 0 && n->segments && i < n->segments->len; i++) {
		const struct tree_segment *g = &g_array_index(n->segments, struct tree_segment, i);

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
		const struct tree_node *n = &g_array_index(t->nodes, struct tree_node, i);
		int r = 0;

		describe(e, n, t->dots);
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
