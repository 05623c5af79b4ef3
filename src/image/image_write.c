/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include "base/fd.h"
#include "base/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define KEEP_BYTES (64u << 10) /* per file in memory */
#define KEEP_OPEN  256	       /* expected files */

/* A file under construction: what is not in it yet. */
struct pending {
	uint64_t key;
	char name[IMAGE_NAME_MAX];
	GByteArray *bytes;
	bool exists; /* the file was created */
	bool used;   /* and not only expected */
	int fd;	     /* of an expected file, or -1 */
};

static void pending_free(void *data)
{
	struct pending *p = data;

	g_byte_array_unref(p->bytes);
	cleanup_close(&p->fd);
	g_free(p);
}

/* Ids are 32 bits, but shmids and device numbers of 64 fit as long as they are below 2^56. */
static uint64_t make_key(enum image_kind kind, uint64_t id)
{
	return (uint64_t)kind << 56 | (id & ~(0xffull << 56));
}

static void append_u32(GByteArray *b, uint32_t v)
{
	g_byte_array_append(b, (const uint8_t *)&v, sizeof(v));
}

static void append_head(GByteArray *b, const struct image_file *f)
{
	if (f->head == IMAGE_HEAD_NONE)
		return;
	if (f->head == IMAGE_HEAD_COMMON)
		append_u32(b, IMAGE_MAGIC_COMMON);
	if (f->head == IMAGE_HEAD_SERVICE)
		append_u32(b, IMAGE_MAGIC_SERVICE);
	append_u32(b, f->magic);
}

static struct pending *add_file(struct image_writer *w, enum image_kind kind, uint64_t id)
{
	struct pending *p = g_new0(struct pending, 1);

	p->key = make_key(kind, id);
	p->fd = -1;
	p->bytes = g_byte_array_new();
	image_name(kind, id, p->name);
	append_head(p->bytes, image_file(kind));
	g_hash_table_insert(w->files, &p->key, p);
	return p;
}

static struct pending *get_file(struct image_writer *w, enum image_kind kind, uint64_t id)
{
	uint64_t key = make_key(kind, id);
	struct pending *p = g_hash_table_lookup(w->files, &key) ?: add_file(w, kind, id);

	p->used = true;
	return p;
}

/* Some always; more as long as three quarters of our descriptors are left for what is to come. */
static bool stays_open(struct image_writer *w, int fd)
{
	struct rlimit l;

	return w->kept++ < KEEP_OPEN ||
	       (getrlimit(RLIMIT_NOFILE, &l) == 0 && (rlim_t)fd < l.rlim_cur / 4);
}

static int expect(struct image_writer *w, enum image_kind kind, uint64_t id, int flags,
		  struct pending **ret)
{
	uint64_t key = make_key(kind, id);
	struct pending *p = *ret = g_hash_table_lookup(w->files, &key);

	if (p)
		return 0;
	p = *ret = add_file(w, kind, id);
	p->fd = openat(w->dir, p->name, flags | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->fd < 0)
		return err_errno("create image %s", p->name);
	p->exists = true;
	if (stays_open(w, p->fd))
		return 0;
	close(p->fd);
	p->fd = -1;
	return 0;
}

int image_expect(struct image_writer *w, enum image_kind kind, uint64_t id)
{
	struct pending *p;

	return expect(w, kind, id, O_WRONLY | O_APPEND, &p);
}

int image_expect_fd(struct image_writer *w, enum image_kind kind, uint64_t id, int *ret_fd)
{
	struct pending *p;
	int r = expect(w, kind, id, O_RDWR, &p);

	*ret_fd = p->fd;
	return r;
}

int image_take(struct image_writer *w, enum image_kind kind, uint64_t id)
{
	uint64_t key = make_key(kind, id);
	struct pending *p = g_hash_table_lookup(w->files, &key);

	if (!p)
		return -1;
	p->used = true;
	return take_fd(&p->fd);
}

void image_writer_init(struct image_writer *w, int dir)
{
	*w = (struct image_writer){
		.dir = dir,
		.files = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, pending_free),
	};
}

void image_writer_drop(struct image_writer *w)
{
	if (w->files)
		g_hash_table_unref(w->files);
	w->files = NULL;
}

/* Puts what is pending in the file; an old file of that name goes away with the first bytes. */
static int spill(struct image_writer *w, struct pending *p, int *ret_fd)
{
	autoclose int fd = take_fd(&p->fd);
	int r;

	if (fd < 0)
		fd = openat(w->dir, p->name,
			    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				    (p->exists ? O_APPEND : O_TRUNC),
			    0600);
	if (fd < 0)
		return err_errno("create image %s", p->name);
	p->exists = true;
	r = fd_write_full(fd, p->bytes->data, p->bytes->len);
	if (r < 0)
		return err_wrap(r, "image %s", p->name);
	g_byte_array_set_size(p->bytes, 0);
	if (ret_fd)
		*ret_fd = take_fd(&fd);
	return 0;
}

