/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packed layer as a tar reader: descriptor -> digest -> decompression -> diff ID -> tar.
 * Everything is hashed while it passes, so a layer is read exactly once.
 */
#pragma once

#include "base/libarchive.h"
#include "engine/layer.h"

struct layer_reader;

int layer_reader_open(const struct layer_stream *s, struct layer_reader **ret) MUST_CHECK;
/* The next member; 1: *RET is valid until the next call; 0: the end. */
int layer_reader_next(struct layer_reader *r, struct archive_entry **ret) MUST_CHECK;
/* A piece of the member's content; 1: a piece; 0: no more.  Holes are skipped by AT. */
int layer_reader_data(struct layer_reader *r, const void **ret, size_t *len, int64_t *at)
	MUST_CHECK;
/* Reads what follows the last member and compares the digests with the stream's. */
int layer_reader_finish(struct layer_reader *r, struct layer_result *ret) MUST_CHECK;
/* After the last member and its rest: was the end of the archive there?  Tar files may be cut. */
bool layer_reader_ended(const struct layer_reader *r);
uint64_t layer_reader_packed_bytes(const struct layer_reader *r);
void layer_reader_close(struct layer_reader **r);
