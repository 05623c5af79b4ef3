/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static void story_reads_from_the_outside_in(void **state)
{
	int r;

	errno = ENOENT;
	r = err_wrap(err_errno("open %s", "core.img"), "task %d", 12);
	assert_int_equal(r, -ENOENT);
	assert_string_equal(err_message(), "task 12: open core.img: no such file or directory");
}

static void a_new_story_may_quote_the_old_one(void **state)
{
	err_set(EIO, "inner");
	assert_int_equal(err_set(EBUSY, "outer (%s)", err_message()), -EBUSY);
	assert_string_equal(err_message(), "outer (inner)");
}

static void overflow_keeps_the_origin(void **state)
{
	err_set(EIO, "origin");
	for (int i = 0; i < 1000; i++)
		err_wrap(-EIO, "context number %d", i);
	assert_true(strlen(err_message()) < 4096);
	assert_non_null(strstr(err_message(), "context number 0: origin"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(story_reads_from_the_outside_in),
		cmocka_unit_test(a_new_story_may_quote_the_old_one),
		cmocka_unit_test(overflow_keeps_the_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
