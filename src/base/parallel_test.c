/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 1000

static void count(void *arg, unsigned i)
{
	unsigned *calls = arg;

	__atomic_fetch_add(&calls[i], 1, __ATOMIC_RELAXED);
}

/* However many there are, and however many help: each once. */
static void each_once(void **state)
{
	static const unsigned numbers[] = {0, 1, 2, 127, 129, MANY};

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
		for (unsigned helpers = 0; helpers < PARALLEL_HELPERS_MAX + 3; helpers++) {
			unsigned calls[MANY + 1] = {0};

			parallel_run_with(numbers[i], helpers, count, calls);
			for (unsigned k = 0; k <= MANY; k++)
				assert_int_equal(calls[k], k < numbers[i]);
		}
}

static void note_thread(void *arg, unsigned i)
{
	void **who = arg;

	who[i] = g_thread_self();
	g_usleep(100); /* long enough that nobody does all of it alone */
}

static void helpers_help(void **state)
{
	void *who[MANY];
	bool other = false;

	parallel_run_with(MANY, 1, note_thread, who);
	for (unsigned i = 0; i < MANY; i++)
		other = other || who[i] != g_thread_self();
	assert_true(other);
	parallel_run(2, note_thread, who); /* few: by the caller */
	assert_ptr_equal(who[0], g_thread_self());
	assert_ptr_equal(who[1], g_thread_self());
}

static int fail_elsewhere(void *arg)
{
	*(GThread **)arg = g_thread_self();
	return err_set(ENOENT, "elsewhere");
}

/* An error comes with its story, and only when it is asked for. */
static void beside(void **state)
{
	GThread *who = NULL;
	struct beside *b = beside_new();

	beside_begin(b, fail_elsewhere, &who);
	err_clear();
	assert_int_equal(beside_end(&b), -ENOENT);
	assert_string_equal(err_message(), "elsewhere");
	assert_non_null(who);
	assert_ptr_not_equal(who, g_thread_self());
	assert_null(b);
	assert_int_equal(beside_end(&b), 0);
	b = beside_new();
	assert_int_equal(beside_end(&b), 0);
	assert_null(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_once),
		cmocka_unit_test(helpers_help),
		cmocka_unit_test(beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
