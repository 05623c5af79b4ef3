/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/life_fixture.h"
#include "engine/logfile.h"
#include "engine/logs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LINES                                                                                      \
	"2026-11-21T08:00:00.000000001+00:00 stdout F one\n"                                       \
	"2026-11-21T08:00:01.500000000+00:00 stderr F oops\n"                                      \
	"2026-11-21T08:00:02.000000000+00:00 stdout P par\n"                                       \
	"2026-11-21T08:00:02.000000000+00:00 stdout P ti\n"                                        \
	"2026-11-21T08:00:03.000000000+00:00 stdout F al\n"                                        \
	"2026-11-21T08:00:04.000000000+00:00 stdout F \n"

static void test_parse(void **state)
{
	const char *line = "2026-11-21T08:00:01.5+01:00 stderr P  two  blanks ";
	struct logline l;

	assert_int_equal(logline_parse(line, strlen(line), &l), 0);
	assert_true(l.stderr_);
	assert_true(l.partial);
	assert_int_equal(l.time_ns, INT64_C(1795244401500000000));
	assert_int_equal(l.len, strlen(" two  blanks "));
	assert_memory_equal(l.text, " two  blanks ", l.len);
	assert_true(logline_parse("", 0, &l) < 0);
	assert_true(logline_parse("rubbish without end", 19, &l) < 0);
	line = "2026-11-21T08:00:01Z stdout X text";
	assert_true(logline_parse(line, strlen(line), &l) < 0);
	line = "2026-11-2 stdout F text";
	assert_true(logline_parse(line, strlen(line), &l) < 0);
}

static void test_times(void **state)
{
	int64_t t, now = engine_now_ns();

	assert_int_equal(logs_parse_time("2026-11-21T07:00:01.25Z", &t), 0);
	assert_int_equal(t, INT64_C(1795244401250000000));
	assert_int_equal(logs_parse_time("1795244401", &t), 0);
	assert_int_equal(t, INT64_C(1795244401000000000));
	assert_int_equal(logs_parse_time("1h30m", &t), 0);
	assert_true(llabs(now - t - INT64_C(5400000000000)) < 10000000000);
	assert_int_equal(logs_parse_until("10s", &t), 0);
	assert_true(llabs(t - now - INT64_C(10000000000)) < 5000000000);
	assert_int_equal(logs_parse_time("2026-11-21", &t), 0);
	assert_int_equal(logs_parse_time("yesterday", &t), -EINVAL);
	assert_int_equal(logs_parse_time("", &t), -EINVAL);
	assert_int_equal(logs_parse_time("10x", &t), -EINVAL);
}

static struct container *with_log(struct engine *e, const char *text)
{
	struct container *c = fixture_add(e, NULL, "web");
	g_autofree char *path = container_log_path(e, c), *dir = container_static_dir(e, c);

	assert_int_equal(file_mkdirs(dir, 0700), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, path, text, strlen(text), 0600), 0);
	return c;
}

static void expect(struct engine *e, struct container *c, const struct logs_options *o,
		   const char *want_out, const char *want_err)
{
	char *out = NULL, *err = NULL;
	size_t nout, nerr;
	FILE *to_out = open_memstream(&out, &nout), *to_err = open_memstream(&err, &nerr);

	if (logs_show(e, &c, 1, o, to_out, to_err) < 0)
		fail_msg("%s", err_message());
	fclose(to_out);
	fclose(to_err);
	assert_string_equal(out, want_out);
	assert_string_equal(err, want_err);
	free(out);
	free(err);
}

static void test_show(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = with_log(e, LINES);
	struct logs_options o = {.tail = -1};

	expect(e, c, &o, "one\npartial\n\n", "oops\n");
	o.tail = 0;
	expect(e, c, &o, "", "");
	o.tail = 1;
	expect(e, c, &o, "\n", "");
	o.tail = 2;
	expect(e, c, &o, "partial\n\n", "");
	o.tail = 3;
	expect(e, c, &o, "partial\n\n", "oops\n");
	o.tail = 100;
	expect(e, c, &o, "one\npartial\n\n", "oops\n");
	o = (struct logs_options){.tail = -1, .timestamps = true};
	expect(e, c, &o,
	       "2026-11-21T08:00:00.000000001Z one\n2026-11-21T08:00:02Z partial\n"
	       "2026-11-21T08:00:04Z \n",
	       "2026-11-21T08:00:01.5Z oops\n");
	o = (struct logs_options){.tail = -1};
	assert_int_equal(logs_parse_time("2026-11-21T08:00:01Z", &o.since_ns), 0);
	assert_int_equal(logs_parse_time("2026-11-21T08:00:03Z", &o.until_ns), 0);
	expect(e, c, &o, "partial\n", "oops\n");
}

/* Long enough for several blocks, read backwards and forwards. */
static void test_long(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GString) want = g_string_new(NULL);
	CLEANUP(container_unref) struct container *c = NULL;
	const struct logs_options o = {.tail = 1500};

	for (int i = 0; i < 5000; i++) {
		g_string_append_printf(text,
				       "2026-11-21T08:00:00.%09d+00:00 stdout F line %d of many "
				       "that fill some blocks\n",
				       i, i);
		if (i >= 3500)
			g_string_append_printf(want, "line %d of many that fill some blocks\n", i);
	}
	c = with_log(e, text->str);
	expect(e, c, &o, want->str, "");
}

/* The writer ends the container by hand; the follower must see every line, then stop. */
static void test_follow(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);
	CLEANUP(container_unref) struct container *c = with_log(e, "");
	const struct logs_options o = {.tail = -1, .follow = true};
	g_autofree char *path = container_log_path(e, c), *exit_file = container_exit_file(e, c);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 50; i++) {
			FILE *f = fopen(path, "a");

			fprintf(f, "2026-11-21T08:00:00Z stdout F %d\n", i);
			fclose(f);
			g_usleep(1000);
		}
		if (file_replace_at(AT_FDCWD, exit_file, "0", 1, 0600) < 0)
			_exit(1);
		_exit(0);
	}
	c->state.status = CONTAINER_RUNNING;
	c->state.pid = pid;
	c->state.pid_start = container_pid_start(pid);
	assert_int_equal(container_save(e, c), 0);
	{
		g_autoptr(GString) want = g_string_new(NULL);

		for (int i = 0; i < 50; i++)
			g_string_append_printf(want, "%d\n", i);
		expect(e, c, &o, want->str, "");
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_times),
		T(test_show),
		T(test_long),
		T(test_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
