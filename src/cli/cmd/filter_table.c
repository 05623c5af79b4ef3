/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/filter_table.h"

#include <errno.h>
#include <string.h>

/* The row of TEXT's key, or -1. */
static int row_of(const struct filter_test *tests, const char *text)
{
	for (int i = 0; tests[i].key; i++) {
		size_t len = strlen(tests[i].key);

		if (!strncmp(text, tests[i].key, len) && text[len] == '=')
			return i;
	}
	return -1;
}

int filter_tests_check(const struct filter_test *tests, char *const *texts,
		       const char **ret_unknown)
{
	for (; texts && *texts; texts++) {
		if (!strchr(*texts, '='))
			return err_set(EINVAL,
				       "invalid filter \"%s\": must be in the format "
				       "\"filter=value\"",
				       *texts);
		if (row_of(tests, *texts) < 0) {
			*ret_unknown = *texts;
			return 1;
		}
	}
	return 0;
}

int filter_tests_match(const struct filter_test *tests, struct engine *e, char *const *texts,
		       const json_t *object)
{
	unsigned asked = 0, met = 0;

	for (; texts && *texts; texts++) {
		int i = row_of(tests, *texts);
		int r = tests[i].matches(e, object, strchr(*texts, '=') + 1);

		if (r < 0)
			return r;
		asked |= 1u << i;
		met |= r > 0 ? 1u << i : 0;
	}
	return asked == met;
}
