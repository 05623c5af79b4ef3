/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/unpack.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "base/file.h"
#include "engine/layer_entry.h"
#include "engine/pack.h"
#include "engine/pack_stage.h"
#include "engine/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define MEMBERS_MAX 1000000
#define NAME_MAX_   1024
#define SUMS_MAX    ((size_t)64 << 20)
#define WATCH_STEP  ((uint64_t)4 << 20)
#define MUCH	    ((int64_t)16 << 20)
#define SPARE	    ((uint64_t)16 << 20) /* of the disk, for others */

struct unpack {
	struct unpack_options o;
	struct layer_stream stream;
	struct layer_reader *reader;
	struct archive_entry *entry; /* the member, or NULL */
	char *name;
	uint32_t sum;
	bool read;	  /* its content was, whole, and SUM is that of it */
	GHashTable *sums; /* name -> "crc32c:..." of those that were read */
	json_t *expected; /* PACK_SUMS, or NULL */
	uint64_t watched;
};

int unpack_open(const struct unpack_options *o, struct unpack **ret)
{
	struct unpack *u = *ret = g_new0(struct unpack, 1);
	int r;

	u->o = *o;
	u->sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	u->stream = (struct layer_stream){
		.fd = o->fd,
		.copy_fd = -1,
		.plain = true,
		.limits = {.bytes = o->limits.bytes ?: UINT64_MAX,
			   .entries = o->limits.members ?: MEMBERS_MAX},
	};
	r = layer_reader_open(&u->stream, &u->reader);
	return r;
}

static int watch(struct unpack *u)
{
	uint64_t in = layer_reader_packed_bytes(u->reader);

	if (!u->o.watch || in - u->watched < WATCH_STEP)
		return 0;
	u->watched = in;
	return u->o.watch(u->o.watch_arg, in);
}

/* "./a//b/" is "a/b".  A name that could lead anywhere else is an attack. */
static int clean_name(const char *name, char **ret)
{
	g_auto(GStrv) parts = NULL;
	g_autoptr(GString) out = g_string_new(NULL);

	if (!name)
		return err_set(EBADMSG, "a member has no readable name");
	if (*name == '/')
		return err_set(EXDEV, "member %s: an absolute name", name);
	if (strlen(name) > NAME_MAX_)
		return err_set(ENAMETOOLONG, "member %.80s...: its name is too long", name);
	parts = g_strsplit(name, "/", -1);
	for (char **p = parts; *p; p++) {
		if (!strcmp(*p, ".."))
			return err_set(EXDEV, "member %s: its name leaves the archive", name);
		if (!**p || !strcmp(*p, "."))
			continue;
		g_string_append_printf(out, "%s%s", out->len ? "/" : "", *p);
	}
	*ret = g_string_free(g_steal_pointer(&out), FALSE);
	return 0;
}

static const char *type_name(mode_t type)
{
	return S_ISCHR(type) || S_ISBLK(type) ? "device" : S_ISFIFO(type) ? "FIFO" : "special file";
}

static int check_member(struct unpack *u)
{
	struct archive_entry *e = u->entry;
	mode_t type = archive_entry_filetype(e);

	if (archive_entry_hardlink(e))
		return err_set(EPERM, "member %s: a hard link, which is not taken from an archive",
			       u->name);
	if (!S_ISREG(type) && !S_ISDIR(type) && !S_ISLNK(type))
		return err_set(EPERM, "member %s: a %s, which is not taken from an archive",
			       u->name, type_name(type));
	if (archive_entry_sparse_count(e) > 0)
		return err_set(EPERM, "member %s: has holes, which no checkpoint has", u->name);
	if (S_ISREG(type) && archive_entry_size(e) < 0)
		return err_set(EBADMSG, "member %s: has no size", u->name);
	return 0;
}

static int read_sums(struct unpack *u)
{
	g_autofree char *text = NULL;
	json_error_t why;
	size_t len;
	int r = unpack_to_bytes(u, SUMS_MAX, &text, &len);

	if (r < 0)
		return r;
	json_decref(u->expected);
	u->expected = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	return json_is_object(u->expected) ? 0
					   : err_set(EBADMSG, PACK_SUMS ": not what it should be");
}

