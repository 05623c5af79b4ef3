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

void digest_finish(GChecksum *sum, char ret[DIGEST_MAX])
{
	snprintf(ret, DIGEST_MAX, DIGEST_PREFIX "%s", g_checksum_get_string(sum));
}

void digest_of(const void *data, size_t len, char ret[DIGEST_MAX])
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(sum, data, (gssize)len);
	digest_finish(sum, ret);
	g_checksum_free(sum);
}
