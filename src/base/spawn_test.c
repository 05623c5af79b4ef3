/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void both_streams_and_status(void **state)
{
	struct spawn s = {.argv = ARGV("sh", "-c", "echo out; echo err >&2; exit 3"),
			  .in = SPAWN_NULL,
			  .out = SPAWN_CAPTURE,
			  .err = SPAWN_CAPTURE};
	CLEANUP(spawn_result_clear) struct spawn_result r = {0};

	assert_int_equal(spawn_run(&s, &r), 0);
	assert_string_equal(r.out, "out\n");
	assert_string_equal(r.err, "err\n");
	assert_int_equal(spawn_exit_code(r.status), 3);
}

static void large_input_comes_back(void **state)
{
	size_t len = 1 << 20;
	g_autofree char *in = g_malloc(len), *out = NULL;
	size_t out_len;

	memset(in, 'x', len);
	struct spawn s = {.argv = ARGV("cat"), .input = in, .input_len = len};

	assert_int_equal(spawn_check(&s, &out, &out_len), 0);
	assert_int_equal(out_len, len);
	assert_memory_equal(in, out, len);
}

static void descriptors_land_at_three_and_up(void **state)
{
	int p[2];
	char c = 0;

	assert_int_equal(pipe(p), 0);
	struct spawn s = {.argv = ARGV("sh", "-c", "echo -n y >&4; exec ls /proc/self/fd"),
			  .in = SPAWN_NULL,
			  .fds = (int[]){p[0], p[1]},
			  .nfds = 2};
	g_autofree char *out = NULL;

	assert_int_equal(spawn_check(&s, &out, NULL), 0);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	/* 5 is the directory that ls itself reads */
	assert_string_equal(out, "0\n1\n2\n3\n4\n5\n");
	close(p[0]);
	close(p[1]);
}

static void failures_name_the_program(void **state)
{
	struct spawn none = {.argv = ARGV("no-such-program"), .in = SPAWN_NULL};
	struct spawn bad = {.argv = ARGV("sh", "-c", "echo first >&2; echo last >&2; exit 1"),
			    .in = SPAWN_NULL};

	assert_int_equal(spawn_check(&none, NULL, NULL), -ENOENT);
	assert_string_equal(err_message(), "no-such-program is not installed or not in PATH");
	assert_int_equal(spawn_check(&bad, NULL, NULL), -EIO);
	assert_string_equal(err_message(), "sh: last");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_streams_and_status),
		cmocka_unit_test(large_input_comes_back),
		cmocka_unit_test(descriptors_land_at_three_and_up),
		cmocka_unit_test(failures_name_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