/* Its sum counts even if nobody asked for the content. */
static int read_rest(struct unpack *u)
{
	const void *data;
	size_t len;
	int64_t at;
	int r = 0;

	if (!u->entry || u->read || !S_ISREG(archive_entry_filetype(u->entry)))
		return 0;
	if ((uint64_t)archive_entry_size(u->entry) > u->stream.limits.bytes)
		return err_set(EFBIG,
			       "member %s: has %" PRId64
			       " bytes, more than an archive can have here",
			       u->name, (int64_t)archive_entry_size(u->entry));
	while ((r = layer_reader_data(u->reader, &data, &len, &at)) > 0)
		u->sum = crc32c(u->sum, data, len);
	u->read = r == 0;
	return r < 0 ? err_wrap(r, "member %s", u->name) : 0;
}

static int note_sum(struct unpack *u)
{
	int r = read_rest(u);

	if (r == 0 && u->entry && u->read)
		g_hash_table_replace(u->sums, g_strdup(u->name),
				     g_strdup_printf("crc32c:%08x", u->sum));
	g_clear_pointer(&u->name, g_free);
	u->entry = NULL;
	return r;
}

static int next_member(struct unpack *u)
{
	CLEANUP(utf8_end) struct utf8 utf8 __attribute__((unused)) = utf8_begin();
	int r = note_sum(u);

	if (r == 0)
		r = watch(u);
	if (r == 0)
		r = layer_reader_next(u->reader, &u->entry);
	if (r <= 0) {
		u->entry = NULL;
		return r;
	}
	u->sum = 0;
	u->read = false;
	r = clean_name(archive_entry_pathname(u->entry), &u->name);
	if (r == 0)
		r = check_member(u);
	return r < 0 ? r : 1;
}

int unpack_next(struct unpack *u, struct unpack_member *ret)
{
	int r;

	while ((r = next_member(u)) > 0) {
		if (!strcmp(u->name, PACK_SUMS)) {
			r = read_sums(u);
			if (r < 0)
				return r;
			continue;
		}
		if (!*u->name)
			continue;
		*ret = (struct unpack_member){
			.name = u->name,
			.type = archive_entry_filetype(u->entry),
			.bytes = S_ISREG(archive_entry_filetype(u->entry))
					 ? (uint64_t)archive_entry_size(u->entry)
					 : 0,
			.link = archive_entry_symlink(u->entry),
		};
		return 1;
	}
	return r;
}

/* A piece of the member; 0: the end.  The caller adds it to the sum. */
static ssize_t bare_piece(struct unpack *u, const void **ret)
{
	size_t len = 0;
	int64_t at;
	int r;

	do {
		r = layer_reader_data(u->reader, ret, &len, &at);
	} while (r > 0 && len == 0);
	if (r > 0)
		r = watch(u) < 0 ? -EINTR : 1;
	if (r < 0)
		return r;
	if (r == 0) {
		u->read = true;
		return 0;
	}
	return (ssize_t)len;
}

static void add_sum(void *arg, const void *data, size_t len)
{
	struct unpack *u = arg;

	u->sum = crc32c(u->sum, data, len);
}

static ssize_t next_piece(struct unpack *u, const void **ret)
{
	ssize_t n = bare_piece(u, ret);

	if (n > 0)
		add_sum(u, *ret, (size_t)n);
	return n;
}

int unpack_to_bytes(struct unpack *u, size_t max, char **ret, size_t *ret_len)
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	const void *data;
	ssize_t n;

	if ((uint64_t)archive_entry_size(u->entry) > max)
		return err_set(EFBIG, "member %s: larger than %zu bytes", u->name, max);
	while ((n = next_piece(u, &data)) > 0) {
		if (all->len + (size_t)n > max)
			return err_set(EFBIG, "member %s: larger than %zu bytes", u->name, max);
		g_byte_array_append(all, data, (guint)n);
	}
	if (n < 0)
		return err_wrap((int)n, "member %s", u->name);
	*ret_len = all->len;
	g_byte_array_append(all, (const guint8 *)"", 1);
	*ret = (char *)g_byte_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

