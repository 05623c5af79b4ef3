/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "engine/pack_stage.h"
#include "engine/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK	   ((size_t)1 << 20)
#define WATCH_STEP ((uint64_t)16 << 20)

struct pack {
	struct pack_options o;
	struct archive *tar;
	struct archive_entry *entry;
	json_t *sums;
	char *name;    /* of the member that is open, or NULL */
	uint64_t left; /* of its bytes */
	uint32_t sum;
	uint64_t in, out, announced, watched;
	struct pack_stage *stage; /* of a file, or NULL */
	int failed;		  /* inside a callback; its story must not be lost */
	char *buf;
};

int pack_compression_parse(const char *text, enum pack_compression *ret)
{
	static const char *const names[] = {"zstd", "gzip", "none"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!g_ascii_strcasecmp(text, names[i])) {
			*ret = i;
			return 0;
		}
	return err_set(EINVAL,
		       "selected compression algorithm (\"%s\") not supported. Please select one "
		       "from: gzip, none, zstd",
		       text);
}

static int pack_failure(struct pack *p)
{
	const char *why;

	if (p->failed < 0)
		return p->failed;
	why = archive_error_string(p->tar);
	return p->failed = err_set(archive_errno(p->tar) > 0 ? archive_errno(p->tar) : EIO,
				   "write %s: %s", p->o.shown, why ? why : "unknown error");
}

static la_ssize_t on_write(struct archive *a, void *data, const void *buf, size_t len)
{
	struct pack *p = data;
	int r = p->stage ? pack_stage_put(p->stage, buf, len) : fd_write_full(p->o.fd, buf, len);

	p->out += len;
	if (r < 0) {
		p->failed = err_wrap(r, "write %s", p->o.shown);
		archive_set_error(a, EIO, "write");
		return -1;
	}
	if (p->o.tap && !p->stage)
		p->o.tap(p->o.tap_arg, buf, len);
	return (la_ssize_t)len;
}

static void option(struct archive *a, const char *filter, const char *name, const char *value)
{
	/* One that this build of the library does not know is a matter of speed only. */
	if (archive_write_set_filter_option(a, filter, name, value) != ARCHIVE_OK)
		archive_clear_error(a);
}

static void add_filter(struct archive *a, enum pack_compression c)
{
	g_autofree char *threads = NULL;
	cpu_set_t cpus;

	if (c == PACK_GZIP) {
		archive_write_add_filter_gzip(a);
		option(a, "gzip", "compression-level", "1");
	}
	if (c != PACK_ZSTD)
		return;
	archive_write_add_filter_zstd(a);
	option(a, "zstd", "compression-level", "1");
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1) {
		threads = g_strdup_printf("%d", CPU_COUNT(&cpus));
		option(a, "zstd", "threads", threads);
	}
}

int pack_open(const struct pack_options *o, struct pack **ret)
{
	struct pack *p = g_new0(struct pack, 1);

	*ret = p;
	p->o = *o;
	p->sums = json_object();
	p->buf = g_aligned_alloc(1, CHUNK, 4096); /* copied faster than from anywhere */
	p->stage = pack_stage_new(o->fd, false, o->tap, o->tap_arg);
	p->entry = archive_entry_new();
	p->tar = archive_write_new();
	archive_write_set_format_pax_restricted(p->tar);
	add_filter(p->tar, o->compression);
	archive_write_set_bytes_per_block(p->tar, 0); /* no buffer in between */
	archive_write_set_bytes_in_last_block(p->tar, 1);
	return archive_write_open(p->tar, p, NULL, on_write, NULL) == ARCHIVE_OK ? 0
										 : pack_failure(p);
}

static int watch(struct pack *p)
{
	int r = 0;

	if (p->o.watch && p->in - p->watched >= WATCH_STEP) {
		p->watched = p->in;
		r = p->o.watch(p->o.watch_arg, p->in);
	}
	return r < 0 ? p->failed = r : 0;
}

static int header(struct pack *p, const char *name, mode_t mode, uint64_t bytes, const char *link)
{
	CLEANUP(utf8_end) struct utf8 utf8 __attribute__((unused)) = utf8_begin();

	if (p->failed < 0)
		return p->failed;
	archive_entry_clear(p->entry);
	archive_entry_set_pathname(p->entry, name);
	archive_entry_set_mode(p->entry, mode);
	archive_entry_set_size(p->entry, (int64_t)bytes);
	archive_entry_set_mtime(p->entry, g_get_real_time() / G_USEC_PER_SEC, 0);
	if (link)
		archive_entry_set_symlink(p->entry, link);
	return archive_write_header(p->tar, p->entry) == ARCHIVE_OK ? 0 : pack_failure(p);
}

int pack_dir(struct pack *p, const char *name)
{
	return header(p, name, S_IFDIR | 0700, 0, NULL);
}

int pack_symlink(struct pack *p, const char *name, const char *target)
{
	return header(p, name, S_IFLNK | 0777, 0, target);
}

