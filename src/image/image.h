/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in image files.
 *
 * A file is its magic and then records, each a 32-bit length (the host's byte order) and a
 * protobuf message; some kinds have raw bytes after a record, whose length the record gives.
 *
 * Writing goes through one struct image_writer per directory.  Files come into being with their
 * first record; small ones are collected in memory and written by image_writer_finish(), so that
 * hundreds of tasks need no hundreds of descriptors:
 *
 *	CLEANUP(image_writer_drop) struct image_writer w;
 *
 *	image_writer_init(&w, dir_fd);
 *	r = image_write(&w, IMG_CORE, pid, &core.base);
 *	r = image_write(&w, IMG_PIPES_DATA, 0, &pde.base);
 *	r = image_write_raw(&w, IMG_PIPES_DATA, 0, data, len);
 *	r = image_writer_finish(&w);
 *
 * Reading:
 *
 *	CLEANUP(image_record_free) CoreEntry *core = NULL;
 *
 *	r = image_load_needed(dir_fd, IMG_CORE, pid, &core);		// a file of one record
 *
 *	CLEANUP(image_close) struct image *img = NULL;
 *
 *	r = image_open(dir_fd, IMG_PIPES_DATA, 0, &img);	// 1: there is no such file
 *	while ((r = image_read(img, &pde)) == 0) ...		// 1: the end
 *
 * Whatever comes from a file is checked before anything is allocated for it; an error names the
 * file and the record.  A message's content is *not* checked: indices, ids and paths in it are
 * whatever the file says.
 *
 * Messages are protobuf-c's: an optional scalar X needs has_X = true, and X_ENTRY__INIT first.
 */
#pragma once

#include "base/err.h"
#include "image/files.h"

/* No record is larger: mm.img of a task with 65530 mappings has 4 MiB. */
#define IMAGE_RECORD_MAX (64u << 20)

struct image_writer {
	int dir;	   /* borrowed */
	GHashTable *files; /* (kind, id) -> struct pending */
	unsigned kept;	   /* how many expected ones were left open */
};

void image_writer_init(struct image_writer *w, int dir);

/*
 * A file that will probably be written, made now: while time is cheap.  If nothing is written to
 * it, image_writer_finish() removes it.
 */
int image_expect(struct image_writer *w, enum image_kind kind, uint64_t id) MUST_CHECK;

/*
 * The same for a file that is written by others: *RET_FD, open for reading and writing, is borrowed
 * for now.  image_take() gives it away, or -1 when it was not expected or could not be kept open.
 */
int image_expect_fd(struct image_writer *w, enum image_kind kind, uint64_t id, int *ret_fd)
	MUST_CHECK;
int image_take(struct image_writer *w, enum image_kind kind, uint64_t id);

/* Appends one record. */
int image_write(struct image_writer *w, enum image_kind kind, uint64_t id,
		const ProtobufCMessage *msg) MUST_CHECK;

/* Appends raw bytes: what follows a record, or the content of a raw file. */
int image_write_raw(struct image_writer *w, enum image_kind kind, uint64_t id, const void *data,
		    size_t len) MUST_CHECK;

/* Makes the file exist, even with no record in it (files.img of a tree without descriptors). */
int image_touch(struct image_writer *w, enum image_kind kind, uint64_t id) MUST_CHECK;

/*
 * Writes what is pending of one file and opens it for appending; for large payloads that are
 * spliced or copied.  The descriptor is the caller's; close it before the next image_write().
 */
int image_write_fd(struct image_writer *w, enum image_kind kind, uint64_t id, int *ret_fd)
	MUST_CHECK;

/* Writes what is pending of all files of these kinds, while there is something to wait for. */
int image_flush(struct image_writer *w, const enum image_kind *kinds, unsigned n) MUST_CHECK;

/* Everything is in its file (not synced: that is atomicdir's).  The writer is empty afterwards. */
int image_writer_finish(struct image_writer *w) MUST_CHECK;
void image_writer_drop(struct image_writer *w);

struct image {
	int fd;
	enum image_kind kind;
	char name[IMAGE_NAME_MAX];
	uint64_t size, at; /* bytes; AT is where the next record begins */
	unsigned records;  /* read so far */
	/* read ahead: SIZE bytes of the file from FROM on */
	struct {
		uint8_t *bytes;
		uint64_t from;
		size_t size, room;
	} ahead;
};

/* Checks the magic.  1, described: there is no such file; *RET is untouched. */
int image_open(int dir, enum image_kind kind, uint64_t id, struct image **ret) MUST_CHECK;
/* The same; a missing file is -ENOENT. */
int image_open_needed(int dir, enum image_kind kind, uint64_t id, struct image **ret) MUST_CHECK;
void image_close(struct image **img);

/*
 * The next record, of the kind's own message type; RET is the address of a pointer to that type,
 * e.g. CoreEntry **.  1 at the end of the file, *RET is NULL then.  What RET pointed to before is
 * freed, so that it can be used in a loop; the last is freed by image_record_free().
 */
int image_read(struct image *img, void *ret) MUST_CHECK;

/* The same for a record of another type: pagemap entries after the head, ghost chunks. */
int image_read_as(struct image *img, const ProtobufCMessageDescriptor *type, void *ret) MUST_CHECK;

/* Raw bytes after a record.  -EBADMSG when the file has fewer. */
int image_read_raw(struct image *img, void *buf, size_t len) MUST_CHECK;

/* Steps over them and says where they are in img->fd, for splice, copy_file_range or pread. */
int image_skip_raw(struct image *img, uint64_t len, uint64_t *ret_offset) MUST_CHECK;

/* Bytes from here to the end of the file. */
uint64_t image_rest(const struct image *img);

/* The only record of a file: none is -EBADMSG, a missing file -ENOENT. */
int image_load_needed(int dir, enum image_kind kind, uint64_t id, void *ret) MUST_CHECK;

/* 1 when there is no such file; *RET is NULL then. */
int image_load_optional(int dir, enum image_kind kind, uint64_t id, void *ret) MUST_CHECK;

/*
 * All records of a file (no payloads), freed with the array: g_autoptr(GPtrArray).  A file that
 * does not exist gives an empty array.
 */
int image_load_all(int dir, enum image_kind kind, uint64_t id, GPtrArray **ret) MUST_CHECK;

/* For CLEANUP() on a pointer to any message. */
void image_record_free(void *msg_ptr);

/*
 * One message in memory, checked as those from files are (depth, size of what unpacking would
 * allocate).  NAME is for errors.
 */
int image_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
		 const char *name, ProtobufCMessage **ret) MUST_CHECK;