static int check_room(struct unpack *u, int dir)
{
	struct statvfs fs;
	uint64_t size = (uint64_t)archive_entry_size(u->entry), free;

	if (fstatvfs(dir, &fs) < 0)
		return err_errno("look at the free space");
	free = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (size && size + SPARE > free)
		return err_set(ENOSPC,
			       "member %s: has %" PRIu64 " bytes, and %" PRIu64
			       " are free on the disk",
			       u->name, size, free);
	return 0;
}

/* Much is written, and its sum made, while more is being unpacked; the restore reads it at once. */
static int write_much(struct unpack *u, int fd)
{
	CLEANUP(pack_stage_drop) struct pack_stage *s = pack_stage_new(fd, true, add_sum, u);
	const void *data;
	ssize_t n = 0;
	int r = s ? 0 : err_set(EINVAL, "not a new file");

	while (r == 0 && (n = bare_piece(u, &data)) > 0)
		r = pack_stage_put(s, data, (size_t)n);
	if (r == 0 && n < 0)
		r = (int)n;
	return r < 0 ? r : pack_stage_end(s);
}

static int write_little(struct unpack *u, int fd)
{
	const void *data;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = next_piece(u, &data)) > 0)
		r = fd_write_full(fd, data, (size_t)n);
	return r < 0 ? r : (int)n;
}

int unpack_to_file(struct unpack *u, int dir, const char *name)
{
	autoclose int fd = -1;
	int r = check_room(u, dir);

	if (r < 0)
		return r;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? err_set(EEXIST, "member %s: twice in the archive", u->name)
				       : err_errno("create %s", name);
	r = archive_entry_size(u->entry) >= MUCH ? write_much(u, fd) : write_little(u, fd);
	return r < 0 ? err_wrap(r, "member %s", u->name) : 0;
}

static ssize_t piece_of_tree(void *arg, const void **ret)
{
	return next_piece(arg, ret);
}

int unpack_to_tree(struct unpack *u, int dir, const int *parents, unsigned nparents)
{
	const struct layer_stream s = {.fd = -1,
				       .copy_fd = -1,
				       .read = piece_of_tree,
				       .read_arg = u,
				       .plain = true,
				       .limits = LAYER_LIMITS};
	struct layer_result unused;
	int r = check_room(u, dir);

	if (r == 0)
		r = layer_unpack(&s, dir, parents, nparents, &unused);
	return r < 0 ? err_wrap(r, "member %s", u->name) : 0;
}

int unpack_tree_file(int fd, const char *shown, int dir)
{
	const struct layer_stream s = {
		.fd = fd, .copy_fd = -1, .plain = true, .limits = LAYER_LIMITS};
	struct layer_result unused;
	int r = layer_unpack(&s, dir, NULL, 0, &unused);

	return r < 0 ? err_wrap(r, "%s", shown) : 0;
}

static int check_sums(struct unpack *u)
{
	const char *name;
	json_t *value;

	json_object_foreach(u->expected, name, value)
	{
		const char *real = g_hash_table_lookup(u->sums, name);

		if (!real)
			return err_set(EBADMSG, "member %s is missing", name);
		if (g_strcmp0(json_string_value(value), real))
			return err_set(EBADMSG, "member %s is damaged", name);
	}
	return 0;
}

int unpack_finish(struct unpack *u)
{
	struct layer_result unused;
	int r = note_sum(u);

	if (r == 0)
		r = layer_reader_finish(u->reader, &unused);
	if (r == 0 && !layer_reader_ended(u->reader))
		r = err_set(EBADMSG, "it is cut off: the end of the archive is missing");
	return r < 0 ? r : check_sums(u);
}

void unpack_drop(struct unpack **up)
{
	struct unpack *u = *up;

	if (!u)
		return;
	layer_reader_close(&u->reader);
	g_hash_table_unref(u->sums);
	json_decref(u->expected);
	g_free(u->name);
	g_clear_pointer(up, g_free);
}

uint64_t unpack_bytes_in(const struct unpack *u)
{
	return layer_reader_packed_bytes(u->reader);
}
