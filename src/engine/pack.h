/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an archive: a tar stream, compressed, into a descriptor.
 *
 *	CLEANUP(pack_drop) struct pack *p = NULL;
 *
 *	r = pack_open(&(struct pack_options){.fd = fd, .compression = PACK_ZSTD}, &p);
 *	r = pack_bytes(p, "config.dump", text, len);
 *	r = pack_file(p, "stats-dump", file);		// all of it, from the start
 *	r = pack_begin(p, "checkpoint/pages-1.img", bytes);
 *	r = pack_data(p, buf, n);			// so often that it makes BYTES
 *	r = pack_end(p);
 *	r = pack_finish(p);				// sums, end of the archive
 *
 * The descriptor may be a file, a pipe or a socket: nothing is ever written twice or looked at
 * again.  It stays the caller's, who syncs it.  Members get mode 0600 and owner 0; the same writer
 * is used for archives of containers, layers of checkpoint images and whatever goes to another
 * host.
 *
 * After a failure nothing more can be written; the text is that of the first one.
 */
#pragma once

#include "base/err.h"

enum pack_compression { PACK_ZSTD, PACK_GZIP, PACK_NONE };

/* "zstd", "gzip", "none" in any case.  -EINVAL with Podman's text. */
int pack_compression_parse(const char *text, enum pack_compression *ret) MUST_CHECK;

struct pack_options {
	int fd;
	enum pack_compression compression;
	const char *shown; /* the archive's name, for errors */
	/* Sees all that is written, in order, by a thread of its own perhaps; or NULL. */
	void (*tap)(void *arg, const void *data, size_t len);
	void *tap_arg;
	/*
	 * Called with the bytes that went in (before compression), some ten times a second at most
	 * data rates; an error of its stops the archive.  May be NULL.
	 */
	int (*watch)(void *arg, uint64_t bytes);
	void *watch_arg;
};

struct pack;

/* OPTIONS is copied shallowly. */
int pack_open(const struct pack_options *o, struct pack **ret) MUST_CHECK;

/* NAME with or without a slash at its end. */
int pack_dir(struct pack *p, const char *name) MUST_CHECK;
int pack_symlink(struct pack *p, const char *name, const char *target) MUST_CHECK;
int pack_bytes(struct pack *p, const char *name, const void *data, size_t len) MUST_CHECK;
/* A regular file of any size, from its start, whatever its offset. */
int pack_file(struct pack *p, const char *name, int fd) MUST_CHECK;
/* The file FILE in DIR as NAME; 1: there is none. */
int pack_file_at(struct pack *p, const char *name, int dir, const char *file) MUST_CHECK;

/* A member whose content comes piece by piece; its size is known before. */
int pack_begin(struct pack *p, const char *name, uint64_t bytes) MUST_CHECK;
int pack_data(struct pack *p, const void *data, size_t len) MUST_CHECK;
int pack_end(struct pack *p) MUST_CHECK;

/* A directory of files, of links and of such directories (earlier rounds), as NAME/... */
int pack_images(struct pack *p, const char *name, int dir) MUST_CHECK;

/*
 * Writes the member PACK_SUMS with a checksum of every member (base/crc32c.h), and the end of the
 * archive.  A reader that finds it knows that nothing is missing or damaged.
 */
#define PACK_SUMS "cryopod.sums"
int pack_finish(struct pack *p) MUST_CHECK;
void pack_drop(struct pack **p);

/* So far. */
uint64_t pack_bytes_in(const struct pack *p);
/* Of all members so far, with all of the one that is open. */
uint64_t pack_bytes_announced(const struct pack *p);
uint64_t pack_bytes_out(const struct pack *p);
