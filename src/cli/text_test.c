/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, times, sizes. */
#include "cli/human.h"
#include "cli/table.h"
#include "cli/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define SECOND 1000000000LL

static void durations(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} samples[] = {{0, "Less than a second"}, {1, "1 second"},	   {59, "59 seconds"},
		       {60, "About a minute"},	  {120, "2 minutes"},	   {3599, "59 minutes"},
		       {3600, "About an hour"},	  {7200, "2 hours"},	   {47 * 3600, "47 hours"},
		       {48 * 3600, "2 days"},	  {14 * 86400, "2 weeks"}, {61 * 86400, "2 months"},
		       {730 * 86400, "2 years"}};

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		g_autofree char *d = human_duration(samples[i].seconds * SECOND);

		assert_string_equal(d, samples[i].text);
	}
}

static void sizes(void **state)
{
	static const struct {
		double bytes;
		const char *text, *blank;
	} samples[] = {{0, "0B", "0 B"},
		       {12, "12B", "12 B"},
		       {1987701, "1.99MB", "1.99 MB"},
		       {4830000, "4.83MB", "4.83 MB"},
		       {999999, "1000kB", "1000 kB"},
		       {2e12, "2TB", "2 TB"}};

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		g_autofree char *a = human_size(samples[i].bytes);
		g_autofree char *b = human_size_blank(samples[i].bytes);

		assert_string_equal(a, samples[i].text);
		assert_string_equal(b, samples[i].blank);
	}
}

static void times(void **state)
{
	g_autoptr(GString) s = g_string_new(NULL);
	g_autofree char *utc = human_rfc3339(1795251681LL * SECOND + 839970970, false);
	int64_t ns;

	human_go_time("2026-11-21T07:42:09.18Z", s);
	g_string_append_c(s, '|');
	human_go_time("0001-01-01T00:00:00Z", s);
	g_string_append_c(s, '|');
	human_go_time("2026-11-21T08:42:09+01:00", s);
	assert_string_equal(s->str,
			    "2026-11-21 07:42:09.18 +0000 UTC|0001-01-01 00:00:00 +0000 UTC|"
			    "2026-11-21 07:42:09 +0000 UTC");
	assert_string_equal(utc, "2026-11-21T09:01:21.83997097Z");
	assert_true(human_parse_when("10m", 3600 * SECOND, &ns));
	assert_int_equal(ns, 3000 * SECOND);
	assert_true(human_parse_when("1h30m", 7200 * SECOND, &ns));
	assert_int_equal(ns, 1800 * SECOND);
	assert_true(human_parse_when("12.5", 0, &ns));
	assert_int_equal(ns, 12 * SECOND + SECOND / 2);
	assert_true(human_parse_when("1970-01-01T00:01:00Z", 0, &ns));
	assert_int_equal(ns, 60 * SECOND);
	assert_true(human_parse_when("2026-11-21", 0, &ns));
	assert_false(human_parse_when("bogus", 0, &ns));
	assert_false(human_parse_when("10x", 0, &ns));
	assert_false(human_parse_when("", 0, &ns));
}

static void columns(void **state)
{
	g_autofree char *a = table_align("ID\tNAME\tX\n0123456789abcdef\tn\tlong last cell\n");
	g_autofree char *b = table_align("plain\na\tb\n\nc\td\n");

	assert_string_equal(a, "ID                NAME        X\n"
			       "0123456789abcdef  n           long last cell\n");
	assert_string_equal(b, "plain\na           b\n\nc           d\n");
}

static void yaml(void **state)
{
	json_t *j =
		json_loads("{\"b\": {\"list\": [\"x\", {\"k\": 1, \"a\": true}], \"empty\": [], "
			   "\"n\": null}, \"a\": \"12\", \"c\": \"two\\nlines\", "
			   "\"d\": \"with: colon\", \"e\": \"\", \"f\": \"plain text\"}",
			   0, NULL);
	g_autoptr(GString) s = g_string_new(NULL);

	yaml_print(j, s);
	json_decref(j);
	assert_string_equal(s->str, "a: \"12\"\n"
				    "b:\n"
				    "  empty: []\n"
				    "  list:\n"
				    "  - x\n"
				    "  - a: true\n"
				    "    k: 1\n"
				    "  n: null\n"
				    "c: |-\n"
				    "  two\n"
				    "  lines\n"
				    "d: 'with: colon'\n"
				    "e: \"\"\n"
				    "f: plain text\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations), cmocka_unit_test(sizes), cmocka_unit_test(times),
		cmocka_unit_test(columns),   cmocka_unit_test(yaml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
