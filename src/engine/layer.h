/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: tar files unpacked for overlayfs.
 *
 *	ROOT/overlay/CHAIN/diff		the layer's files, whiteouts in overlayfs's form
 *
 * CHAIN is the OCI chain ID, which names a layer together with everything below it; so directories
 * that a layer only passes through get the owner and mode that they have in the layers below.
 *
 * A layer is unpacked aside and renamed, with its digests checked on the way: a directory with
 * such a name is always complete.  Nothing in a tar file can reach outside of it.
 */
#pragma once

#include "engine/digest.h"
#include "engine/engine.h"

#include <sys/types.h>

struct layer_limits {
	uint64_t bytes; /* of the uncompressed stream */
	uint64_t entries;
	unsigned depth; /* of directories */
};
#define LAYER_LIMITS ((struct layer_limits){.bytes = 1ULL << 40, .entries = 16000000, .depth = 256})

struct layer_stream {
	int fd;		     /* the packed layer: a file or a pipe, from where it stands */
	const char *digest;  /* of what FD gives, or NULL: not checked */
	const char *diff_id; /* of the tar file inside, or NULL: not checked */
	struct layer_limits limits;
	int copy_fd; /* gets the uncompressed tar file, or -1 */
	/*
	 * Or not from FD: gives the next piece, valid until the next call; its length, 0 at the
	 * end, < 0 an error.
	 */
	ssize_t (*read)(void *arg, const void **ret);
	void *read_arg;
	/*
	 * Just a tree of files: digests are not computed, ".wh." in a name means nothing, the root
	 * keeps its attributes unless the tar file has others, and of device nodes only those are
	 * made that every container has.
	 */
	bool plain;
};

struct layer_result {
	char digest[DIGEST_MAX], diff_id[DIGEST_MAX]; /* "sha256:..." */
	uint64_t packed_bytes, tar_bytes;
};

/*
 * Unpacks into the empty directory DIFF.  PARENTS: the diff directories below, topmost first.
 * -EBADMSG: a digest differs or the data is corrupt; -EXDEV: a path leaves the layer; -EFBIG: a
 * limit.  Whatever was unpacked by then is left for the caller to remove.
 */
int layer_unpack(const struct layer_stream *s, int diff, const int *parents, unsigned nparents,
		 struct layer_result *ret) MUST_CHECK;

/* Of a layer on top of the one with the chain ID PARENT (NULL: none); 64 hexadecimal digits. */
void layer_chain_id(const char *parent, const char *diff_id, char ret[ENGINE_ID_LEN + 1]);

/*
 * Makes sure that the layer exists, unpacking it from S (whose diff_id must be known) if it does
 * not.  PARENTS: chain IDs of the layers below, the lowest first.  Two that want the same layer
 * wait for each other.  The caller holds blobs_hold() (blobs.h).
 */
int layer_ensure(struct engine *e, const struct layer_stream *s, char *const *parents,
		 char ret_chain[ENGINE_ID_LEN + 1]) MUST_CHECK;

/*
 * Takes the directory PATH, with an unpacked layer in PATH/diff that RES describes, over as a
 * layer on top of PARENT (a chain ID or NULL).  One that is there already stays.
 */
int layer_take(struct engine *e, const char *path, const char *parent,
	       const struct layer_result *res) MUST_CHECK;
