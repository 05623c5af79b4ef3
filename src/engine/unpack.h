/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an archive from a descriptor, as a stream: a file, a pipe or a socket, compressed in any
 * way that libarchive has built in.
 *
 *	CLEANUP(unpack_drop) struct unpack *u = NULL;
 *
 *	r = unpack_open(&(struct unpack_options){.fd = fd, .shown = file}, &u);
 *	while ((r = unpack_next(u, &m)) > 0)
 *		r = unpack_to_file(u, dir, "name");	// or _bytes, _tree; or nothing: skipped
 *	r = unpack_finish(u);		// is all there that was written?
 *
 * Nothing in it is believed.  A name that leaves the archive, a member that is neither a file nor a
 * directory (unpack_next() says which; the caller decides about links), sizes beyond the limits or
 * the free space, damaged or missing data: an error that names the member.  What was unpacked by
 * then is the caller's to remove.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct unpack_limits {
	uint64_t bytes;	  /* of all members, decompressed; 0: what the disk holds */
	unsigned members; /* 0: a million */
};

struct unpack_options {
	int fd; /* borrowed; read to its end */
	const char *shown;
	struct unpack_limits limits;
	/* As in engine/pack.h; BYTES are those read from FD, before decompression. */
	int (*watch)(void *arg, uint64_t bytes);
	void *watch_arg;
};

struct unpack;

struct unpack_member {
	const char *name; /* clean: no "./", no "//", no slash at either end; until the next call */
	mode_t type;	  /* S_IFREG, S_IFDIR, S_IFLNK */
	uint64_t bytes;
	const char *link; /* of S_IFLNK */
};

/* -EBADMSG: not an archive.  OPTIONS is copied shallowly. */
int unpack_open(const struct unpack_options *o, struct unpack **ret) MUST_CHECK;
/* 1: there is one; 0: the end. */
int unpack_next(struct unpack *u, struct unpack_member *ret) MUST_CHECK;

/* The member's content, once.  -EFBIG: more than MAX.  NUL-terminated, the caller's. */
int unpack_to_bytes(struct unpack *u, size_t max, char **ret, size_t *ret_len) MUST_CHECK;
/* As the new file NAME, mode 0600, in DIR; -EEXIST: twice in the archive. */
int unpack_to_file(struct unpack *u, int dir, const char *name) MUST_CHECK;

/*
 * The member is itself a tar file: unpacked beneath DIR, with owners, modes, times, attributes,
 * links and holes.  PARENTS as in engine/layer.h.  Of device nodes only those that every container
 * has are made; others are refused by name.
 */
int unpack_to_tree(struct unpack *u, int dir, const int *parents, unsigned nparents) MUST_CHECK;
/* The same for a tar file on its own: for what unpack_to_file() has put aside. */
int unpack_tree_file(int fd, const char *shown, int dir) MUST_CHECK;

/*
 * To be called after the last member: reads to the end of the stream.  -EBADMSG: the archive ends
 * early, or a checksum that it brings (PACK_SUMS) is not that of a member that was read.
 */
int unpack_finish(struct unpack *u) MUST_CHECK;
void unpack_drop(struct unpack **u);

uint64_t unpack_bytes_in(const struct unpack *u);
