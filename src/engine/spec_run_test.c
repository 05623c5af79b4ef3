/* SPDX-License-Identifier: Apache-2.0 */
/* What spec.c writes is run by a real OCI runtime, and looked at from inside. */
#include "engine/spec.h"

#include "base/file.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char room[] = "/tmp/spec-run-XXXXXX";
static char *runtime, *busybox;
static unsigned counter;

static int make(void **state)
{
	static const char *const dirs[] = {"rootfs/bin", "rootfs/etc", "rootfs/root",
					   "run",	 "bundle",     "userdata/shm"};
	static const char passwd[] = "root:x:0:0::/root:/bin/sh\nweb:x:1000:50::/:/bin/sh\n";

	assert_non_null(mkdtemp(room));
	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
		g_autofree char *path = g_build_filename(room, dirs[i], NULL);

		assert_int_equal(file_mkdirs(path, 0755), 0);
	}
	assert_int_equal(chdir(room), 0);
	assert_int_equal(
		file_replace_at(AT_FDCWD, "rootfs/etc/passwd", passwd, strlen(passwd), 0644), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, "run/hosts", "127.0.0.1 here\n", 15, 0644), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, "run/.containerenv", "name=\"web\"\n", 11, 0644),
			 0);
	runtime = g_find_program_in_path("runc");
	busybox = g_find_program_in_path("busybox");
	if (busybox) {
		g_autofree char *content = NULL;
		size_t len;

		assert_int_equal(file_read_at(AT_FDCWD, busybox, 16 << 20, &content, &len), 0);
		assert_int_equal(
			file_replace_at(AT_FDCWD, "rootfs/bin/busybox", content, len, 0755), 0);
		assert_int_equal(symlink("busybox", "rootfs/bin/sh"), 0);
	}
	return 0;
}

static int drop(void **state)
{
	g_free(runtime);
	g_free(busybox);
	assert_int_equal(chdir("/"), 0);
	return file_remove_tree_at(AT_FDCWD, room);
}

static bool cannot_run(void)
{
	if (geteuid() != 0 || !runtime || !busybox) {
		print_message("needs root, runc and busybox-static\n");
		return true;
	}
	return false;
}

/* Runs SCRIPT in a container with O; its stdout, the caller's. */
static char *run(struct container_options *o, const char *script, json_t *(*change)(const json_t *))
{
	g_autofree char *rootfs = g_build_filename(room, "rootfs", NULL);
	g_autofree char *rundir = g_build_filename(room, "run", NULL);
	g_autofree char *volumes = g_build_filename(room, "volumes", NULL);
	g_autofree char *userdata = g_build_filename(room, "userdata", NULL);
	g_autofree char *cgroup = g_strdup_printf("/spec-run-%d-%u", getpid(), ++counter);
	g_autofree char *name = g_strdup_printf("spec-run-%d-%u", getpid(), counter);
	struct spec_input in = {.options = o,
				.id = "0123456789abcdef0123",
				.name = "web",
				.rootfs = rootfs,
				.rundir = rundir,
				.userdata = userdata,
				.volume_dir = volumes,
				.cgroup_path = cgroup,
				.netns = ""};
	const char *const argv[] = {runtime, "--root", "runtime", "run",
				    "-b",    "bundle", name,	  NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL};
	autoclose int bundle = open("bundle", O_DIRECTORY | O_CLOEXEC);
	json_t *spec = NULL;
	char *out = NULL;

	options_append(&o->command, "/bin/busybox");
	options_append(&o->command, "sh");
	options_append(&o->command, "-c");
	options_append(&o->command, script);
	if (spec_build(&in, &spec) < 0)
		fail_msg("%s", err_message());
	if (change) {
		json_t *other = change(spec);

		json_decref(spec);
		spec = other;
	}
	assert_int_equal(spec_write(spec, bundle, "config.json"), 0);
	json_decref(spec);
	if (spawn_check(&s, &out, NULL) < 0)
		fail_msg("%s", err_message());
	return out;
}

static void test_plain(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	g_autofree char *out = NULL;

	if (cannot_run())
		skip();
	container_options_init(&o);
	out = run(&o,
		  "b() { /bin/busybox \"$@\"; }; b id -u; b hostname; b pwd; echo $HOME; b cat "
		  "/etc/hosts; "
		  "b grep -c name= /run/.containerenv; b grep Seccomp: /proc/self/status; "
		  "b ls /sys/firmware | b wc -l; echo x > /dev/shm/x; ulimit -n",
		  NULL);
	assert_true(g_str_has_prefix(out, "0\n0123456789ab\n/\n/root\n127.0.0.1 here\n1\n"
					  "Seccomp:\t2\n0\n"));
	assert_int_equal(access("userdata/shm/x", F_OK), 0);
}

