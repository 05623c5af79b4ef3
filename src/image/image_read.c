/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AHEAD_BYTES (16u << 10)

static int bad(const struct image *img, const char *why)
{
	return err_set(EBADMSG, "image %s, record %u: %s", img->name, img->records + 1, why);
}

uint64_t image_rest(const struct image *img)
{
	return img->size - img->at;
}

/* LEN bytes at the current place, from the read-ahead; LEN was checked against the file's size. */
static int peek(struct image *img, size_t len, const uint8_t **ret)
{
	uint64_t end = img->ahead.from + img->ahead.size;

	if (img->at < img->ahead.from || img->at + len > end) {
		size_t want = MIN(image_rest(img), MAX(len, AHEAD_BYTES));
		int r;

		if (want > img->ahead.room) {
			img->ahead.bytes = g_realloc(img->ahead.bytes, want);
			img->ahead.room = want;
		}
		img->ahead.size = 0;
		r = fd_pread_full(img->fd, img->ahead.bytes, want, img->at);
		if (r < 0)
			return err_wrap(r, "image %s", img->name);
		img->ahead.from = img->at;
		img->ahead.size = want;
	}
	*ret = img->ahead.bytes + (img->at - img->ahead.from);
	return 0;
}

static int read_u32(struct image *img, uint32_t *ret)
{
	const uint8_t *p;
	int r;

	if (image_rest(img) < sizeof(*ret))
		return bad(img, "the file ends too early");
	r = peek(img, sizeof(*ret), &p);
	if (r < 0)
		return r;
	memcpy(ret, p, sizeof(*ret));
	img->at += sizeof(*ret);
	return 0;
}

static int check_magic(struct image *img)
{
	static const uint32_t first[] = {[IMAGE_HEAD_COMMON] = IMAGE_MAGIC_COMMON,
					 [IMAGE_HEAD_SERVICE] = IMAGE_MAGIC_SERVICE};
	const struct image_file *f = image_file(img->kind);
	uint32_t magic;
	int r;

	if (f->head == IMAGE_HEAD_NONE)
		return 0;
	if (image_rest(img) < (f->head == IMAGE_HEAD_SINGLE ? 4 : 8))
		return err_set(EBADMSG, "image %s is cut off: %" G_GUINT64_FORMAT " bytes",
			       img->name, img->size);
	r = read_u32(img, &magic);
	if (r < 0)
		return r;
	if (f->head != IMAGE_HEAD_SINGLE) {
		if (magic != first[f->head])
			return err_set(EBADMSG, "image %s has the wrong magic 0x%x", img->name,
				       magic);
		r = read_u32(img, &magic);
		if (r < 0)
			return r;
	}
	if (magic != f->magic)
		return err_set(EBADMSG, "image %s has the wrong magic 0x%x", img->name, magic);
	return 0;
}

int image_open(int dir, enum image_kind kind, uint64_t id, struct image **ret)
{
	CLEANUP(image_close) struct image *img = g_new0(struct image, 1);
	struct stat st;
	int r;

	img->kind = kind;
	image_name(kind, id, img->name);
	/* O_NONBLOCK: a fifo in an unpacked archive must not stop us */
	img->fd = openat(dir, img->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (img->fd < 0) {
		r = err_errno("open image %s", img->name);
		return r == -ENOENT ? 1 : r;
	}
	if (fstat(img->fd, &st) < 0)
		return err_errno("stat image %s", img->name);
	if (!S_ISREG(st.st_mode))
		return err_set(EBADMSG, "image %s is not a regular file", img->name);
	img->size = st.st_size;
	r = check_magic(img);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&img);
	return 0;
}

int image_open_needed(int dir, enum image_kind kind, uint64_t id, struct image **ret)
{
	int r = image_open(dir, kind, id, ret);

	return r > 0 ? -ENOENT : r;
}

void image_close(struct image **img)
{
	if (!*img)
		return;
	cleanup_close(&(*img)->fd);
	g_free((*img)->ahead.bytes);
	g_free(*img);
	*img = NULL;
}

int image_read_as(struct image *img, const ProtobufCMessageDescriptor *type, void *ret)
{
	char name[IMAGE_NAME_MAX + 32];
	ProtobufCMessage *msg;
	const uint8_t *data;
	uint32_t len;
	int r;

	image_record_free(ret);
	if (!image_rest(img))
		return 1;
	r = read_u32(img, &len);
	if (r < 0)
		return r;
	if (len > IMAGE_RECORD_MAX)
		return bad(img, "the record is too large");
	if (len > image_rest(img))
		return bad(img, "the record is longer than the file");
	r = peek(img, len, &data);
	if (r < 0)
		return r;
	g_snprintf(name, sizeof(name), "image %s, record %u", img->name, img->records + 1);
	r = image_unpack(type, data, len, name, &msg);
	if (r < 0)
		return r;
	img->at += len;
	img->records++;
	*(ProtobufCMessage **)ret = msg;
	return 0;
}

int image_read(struct image *img, void *ret)
{
	return image_read_as(img, image_file(img->kind)->record, ret);
}

int image_skip_raw(struct image *img, uint64_t len, uint64_t *ret_offset)
{
	if (len > image_rest(img))
		return err_set(EBADMSG, "image %s: the data of record %u is cut off", img->name,
			       img->records);
	if (ret_offset)
		*ret_offset = img->at;
	img->at += len;
	return 0;
}

int image_read_raw(struct image *img, void *buf, size_t len)
{
	uint64_t at;
	int r = image_skip_raw(img, len, &at);

	if (r < 0)
		return r;
	r = fd_pread_full(img->fd, buf, len, at);
	return r < 0 ? err_wrap(r, "image %s", img->name) : 0;
}

int image_load_optional(int dir, enum image_kind kind, uint64_t id, void *ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	int r;

	image_record_free(ret);
	r = image_open(dir, kind, id, &img);
	if (r != 0)
		return r;
	r = image_read(img, ret);
	return r > 0 ? err_set(EBADMSG, "image %s has no record", img->name) : r;
}

int image_load_needed(int dir, enum image_kind kind, uint64_t id, void *ret)
{
	int r = image_load_optional(dir, kind, id, ret);

	return r > 0 ? -ENOENT : r;
}

static void free_record(void *msg)
{
	protobuf_c_message_free_unpacked(msg, NULL);
}

int image_load_all(int dir, enum image_kind kind, uint64_t id, GPtrArray **ret)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_record);
	CLEANUP(image_close) struct image *img = NULL;
	int r;

	r = image_open(dir, kind, id, &img);
	while (r == 0) {
		ProtobufCMessage *msg = NULL;

		r = image_read(img, &msg);
		if (r == 0)
			g_ptr_array_add(all, msg);
	}
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&all);
	return 0;
}
