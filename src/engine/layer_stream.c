/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_stream.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/progress.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK	     ((size_t)256 << 10)
#define INTERRUPT_MS 200
#define TAIL	     1024 /* two blocks of zeros end an archive (POSIX, pax) */

struct layer_reader {
	const struct layer_stream *s;
	struct archive *raw, *tar; /* RAW decompresses S's descriptor; TAR reads what RAW gives */
	struct sha256 *packed_sum, *tar_sum;
	uint64_t packed_bytes, tar_bytes, entries;
	char tail[TAIL]; /* the last bytes of the tar file */
	char *buf;
	bool is_pipe;		   /* or a socket */
	struct progress *progress; /* of a layer, where somebody looks */
	int failed; /* the first failure inside a callback, whose story must not be lost */
};

/* Only what is inside libarchive: some of its other filters run programs. */
static void accept_filters(struct archive *a)
{
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_compress(a);
	archive_clear_error(a);
}

/* A pipe may keep us waiting for long; a read(2) would go on after a signal (SA_RESTART). */
static int await_data(const struct layer_reader *r)
{
	struct pollfd p = {.fd = r->s->fd, .events = POLLIN};
	int e;

	do {
		e = interrupt_check();
	} while (e == 0 && r->is_pipe && poll(&p, 1, INTERRUPT_MS) <= 0);
	return e;
}

