/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void sum_in_pieces(const uint8_t *data, size_t len, size_t piece, char ret[SHA256_HEX + 1])
{
	CLEANUP(sha256_free) struct sha256 *s = sha256_new();

	for (size_t at = 0; at < len; at += piece)
		sha256_update(s, data + at, MIN(piece, len - at));
	sha256_finish(s, ret);
}

/* Whoever computes it: the same as GLib's, for any length and any pieces. */
static void same_as_glib(void **state)
{
	g_autofree uint8_t *data = g_malloc(5000);
	static const size_t lengths[] = {0, 1, 55, 56, 63, 64, 65, 127, 128, 4096, 5000};
	static const size_t pieces[] = {1, 7, 64, 1000, 5000};

	for (unsigned i = 0; i < 5000; i++)
		data[i] = (uint8_t)(i * 131 + i / 7);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(pieces); k++) {
			g_autofree char *want =
				g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, lengths[i]);
			char got[SHA256_HEX + 1];

			sum_in_pieces(data, lengths[i], pieces[k], got);
			assert_string_equal(got, want);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_glib)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
