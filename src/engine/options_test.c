/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mounts.h"
#include "engine/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_json(void **state)
{
	CLEANUP(container_options_clear) struct container_options o, back;
	CLEANUP(exec_options_clear) struct exec_options x, y;
	json_t *j;

	container_options_init(&o);
	j = container_options_to_json(&o);
	assert_int_equal(json_object_size(j), 0);
	json_decref(j);
	o.name = g_strdup("web");
	options_append(&o.env, "A=1");
	options_append(&o.env, "B=");
	o.entrypoint = g_new0(char *, 1); /* cleared, which is not the same as not given */
	o.cpus = 1.5;
	o.stop_timeout = 0;
	o.read_only_tmpfs = false;
	j = container_options_to_json(&o);
	assert_int_equal(container_options_from_json(j, &back), 0);
	json_decref(j);
	assert_string_equal(back.name, "web");
	assert_string_equal(back.env[1], "B=");
	assert_non_null(back.entrypoint);
	assert_null(back.entrypoint[0]);
	assert_null(back.command);
	assert_true(back.cpus == 1.5 && back.stop_timeout == 0 && !back.read_only_tmpfs);

	exec_options_init(&x);
	options_append(&x.argv, "sh");
	x.tty = true;
	j = exec_options_to_json(&x);
	assert_int_equal(exec_options_from_json(j, &y), 0);
	json_decref(j);
	assert_true(y.tty && !strcmp(y.argv[0], "sh") && !y.argv[1]);

	j = json_pack("{s:s}", "env", "A=1");
	assert_int_equal(exec_options_from_json(j, &x), -EBADMSG);
	json_decref(j);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} rows[] = {
		{"64m", 64 << 20}, {"64MB", 64 << 20}, {"1gb", 1 << 30},  {"1.5k", 1536},
		{"100", 100},	   {"100b", 100},      {"2MiB", 2 << 20}, {"", -1},
		{"m", -1},	   {"-1", -1},	       {"12x", -1},	  {"99999999p", -1},
		{"5mm", -1},	   {"nan", -1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t v = -1;
		int r = options_parse_size(rows[i].text, "--memory", &v);

		assert_true(rows[i].bytes < 0 ? r < 0 : r == 0);
		assert_int_equal(v, rows[i].bytes);
	}
}