static ssize_t read_packed(struct layer_reader *r, const void **ret)
{
	ssize_t n;

	*ret = r->buf;
	progress_at(r->progress, r->packed_bytes);
	r->failed = await_data(r);
	if (r->failed < 0)
		return r->failed;
	if (r->s->read) {
		n = r->s->read(r->s->read_arg, ret);
		if (n < 0)
			return r->failed = (int)n;
	} else {
		do {
			n = read(r->s->fd, r->buf, CHUNK);
		} while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		return r->failed = err_errno("read the archive");
	if (!r->s->plain)
		sha256_update(r->packed_sum, *ret, (size_t)n);
	r->packed_bytes += (uint64_t)n;
	return n;
}

static la_ssize_t on_packed(struct archive *a, void *data, const void **ret)
{
	struct layer_reader *r = data;
	ssize_t n = read_packed(r, ret);

	if (n < 0)
		archive_set_error(a, EIO, "read");
	return n;
}

static int archive_failure(struct layer_reader *r, struct archive *a, const char *what)
{
	const char *why = archive_error_string(a);

	if (r->failed < 0)
		return r->failed;
	return err_set(EBADMSG, "%s: %s", what, why ? why : "damaged data");
}

static void keep_tail(struct layer_reader *r, const char *data, size_t len)
{
	size_t n = MIN(len, TAIL);

	memmove(r->tail, r->tail + n, TAIL - n);
	memcpy(r->tail + TAIL - n, data + len - n, n);
}

/* A block of the uncompressed stream: > 0 its length, 0 the end. */
static ssize_t read_tar(struct layer_reader *r, const void **ret)
{
	la_int64_t at;
	size_t len;
	int code, e;

	do {
		code = archive_read_data_block(r->raw, ret, &len, &at);
	} while (code == ARCHIVE_OK && len == 0);
	if (code == ARCHIVE_EOF)
		return 0;
	if (code != ARCHIVE_OK)
		return r->failed = archive_failure(r, r->raw, "decompress");
	if (!r->s->plain)
		sha256_update(r->tar_sum, *ret, len);
	keep_tail(r, *ret, len);
	r->tar_bytes += len;
	if (r->tar_bytes > r->s->limits.bytes)
		return r->failed = err_set(EFBIG, "it unpacks to more than %" PRIu64 " bytes",
					   r->s->limits.bytes);
	if (r->s->copy_fd >= 0) {
		e = fd_write_full(r->s->copy_fd, *ret, len);
		if (e < 0)
			return r->failed = e;
	}
	return (ssize_t)len;
}

static la_ssize_t on_tar(struct archive *a, void *data, const void **ret)
{
	ssize_t n = read_tar(data, ret);

	if (n < 0)
		archive_set_error(a, EIO, "read");
	return n;
}

static void begin_progress(struct layer_reader *r)
{
	const char *digest = r->s->digest ? r->s->digest : r->s->diff_id;
	struct stat st = {0};
	g_autofree char *what = digest ? g_strdup_printf("unpack layer %.12s", digest_hex(digest))
				       : g_strdup("unpack");

	if (r->s->fd < 0 || fstat(r->s->fd, &st) < 0)
		return;
	r->is_pipe = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
	if (r->s->plain)
		return;
	r->progress = progress_begin(what);
	if (S_ISREG(st.st_mode))
		progress_total(r->progress, (uint64_t)st.st_size);
}

int layer_reader_open(const struct layer_stream *s, struct layer_reader **ret)
{
	struct layer_reader *r = g_new0(struct layer_reader, 1);
	struct archive_entry *whole;

	*ret = r;
	r->s = s;
	begin_progress(r);
	r->buf =
		g_aligned_alloc(1, CHUNK, 4096); /* the kernel copies to whole cache lines faster */
	if (!s->plain) {
		r->packed_sum = sha256_new();
		r->tar_sum = sha256_new();
	}
	r->raw = archive_read_new();
	accept_filters(r->raw);
	archive_read_support_format_raw(r->raw);
	if (archive_read_open(r->raw, r, NULL, on_packed, NULL) != ARCHIVE_OK ||
	    archive_read_next_header(r->raw, &whole) != ARCHIVE_OK)
		return archive_failure(r, r->raw, "decompress");
	r->tar = archive_read_new();
	archive_read_support_format_tar(r->tar);
	archive_read_support_format_empty(r->tar);
	if (archive_read_open(r->tar, r, NULL, on_tar, NULL) != ARCHIVE_OK)
		return archive_failure(r, r->tar, "not a tar archive");
	return 0;
}

int layer_reader_next(struct layer_reader *r, struct archive_entry **ret)
{
	int code = archive_read_next_header(r->tar, ret);

	if (code == ARCHIVE_EOF)
		return 0;
	/* ARCHIVE_WARN is about names in other character sets, which are taken as they are. */
	if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
		return archive_failure(r, r->tar,
				       r->entries ? "damaged tar archive" : "not a tar archive");
	if (++r->entries > r->s->limits.entries)
		return err_set(EFBIG, "it has more than %" PRIu64 " files", r->s->limits.entries);
	return 1;
}

int layer_reader_data(struct layer_reader *r, const void **ret, size_t *len, int64_t *at)
{
	la_int64_t offset;
	int code = archive_read_data_block(r->tar, ret, len, &offset);

	*at = offset;
	if (code == ARCHIVE_EOF)
		return 0;
	if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
		return archive_failure(r, r->tar, "damaged tar archive");
	return 1;
}

static int compare(const char *what, const char *expected, const char *real)
{
	if (!expected || !strcmp(expected, real))
		return 0;
	return err_set(EBADMSG, "%s is corrupt: its content has digest %s", what, real);
}

int layer_reader_finish(struct layer_reader *r, struct layer_result *ret)
{
	g_autofree char *what = NULL;
	const void *block;
	ssize_t n;
	int e;

	/* The padding of a tar file and whatever follows a compressed stream count as well. */
	while ((n = read_tar(r, &block)) > 0)
		;
	if (n < 0)
		return (int)n;
	while ((n = read_packed(r, &block)) > 0)
		;
	if (n < 0)
		return (int)n;
	if (r->s->plain)
		return 0;
	digest_finish(r->packed_sum, ret->digest);
	digest_finish(r->tar_sum, ret->diff_id);
	ret->packed_bytes = r->packed_bytes;
	ret->tar_bytes = r->tar_bytes;
	what = g_strdup_printf("layer %s", r->s->digest ? r->s->digest : r->s->diff_id);
	e = compare(what, r->s->digest, ret->digest);
	return e < 0 ? e : compare(what, r->s->diff_id, ret->diff_id);
}

bool layer_reader_ended(const struct layer_reader *r)
{
	static const char zeros[TAIL];

	return r->tar_bytes >= TAIL && !memcmp(r->tail, zeros, TAIL);
}

uint64_t layer_reader_packed_bytes(const struct layer_reader *r)
{
	return r->packed_bytes;
}

void layer_reader_close(struct layer_reader **p)
{
	struct layer_reader *r = *p;

	if (!r)
		return;
	progress_end(&r->progress);
	if (r->tar)
		archive_read_free(r->tar);
	if (r->raw)
		archive_read_free(r->raw);
	g_aligned_free(r->buf);
	sha256_free(&r->packed_sum);
	sha256_free(&r->tar_sum);
	g_clear_pointer(p, g_free);
}