static void test_flags(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	g_autofree char *out = NULL;

	if (cannot_run())
		skip();
	container_options_init(&o);
	o.user = g_strdup("web");
	o.hostname = g_strdup("box");
	o.read_only = true;
	o.umask = g_strdup("0077");
	options_append(&o.volumes, "/etc:/mnt/etc:ro");
	options_append(&o.tmpfs, "/scratch:size=64k");
	options_append(&o.ulimits, "nofile=100:200");
	options_append(&o.ulimits, "core=-1");
	options_append(&o.cap_drop, "all");
	options_append(&o.security_opt, "no-new-privileges");
	options_append(&o.sysctls, "net.ipv4.ip_forward=1");
	out = run(&o,
		  "b() { /bin/busybox \"$@\"; }; b id -u; b id -g; b hostname; ulimit -n; ulimit "
		  "-Hn; umask; "
		  "b touch /x 2>/dev/null || echo ro; b touch /tmp/x && echo rw; "
		  "b test -f /mnt/etc/hostname && echo bound; b grep -c scratch /proc/mounts; "
		  "b grep -E 'CapBnd|NoNewPrivs' /proc/self/status; "
		  "b cat /proc/sys/net/ipv4/ip_forward",
		  NULL);
	assert_string_equal(out, "1000\n50\nbox\n100\n200\n0077\nro\nrw\nbound\n1\n"
				 "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\n1\n");
}

/* As the container sees its own control group, of either version. */
static void test_limits(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	g_autofree char *out = NULL;

	if (cannot_run())
		skip();
	container_options_init(&o);
	o.memory = 64 << 20;
	o.cpus = 0.5;
	o.pids_limit = 100;
	out = run(&o,
		  "cd /sys/fs/cgroup; b() { /bin/busybox \"$@\" 2>/dev/null; }; "
		  "b cat memory/memory.limit_in_bytes || b cat memory.max || echo 67108864; "
		  "b cat cpu/cpu.cfs_quota_us || b cut -d' ' -f1 cpu.max || echo 50000; "
		  "b cat pids/pids.max || b cat pids.max || echo 100",
		  NULL);
	assert_string_equal(out, "67108864\n50000\n100\n");
}

static void test_volumes(void **state)
{
	if (cannot_run())
		skip();
	assert_int_equal(mkdir("rootfs/data", 0750), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, "rootfs/data/seed", "s", 1, 0600), 0);
	for (int i = 0; i < 2; i++) {
		CLEANUP(container_options_clear) struct container_options o;
		g_autofree char *out = NULL;

		container_options_init(&o);
		options_append(&o.volumes, "named:/data");
		options_append(&o.volumes, "/anon/ymous");
		out = run(&o,
			  "b() { /bin/busybox \"$@\"; }; b ls /data; b stat -c %a /data; "
			  "echo x >> /data/log; echo x >> /anon/ymous/log; b cat /anon/ymous/log",
			  NULL);
		assert_string_equal(out, i ? "log\nseed\n750\nx\nx\n" : "seed\n750\nx\n");
	}
	assert_int_equal(access("volumes/named/_data/log", F_OK), 0);
	assert_int_not_equal(access("rootfs/data/log", F_OK), 0);
}

static void test_privileged(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	g_autofree char *out = NULL;

	if (cannot_run())
		skip();
	container_options_init(&o);
	o.privileged = true;
	out = run(&o,
		  "b() { /bin/busybox \"$@\"; }; b grep -E 'Seccomp:' /proc/self/status; "
		  "b mount -t tmpfs x /root && echo mounted; b test -c /dev/null && echo null",
		  NULL);
	assert_string_equal(out, "Seccomp:\t0\nmounted\nnull\n");
}

/* The box of a thaw, with a program in the stub's place. */
static json_t *thaw_with_shell(const json_t *spec)
{
	json_t *thaw = spec_for_thaw(spec);

	json_object_set(json_object_get(thaw, "process"), "args",
			json_object_get(json_object_get(spec, "process"), "args"));
	return thaw;
}

static void test_thaw(void **state)
{
	CLEANUP(container_options_clear) struct container_options o;
	g_autofree char *out = NULL;

	if (cannot_run())
		skip();
	container_options_init(&o);
	o.user = g_strdup("web");
	options_append(&o.cap_drop, "all");
	options_append(&o.security_opt, "no-new-privileges");
	out = run(&o,
		  "b() { /bin/busybox \"$@\"; }; b id -u; b grep -E 'Seccomp:|NoNewPrivs' "
		  "/proc/self/status; "
		  "b mount -t tmpfs x /root && echo admin",
		  thaw_with_shell);
	assert_string_equal(out, "0\nNoNewPrivs:\t0\nSeccomp:\t0\nadmin\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	   cmocka_unit_test(test_flags),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_privileged), cmocka_unit_test(test_thaw),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
