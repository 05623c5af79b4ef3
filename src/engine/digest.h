/* SPDX-License-Identifier: Apache-2.0 */
/* OCI digests, "sha256:" and 64 lower-case hexadecimal digits: the only algorithm in use. */
#pragma once

#include "base/err.h"
#include "base/sha256.h"

#define DIGEST_PREFIX "sha256:"
#define DIGEST_HEX    64
#define DIGEST_MAX    80

/* -EINVAL naming the digest when it is not one.  What passes is safe as a file name. */
int digest_check(const char *digest) MUST_CHECK;
void digest_of(const void *data, size_t len, char ret[DIGEST_MAX]);
/* The digest of what went into SUM, which can take no more afterwards. */
void digest_finish(struct sha256 *sum, char ret[DIGEST_MAX]);
/* The digits alone. */
const char *digest_hex(const char *digest);
bool digest_is_hex(const char *text, size_t min, size_t max);