int pack_begin(struct pack *p, const char *name, uint64_t bytes)
{
	int r = header(p, name, S_IFREG | 0600, bytes, NULL);

	if (r < 0)
		return r;
	p->name = g_strdup(name);
	p->left = bytes;
	p->announced += bytes;
	p->sum = 0;
	return 0;
}

int pack_data(struct pack *p, const void *data, size_t len)
{
	if (p->failed < 0)
		return p->failed;
	if (!p->name || len > p->left)
		return p->failed = err_set(EINVAL, "write %s: %s is longer than announced",
					   p->o.shown, p->name ? p->name : "nothing");
	p->sum = crc32c(p->sum, data, len);
	while (len) {
		size_t n = MIN(len, CHUNK);
		int r;

		if (archive_write_data(p->tar, data, n) != (la_ssize_t)n)
			return pack_failure(p);
		data = (const char *)data + n;
		len -= n;
		p->left -= n;
		p->in += n;
		r = watch(p);
		if (r < 0)
			return r;
	}
	return 0;
}

int pack_end(struct pack *p)
{
	g_autofree char *sum = g_strdup_printf("crc32c:%08x", p->sum), *name = NULL;

	if (p->failed < 0)
		return p->failed;
	name = g_steal_pointer(&p->name);
	if (p->left)
		return p->failed = err_set(EIO, "write %s: %s became shorter while it was read",
					   p->o.shown, name);
	json_object_set_new(p->sums, name, json_string(sum));
	return archive_write_finish_entry(p->tar) == ARCHIVE_OK ? 0 : pack_failure(p);
}

int pack_bytes(struct pack *p, const char *name, const void *data, size_t len)
{
	int r = pack_begin(p, name, len);

	if (r == 0)
		r = pack_data(p, data, len);
	return r < 0 ? r : pack_end(p);
}

int pack_file(struct pack *p, const char *name, int fd)
{
	struct stat st;
	uint64_t at = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno("stat %s", name);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	r = pack_begin(p, name, (uint64_t)st.st_size);
	while (r == 0 && at < (uint64_t)st.st_size) {
		size_t n = MIN(CHUNK, (uint64_t)st.st_size - at);

		r = fd_pread_full(fd, p->buf, n, (off_t)at);
		if (r < 0)
			return p->failed = err_wrap(r, "%s", name);
		r = pack_data(p, p->buf, n);
		at += n;
	}
	return r < 0 ? r : pack_end(p);
}

int pack_file_at(struct pack *p, const char *name, int dir, const char *file)
{
	autoclose int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 1 : err_errno("open %s", file);
	return pack_file(p, name, fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

struct names {
	struct dirent **v;
	int n;
};

static void names_clear(struct names *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int pack_image(struct pack *p, const char *as, int dir, const char *name)
{
	g_autofree char *full = g_strdup_printf("%s/%s", as, name);
	autoclose int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char target[256];
	ssize_t n;
	int r;

	if (sub >= 0)
		return pack_images(p, full, sub);
	n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n >= 0) {
		target[n] = 0;
		return pack_symlink(p, full, target);
	}
	r = pack_file_at(p, full, dir, name);
	return r > 0 ? err_set(ENOENT, "%s is gone", full) : r;
}

int pack_images(struct pack *p, const char *as, int dir)
{
	CLEANUP(names_clear) struct names l = {0};
	int r = pack_dir(p, as);

	l.n = scandirat(dir, ".", &l.v, NULL, by_name);
	if (l.n < 0)
		return err_errno("read the directory %s", as);
	for (int i = 0; r == 0 && i < l.n; i++)
		if (strcmp(l.v[i]->d_name, ".") && strcmp(l.v[i]->d_name, ".."))
			r = pack_image(p, as, dir, l.v[i]->d_name);
	return r;
}

int pack_finish(struct pack *p)
{
	char *text = json_dumps(p->sums, JSON_COMPACT);
	int r = pack_bytes(p, PACK_SUMS, text, strlen(text));

	free(text);
	if (r == 0 && archive_write_close(p->tar) != ARCHIVE_OK)
		r = pack_failure(p);
	if (r == 0 && p->stage) {
		r = pack_stage_end(p->stage);
		if (r < 0)
			r = p->failed = err_wrap(r, "write %s", p->o.shown);
	}
	return r;
}

void pack_drop(struct pack **pp)
{
	struct pack *p = *pp;

	if (!p)
		return;
	/* What libarchive would still write on the way is not wanted. */
	p->failed = p->failed < 0 ? p->failed : -ECANCELED;
	archive_write_fail(p->tar);
	archive_write_free(p->tar);
	archive_entry_free(p->entry);
	json_decref(p->sums);
	pack_stage_drop(&p->stage);
	g_free(p->name);
	g_aligned_free(p->buf);
	g_clear_pointer(pp, g_free);
}

uint64_t pack_bytes_in(const struct pack *p)
{
	return p->in;
}

uint64_t pack_bytes_announced(const struct pack *p)
{
	return p->announced;
}

uint64_t pack_bytes_out(const struct pack *p)
{
	return p->out;
}