static void test_signals(void **state)
{
	static const struct {
		const char *text;
		int number;
	} rows[] = {{"TERM", 15},    {"sigkill", 9}, {"SIGUSR1", 10}, {"15", 15},
		    {"RTMIN+3", 37}, {"RTMAX", 64},  {"rtmax-2", 62}, {"BOGUS", 0},
		    {"RTMIN+99", 0}, {"0", 0},	     {"65", 0},	      {"9x", 0},
		    {"", 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int v = 0;
		int r = options_parse_signal(rows[i].text, &v);

		assert_int_equal(r, rows[i].number ? 0 : -EINVAL);
		assert_int_equal(v, rows[i].number);
	}
}

static void test_values(void **state)
{
	struct ulimit l;
	CLEANUP(device_option_clear) struct device_option d = {};

	assert_string_equal(options_capability("net_admin"), "CAP_NET_ADMIN");
	assert_string_equal(options_capability("Cap_Checkpoint_Restore"), "CAP_CHECKPOINT_RESTORE");
	assert_int_equal(options_capability_number("CAP_CHECKPOINT_RESTORE"), 40);
	assert_null(options_capability("nonsense"));

	assert_int_equal(options_parse_ulimit("nofile=10:20", &l), 0);
	assert_string_equal(l.type, "RLIMIT_NOFILE");
	assert_true(l.soft == 10 && l.hard == 20);
	assert_int_equal(options_parse_ulimit("core=-1", &l), 0);
	assert_true(l.soft == RLIM_INFINITY && l.hard == RLIM_INFINITY);
	assert_int_equal(options_parse_ulimit("core=2:1", &l), -EINVAL);
	assert_int_equal(options_parse_ulimit("bogus=1", &l), -EINVAL);
	assert_int_equal(options_parse_ulimit("core", &l), -EINVAL);
	assert_int_equal(options_parse_ulimit("=", &l), -EINVAL);

	assert_int_equal(options_parse_device("/dev/fuse:/dev/x:rw", &d), 0);
	assert_string_equal(d.destination, "/dev/x");
	assert_string_equal(d.access, "rw");
	device_option_clear(&d);
	assert_int_equal(options_parse_device("/dev/fuse:r", &d), 0);
	assert_string_equal(d.destination, "/dev/fuse");
	assert_int_equal(options_parse_device("fuse", &d), -EINVAL);
	assert_int_equal(options_parse_device("/dev/fuse:/x:q", &d), -EINVAL);
}

static void test_mounts(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	CLEANUP(user_mounts_clear) struct user_mounts m = {}, none = {};

	container_options_init(&o);
	options_append(&o.volumes, "/etc:/a/b/c:ro,z");
	options_append(&o.volumes, "data:/data");
	options_append(&o.tmpfs, "/a/b/:size=1m,noexec");
	options_append(&o.mounts, "type=bind,src=/usr,dst=/a,ro=true,bind-propagation=rslave");
	assert_int_equal(user_mounts_parse(&o, &m), 0);
	assert_int_equal(m.n, 4);
	assert_string_equal(m.v[0].destination, "/a");
	assert_true(m.v[0].read_only);
	assert_string_equal(m.v[0].options[1], "rslave");
	assert_string_equal(m.v[1].source, "data");
	assert_int_equal(m.v[1].type, USER_MOUNT_VOLUME);
	assert_string_equal(m.v[2].destination, "/a/b");
	assert_string_equal(m.v[2].options[0], "size=1m");
	assert_true(m.v[3].read_only);
	options_append(&o.volumes, "/tmp:/a/../data");
	assert_int_equal(user_mounts_parse(&o, &none), -EINVAL);
	assert_string_equal(err_message(), "/data: duplicate mount destination");
}

static void test_check(void **state)
{
	static const struct {
		size_t list;
		const char *value;
		const char *message;
	} rows[] = {
#define ROW(field, value, message) {offsetof(struct container_options, field), value, message}
		ROW(volumes, "a:b:c:d",
		    "incorrect volume format \"a:b:c:d\", should be "
		    "[host-dir:]ctr-dir[:option]"),
		ROW(volumes, "/etc:x",
		    "invalid container path \"x\", must be an absolute path in "
		    "\"/etc:x\""),
		ROW(volumes, "/etc:/x:bogus",
		    "invalid volume option \"bogus\" in \"/etc:/x:bogus\""),
		ROW(volumes, "/nosuch:/x", "statfs /nosuch: no such file or directory"),
		ROW(mounts, "type=bind,dst=/x",
		    "must set an absolute source in --mount "
		    "\"type=bind,dst=/x\""),
		ROW(mounts, "bogus", "invalid mount option \"bogus\" in \"bogus\""),
		ROW(tmpfs, "/x:bogus", "unknown mount option \"bogus\" in \"/x:bogus\""),
		ROW(cap_add, "bogus", "\"CAP_BOGUS\": unknown capability"),
		ROW(ulimits, "bogus", "invalid ulimit argument: bogus"),
		ROW(command, "\xff", "the value of command is not valid UTF-8"),
		ROW(security_opt, "bogus", "invalid --security-opt: bogus"),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(container_options_clear) struct container_options o;

		container_options_init(&o);
		options_append((char ***)((char *)&o + rows[i].list), rows[i].value);
		assert_true(container_options_check(&o) < 0);
		assert_string_equal(err_message(), rows[i].message);
	}
}

static void test_relative(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;

	container_options_init(&o);
	options_append(&o.volumes, ".:/x:ro");
	assert_int_equal(container_options_check(&o), 0);
	assert_int_equal(o.volumes[0][0], '/');
	assert_true(g_str_has_suffix(o.volumes[0], ":/x:ro"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),	 cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_signals),	 cmocka_unit_test(test_values),
		cmocka_unit_test(test_mounts),	 cmocka_unit_test(test_check),
		cmocka_unit_test(test_relative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
