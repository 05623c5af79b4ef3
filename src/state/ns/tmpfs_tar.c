/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a tmpfs, as an archive (tar, gzip) and back, in a forked child: libarchive changes the
 * working directory, and owners are those that the tree sees.
 *
 * Archives have no sockets.  What somebody has bound is bound again, but files stay when their
 * sockets are gone, too.  All are told of by an attribute of the top directory, which comes a
 * second time as the last entry: SOCKETS, records of (mode, uid, gid, seconds, ns, path), each a
 * string.
 */
#include "state/ns/ns.h"

#include "base/file.h"
#include "base/libarchive.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK	    65536
#define SOCKETS	    "user.cryo.sockets"
#define SOCKETS_MAX (16u << 20)
#define FIELDS	    6

typedef struct archive *archive_ptr;

static void read_free(archive_ptr *a)
{
	archive_read_free(*a);
}

static void write_free(archive_ptr *a)
{
	archive_write_free(*a);
}

static void entry_free(struct archive_entry **e)
{
	archive_entry_free(*e);
}

static int failed(struct archive *a, const char *what)
{
	int e = archive_errno(a);

	return err_set(e > 0 ? e : EIO, "%s: %s", what, archive_error_string(a) ?: "unknown error");
}

static bool is_node(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

bool tmpfs_is_wanted(const struct stat *st, dev_t dev, bool nodes)
{
	return (nodes || !is_node(st->st_mode)) && st->st_dev == dev;
}

#define ZEROS (1u << 20) /* a terabyte without a byte is a million calls */

struct job {
	int dir, file;
	const char *target;
	bool nodes; /* devices, too */
};

static int copy_data(struct archive *from, struct archive *to, const char *what)
{
	const void *data;
	la_int64_t at;
	size_t len;
	int r;

	while ((r = archive_read_data_block(from, &data, &len, &at)) == ARCHIVE_OK)
		if (archive_write_data_block(to, data, len, at) < ARCHIVE_WARN)
			return failed(to, what);
	return r == ARCHIVE_EOF ? 0 : failed(from, what);
}

/*
 * Archives have no write at an offset.  Where the entry says that there are holes what is written
 * for them is counted, and goes nowhere (archive_write_pax_data()).
 */
static int pack_data(struct archive *disk, struct archive *tar, const char *what)
{
	static char zeros[ZEROS]; /* not const: nothing of the program's file */
	const void *data;
	la_int64_t at, done = 0;
	size_t len;
	int r;

	while ((r = archive_read_data_block(disk, &data, &len, &at)) == ARCHIVE_OK) {
		while (done < at) {
			size_t n = MIN((size_t)(at - done), sizeof(zeros));

			if (archive_write_data(tar, zeros, n) < 0)
				return failed(tar, what);
			done += (la_int64_t)n;
		}
		if (len && archive_write_data(tar, data, len) < 0)
			return failed(tar, what);
		done += (la_int64_t)len;
	}
	return r == ARCHIVE_EOF ? 0 : failed(disk, what);
}

static void resolver_free(struct archive_entry_linkresolver **res)
{
	archive_entry_linkresolver_free(*res);
}

static void note_socket(const char *path, const struct stat *st, GString *into)
{
	g_string_append_printf(into, "%o%c%u%c%u%c%" PRId64 "%c%ld%c", st->st_mode & 07777, 0,
			       st->st_uid, 0, st->st_gid, 0, (int64_t)st->st_mtim.tv_sec, 0,
			       st->st_mtim.tv_nsec, 0);
	g_string_append_len(into, path, (gssize)strlen(path) + 1);
}

/* The top again, as it is by now. */
static int pack_sockets(struct archive *tar, const GString *sockets, const struct job *j)
{
	CLEANUP(entry_free) struct archive_entry *e = archive_entry_new();
	struct stat st;

	if (!sockets->len)
		return 0;
	if (sockets->len > SOCKETS_MAX)
		return err_set(EFBIG, "%s: too many files of unix sockets", j->target);
	if (fstat(j->dir, &st) < 0)
		return err_errno("look at %s", j->target);
	archive_entry_set_pathname(e, ".");
	archive_entry_copy_stat(e, &st);
	archive_entry_xattr_add_entry(e, SOCKETS, sockets->str, sockets->len);
	return archive_write_header(tar, e) < ARCHIVE_WARN ? failed(tar, j->target) : 0;
}

static int pack_all(struct archive *disk, struct archive *tar, dev_t dev, const struct job *j)
{
	CLEANUP(resolver_free)
	struct archive_entry_linkresolver *links = archive_entry_linkresolver_new();
	g_autoptr(GString) sockets = g_string_new(NULL);

	archive_entry_linkresolver_set_strategy(links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
	for (;;) {
		CLEANUP(entry_free) struct archive_entry *e = archive_entry_new();
		int r = archive_read_next_header2(disk, e);

		if (r == ARCHIVE_EOF)
			return pack_sockets(tar, sockets, j);
		if (r < ARCHIVE_WARN)
			return failed(disk, j->target);
		archive_read_disk_descend(disk);
		if (!tmpfs_is_wanted(archive_entry_stat(e), dev, j->nodes))
			continue;
		if (archive_entry_filetype(e) == AE_IFSOCK) {
			note_socket(archive_entry_pathname(e), archive_entry_stat(e), sockets);
			continue;
		}
		/* For tar: the second name of a file becomes a link, nothing is deferred. */
		archive_entry_linkify(links, &e, &(struct archive_entry *){NULL});
		if (archive_write_header(tar, e) < ARCHIVE_WARN)
			return failed(tar, j->target);
		if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
			continue;
		r = pack_data(disk, tar, archive_entry_pathname(e));
		if (r < 0)
			return r;
	}
}

static int pack(void *arg, int *ret_fd)
{
	const struct job *j = arg;
	CLEANUP(read_free) archive_ptr disk = archive_read_disk_new();
	CLEANUP(write_free) archive_ptr tar = archive_write_new();
	struct stat st;
	int r;

	if (fchdir(j->dir) < 0 || fstat(j->dir, &st) < 0)
		return err_errno("enter %s", j->target);
	archive_read_disk_set_symlink_physical(disk);
	archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
	archive_write_set_format_pax(tar); /* "restricted" rounds times to seconds */
	archive_write_add_filter_gzip(tar);
	archive_write_set_filter_option(tar, "gzip", "compression-level", "1");
	if (archive_read_disk_open(disk, ".") != ARCHIVE_OK)
		return failed(disk, j->target);
	if (archive_write_open_fd(tar, j->file) != ARCHIVE_OK)
		return failed(tar, j->target);
	r = pack_all(disk, tar, st.st_dev, j);
	if (r == 0 && archive_write_close(tar) != ARCHIVE_OK)
		r = failed(tar, j->target);
	return r;
}

int tmpfs_pack(int users, int dir, int file, const char *what, bool nodes)
{
	return ns_run(&users, 1, pack, &(struct job){dir, file, what, nodes}, NULL);
}

/* In our own process: of several, each a fork(2) less while everything stands still. */
int tmpfs_pack_empty(int dir, int file, const char *what)
{
	CLEANUP(write_free) archive_ptr tar = archive_write_new();
	CLEANUP(entry_free) struct archive_entry *e = archive_entry_new();
	struct stat st;

	if (fstat(dir, &st) < 0)
		return err_errno("look at %s", what);
	archive_entry_set_pathname(e, ".");
	archive_entry_set_mode(e, st.st_mode);
	archive_entry_set_uid(e, st.st_uid);
	archive_entry_set_gid(e, st.st_gid);
	archive_entry_set_mtime(e, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	archive_write_set_format_pax(tar);
	archive_write_add_filter_gzip(tar);
	if (archive_write_open_fd(tar, file) != ARCHIVE_OK ||
	    archive_write_header(tar, e) < ARCHIVE_WARN || archive_write_close(tar) != ARCHIVE_OK)
		return failed(tar, what);
	return 0;
}

static int make_socket(int top, const char *const f[FIELDS])
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	g_autofree char *up = g_path_get_dirname(f[5]), *base = g_path_get_basename(f[5]);
	autoclose int dir = file_openat2(top, up, &how);
	mode_t mode = (mode_t)g_ascii_strtoull(f[0], NULL, 8) & 07777;
	struct timespec times[2];

	times[0] = times[1] =
		(struct timespec){g_ascii_strtoll(f[3], NULL, 10),
				  (long)MIN(g_ascii_strtoull(f[4], NULL, 10), 999999999)};
	if (dir < 0 && (errno == EXDEV || errno == ELOOP || errno == ENOENT))
		return 0; /* something else is mounted on the way */
	if (dir < 0)
		return err_errno("directory of %s", f[5]);
	if (mknodat(dir, base, S_IFSOCK | 0600, 0) < 0)
		return errno == EEXIST ? 0 : err_errno("file of unix socket %s", f[5]);
	if (fchownat(dir, base, (uid_t)g_ascii_strtoull(f[1], NULL, 10),
		     (gid_t)g_ascii_strtoull(f[2], NULL, 10), AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dir, base, mode, 0) < 0 ||
	    utimensat(dir, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("owner, mode and time of %s", f[5]);
	return 0;
}

/* E is not to have that attribute itself. */
static int unpack_sockets(int top, struct archive_entry *e)
{
	int r = 0, n = archive_entry_xattr_reset(e);

	for (int i = 0; r == 0 && i < n; i++) {
		const char *name, *f[FIELDS], *at;
		const void *value;
		size_t size;

		if (archive_entry_xattr_next(e, &name, &value, &size) != ARCHIVE_OK ||
		    strcmp(name, SOCKETS) != 0 || !size || ((const char *)value)[size - 1])
			continue;
		at = value;
		while (r == 0 && at < (const char *)value + size) {
			unsigned k = 0;

			for (; k < FIELDS && at < (const char *)value + size; at += strlen(at) + 1)
				f[k++] = at;
			r = k == FIELDS ? make_socket(top, f)
					: err_set(EBADMSG, "files of unix sockets");
		}
		archive_entry_xattr_clear(e);
		break;
	}
	return r;
}

static int unpack(void *arg, int *ret_fd)
{
	const struct job *j = arg;
	CLEANUP(read_free) archive_ptr tar = archive_read_new();
	CLEANUP(write_free) archive_ptr disk = archive_write_disk_new();
	struct archive_entry *e;
	struct stat top, st;
	int r;

	if (fchdir(j->dir) < 0 || fstat(j->dir, &top) < 0)
		return err_errno("enter %s", j->target);
	umask(0);
	archive_read_support_format_tar(tar);
	archive_read_support_filter_gzip(tar);
	archive_write_disk_set_options(
		disk, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
			      ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_UNLINK |
			      ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
			      ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
	if (archive_read_open_fd(tar, j->file, BLOCK) != ARCHIVE_OK)
		return failed(tar, j->target);
	while ((r = archive_read_next_header(tar, &e)) == ARCHIVE_OK) {
		__LA_MODE_T type = archive_entry_filetype(e);

		if (!j->nodes && is_node((mode_t)type))
			continue;
		/* Something is mounted there, and shall not have the owner of what it covers. */
		if (fstatat(j->dir, archive_entry_pathname(e), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_dev != top.st_dev)
			continue;
		r = type == AE_IFDIR ? unpack_sockets(j->dir, e) : 0;
		if (r < 0)
			return r;
		if (archive_write_header(disk, e) < ARCHIVE_WARN)
			return failed(disk, j->target);
		if (type == AE_IFREG && !archive_entry_hardlink(e)) {
			r = copy_data(tar, disk, j->target);
			if (r < 0)
				return r;
		}
		if (archive_write_finish_entry(disk) < ARCHIVE_WARN)
			return failed(disk, j->target);
	}
	return r == ARCHIVE_EOF ? 0 : failed(tar, j->target);
}

void tmpfs_load(void)
{
	archive_entry_free(archive_entry_new());
}

int tmpfs_unpack(int dir, int archive, const char *target, bool nodes)
{
	autoclose int top = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		return err_errno("open %s", target);
	return ns_run(NULL, 0, unpack, &(struct job){top, archive, target, nodes}, NULL);
}