static int spill_if_large(struct image_writer *w, struct pending *p)
{
	return p->bytes->len < KEEP_BYTES ? 0 : spill(w, p, NULL);
}

int image_write(struct image_writer *w, enum image_kind kind, uint64_t id,
		const ProtobufCMessage *msg)
{
	struct pending *p = get_file(w, kind, id);
	size_t len = protobuf_c_message_get_packed_size(msg);
	guint at = p->bytes->len;

	if (len > IMAGE_RECORD_MAX)
		return err_set(E2BIG, "image %s: a record of %zu bytes", p->name, len);
	append_u32(p->bytes, len);
	g_byte_array_set_size(p->bytes, at + sizeof(uint32_t) + len);
	protobuf_c_message_pack(msg, p->bytes->data + at + sizeof(uint32_t));
	return spill_if_large(w, p);
}

int image_write_raw(struct image_writer *w, enum image_kind kind, uint64_t id, const void *data,
		    size_t len)
{
	struct pending *p = get_file(w, kind, id);
	autoclose int fd = -1;
	int r;

	if (len < KEEP_BYTES) {
		g_byte_array_append(p->bytes, data, len);
		return spill_if_large(w, p);
	}
	r = spill(w, p, &fd);
	if (r < 0)
		return r;
	r = fd_write_full(fd, data, len);
	return r < 0 ? err_wrap(r, "image %s", p->name) : 0;
}

int image_touch(struct image_writer *w, enum image_kind kind, uint64_t id)
{
	get_file(w, kind, id);
	return 0;
}

int image_write_fd(struct image_writer *w, enum image_kind kind, uint64_t id, int *ret_fd)
{
	struct pending *p = get_file(w, kind, id);
	autoclose int fd = -1;
	int r, flags;

	r = spill(w, p, &fd);
	if (r < 0)
		return r;
	/* splice(2) and copy_file_range(2) refuse O_APPEND */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_APPEND) < 0 || lseek(fd, 0, SEEK_END) < 0)
		return err_errno("image %s", p->name);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Files of their own: written side by side, which of thousands is felt. */
struct ending {
	struct image_writer *w;
	GPtrArray *files; /* struct pending */
	char **stories;	  /* of those that failed */
	int *errors;
};

static void end_one(void *arg, unsigned i)
{
	struct ending *e = arg;
	struct pending *p = g_ptr_array_index(e->files, i);

	if (!p->used && unlinkat(e->w->dir, p->name, 0) < 0)
		e->errors[i] = err_errno("remove image %s", p->name);
	else if (p->used && (p->bytes->len || !p->exists))
		e->errors[i] = spill(e->w, p, NULL);
	if (e->errors[i] < 0)
		e->stories[i] = g_strdup(err_message());
}

static int end_files(struct image_writer *w, GPtrArray *files)
{
	g_autofree char **stories = g_new0(char *, files->len);
	g_autofree int *errors = g_new0(int, files->len);
	struct ending e = {w, files, stories, errors};
	int r = 0;

	parallel_run(files->len, end_one, &e);
	for (unsigned i = 0; i < files->len; i++) {
		if (r == 0 && errors[i] < 0)
			r = err_adopt(errors[i], stories[i]);
		g_free(stories[i]);
	}
	return r;
}

int image_flush(struct image_writer *w, const enum image_kind *kinds, unsigned n)
{
	g_autoptr(GPtrArray) files = g_ptr_array_sized_new(g_hash_table_size(w->files));
	GHashTableIter it;
	void *value;

	g_hash_table_iter_init(&it, w->files);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		const struct pending *p = value;

		for (unsigned i = 0; p->used && i < n; i++)
			if (p->key >> 56 == kinds[i])
				g_ptr_array_add(files, value);
	}
	return end_files(w, files);
}

int image_writer_finish(struct image_writer *w)
{
	g_autoptr(GPtrArray) files = g_ptr_array_sized_new(g_hash_table_size(w->files));
	GHashTableIter it;
	void *value;
	int r;

	g_hash_table_iter_init(&it, w->files);
	while (g_hash_table_iter_next(&it, NULL, &value))
		g_ptr_array_add(files, value);
	r = end_files(w, files);
	if (r == 0)
		g_hash_table_remove_all(w->files);
	return r;
}
