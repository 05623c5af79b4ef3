/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool digest_is_hex(const char *text, size_t min, size_t max)
{
	size_t n = strspn(text, "0123456789abcdef");

	return !text[n] && n >= min && n <= max;
}

int digest_check(const char *digest)
{
	if (digest && g_str_has_prefix(digest, DIGEST_PREFIX) &&
	    digest_is_hex(digest_hex(digest), DIGEST_HEX, DIGEST_HEX))
		return 0;
	return err_set(EINVAL, "unsupported digest \"%.100s\"", digest ? digest : "");
}

const char *digest_hex(const char *digest)
{
	return digest + strlen(DIGEST_PREFIX);
}

void digest_finish(struct sha256 *sum, char ret[DIGEST_MAX])
{
	char hex[SHA256_HEX + 1];

	sha256_finish(sum, hex);
	snprintf(ret, DIGEST_MAX, DIGEST_PREFIX "%s", hex);
}

void digest_of(const void *data, size_t len, char ret[DIGEST_MAX])
{
	CLEANUP(sha256_free) struct sha256 *sum = sha256_new();

	sha256_update(sum, data, len);
	digest_finish(sum, ret);
}
