/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of what comes piece by piece:
 *
 *	CLEANUP(sha256_free) struct sha256 *s = sha256_new();
 *
 *	sha256_update(s, data, len);
 *	sha256_finish(s, hex);		// once; S takes no more
 *
 * With the processor's own instructions where it has them (four times as fast): by nettle, which
 * libarchive brings along; by GLib where there is none.  One S belongs to one thread at a time.
 */
#pragma once

#include "base/base.h"

#define SHA256_HEX 64

struct sha256;

struct sha256 *sha256_new(void);
void sha256_update(struct sha256 *s, const void *data, size_t len);
void sha256_finish(struct sha256 *s, char ret[SHA256_HEX + 1]);
void sha256_free(struct sha256 **s);
