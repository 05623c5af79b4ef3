/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spec.h"

#include "base/file.h"
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A root file system of a few files, options and an image. */
struct room {
	char path[64];
	int fd;
	struct container_options o;
	json_t *image, *spec;
	struct spec_input in;
};

static void put(int dir, const char *name, const char *text)
{
	assert_int_equal(file_replace_at(dir, name, text, strlen(text), 0644), 0);
}

static int room_make(void **state)
{
	struct room *t = g_new0(struct room, 1);

	strcpy(t->path, "/tmp/spec-test-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->fd = open(t->path, O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(t->fd, "etc", 0755), 0);
	put(t->fd, "etc/passwd",
	    "root:x:0:0:root:/root:/bin/sh\nbroken\n1000:x:7:7::/seven:\nweb:x:1000:50:W:/home/"
	    "web:/"
	    "bin/sh\n");
	put(t->fd, "etc/group", "root:x:0:\nwheel:x:10:root,web\nweb:x:50:\ndisk:x:6:nobody,web\n");
	container_options_init(&t->o);
	t->image =
		json_pack("{s:[s,s],s:[s],s:[s],s:s,s:s}", "Env", "PATH=/bin", "A=1", "Cmd", "sh",
			  "Entrypoint", "/entry", "WorkingDir", "/srv/app", "StopSignal", "SIGINT");
	t->in = (struct spec_input){.options = &t->o,
				    .image_config = t->image,
				    .id = "0123456789abcdef0123",
				    .name = "web",
				    .rootfs = t->path,
				    .netns = ""};
	*state = t;
	return 0;
}

static int room_drop(void **state)
{
	struct room *t = *state;

	close(t->fd);
	container_options_clear(&t->o);
	json_decref(t->image);
	json_decref(t->spec);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, t->path), 0);
	g_free(t);
	return 0;
}

static void build(struct room *t)
{
	json_decref(t->spec);
	t->spec = NULL;
	if (spec_build(&t->in, &t->spec) < 0)
		fail_msg("%s", err_message());
}

/* "process.cwd" */
static json_t *at(struct room *t, const char *path)
{
	g_auto(GStrv) keys = g_strsplit(path, ".", -1);
	json_t *j = t->spec;

	for (char **k = keys; *k; k++)
		j = json_object_get(j, *k);
	return j;
}

static const char *text_at(struct room *t, const char *path)
{
	return json_string_value(at(t, path));
}

static bool has(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), text))
			return true;
	return false;
}

static void test_users(void **state)
{
	static const struct {
		const char *user;
		int uid, gid, groups; /* uid -1: refused */
		const char *home;
	} rows[] = {
		{NULL, 0, 0, 2, "/root"},
		{"", 0, 0, 2, "/root"},
		{"web", 1000, 50, 3, "/home/web"},
		{"web:disk", 1000, 6, 1, "/home/web"},
		{"web:77", 1000, 77, 1, "/home/web"},
		{"1000", 7, 7, 1, "/seven"}, /* a name first */
		{"4711", 4711, 0, 1, "/"},
		{"4711:4712", 4711, 4712, 1, "/"},
		{":disk", 0, 6, 1, "/root"},
		{"nobody", -1, 0, 0, NULL},
		{"web:nogroup", -1, 0, 0, NULL},
		{"4294967296", -1, 0, 0, NULL},
	};
	struct room *t = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(spec_user_clear) struct spec_user u = {};
		int r = spec_user_find(t->fd, rows[i].user, NULL, &u);

		assert_int_equal(r < 0, rows[i].uid < 0);
		if (r < 0)
			continue;
		assert_int_equal(u.uid, rows[i].uid);
		assert_int_equal(u.gid, rows[i].gid);
		assert_int_equal(u.ngroups, rows[i].groups);
		assert_string_equal(u.home, rows[i].home);
	}
}

/* Links of the image lead nowhere but into the image. */
static void test_links(void **state)
{
	struct room *t = *state;
	CLEANUP(spec_user_clear) struct spec_user u = {};
	autoclose int fd = -1;

	assert_int_equal(unlinkat(t->fd, "etc/passwd", 0), 0);
	assert_int_equal(symlinkat("../../../../../../etc/passwd", t->fd, "etc/passwd"), 0);
	assert_int_equal(spec_user_find(t->fd, "0", NULL, &u), 0);
	assert_string_equal(u.home, "/"); /* the link names itself, not the host's file */
	assert_int_equal(symlinkat("/tmp", t->fd, "srv"), 0);
	assert_int_equal(mkdirat(t->fd, "tmp", 0755), 0);
	build(t);
	assert_string_equal(text_at(t, "process.cwd"), "/srv/app");
	fd = openat(t->fd, "tmp/app", O_PATH | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(unlinkat(t->fd, "etc/passwd", 0), 0);
	assert_int_equal(mkfifoat(t->fd, "etc/passwd", 0644), 0);
	spec_user_clear(&u);
	assert_true(spec_user_find(t->fd, "0", NULL, &u) < 0);
}

static void test_process(void **state)
{
	struct room *t = *state;
	json_t *env;

	build(t);
	env = at(t, "process.env");
	assert_true(has(env, "PATH=/bin") && has(env, "A=1") && has(env, "HOME=/root"));
	assert_true(has(env, "HOSTNAME=0123456789ab") && has(env, "container=cryopod"));
	assert_int_equal(json_array_size(at(t, "process.args")), 2);
	assert_string_equal(text_at(t, "hostname"), "0123456789ab");
	assert_int_equal(spec_stop_signal(&t->o, t->image), 2);

	t->o.entrypoint = g_new0(char *, 1);
	options_append(&t->o.command, "ls");
	options_append(&t->o.env, "A=2");
	t->o.tty = true;
	t->o.workdir = g_strdup("/etc/../etc");
	build(t);
	env = at(t, "process.env");
	assert_true(has(env, "A=2") && !has(env, "A=1") && has(env, "TERM=xterm"));
	assert_int_equal(json_array_size(at(t, "process.args")), 1);
	assert_string_equal(text_at(t, "process.cwd"), "/etc");

	g_free(t->o.workdir);
	t->o.workdir = g_strdup("/nosuch");
	assert_int_equal(spec_build(&t->in, &t->spec), -ENOENT);
	assert_string_equal(err_message(), "workdir \"/nosuch\" does not exist on container "
					   "0123456789abcdef0123");
}

static void test_no_command(void **state)
{
	struct room *t = *state;
	char **argv;

	json_object_clear(t->image);
	assert_int_equal(spec_argv(&t->o, t->image, &argv), -EINVAL);
}

static void test_capabilities(void **state)
{
	struct room *t = *state;
	const json_t *bounding, *effective;

	if (!(spec_own_capabilities() >> CAP_NET_RAW & 1))
		skip();
	build(t);
	bounding = at(t, "process.capabilities.bounding");
	assert_int_equal(json_array_size(bounding), 11);
	assert_true(has(bounding, "CAP_SETFCAP") && !has(bounding, "CAP_NET_RAW"));

	options_append(&t->o.cap_add, "net_raw");
	options_append(&t->o.cap_drop, "ALL");
	t->o.user = g_strdup("web");
	build(t);
	bounding = at(t, "process.capabilities.bounding");
	effective = at(t, "process.capabilities.effective");
	assert_int_equal(json_array_size(bounding), 1);
	assert_int_equal(json_array_size(effective), 1);
	assert_true(has(at(t, "process.capabilities.ambient"), "CAP_NET_RAW"));

	options_append(&t->o.cap_drop, "CAP_NET_RAW");
	json_decref(t->spec);
	t->spec = NULL;
	assert_int_equal(spec_build(&t->in, &t->spec), -EINVAL);
}

/* The rules for one system call, of what was translated. */
static bool allows(struct room *t, const char *name)
{
	json_t *rules = at(t, "linux.seccomp.syscalls");

	for (size_t i = 0; i < json_array_size(rules); i++) {
		json_t *rule = json_array_get(rules, i);
		const char *action = json_string_value(json_object_get(rule, "action"));

		if (has(json_object_get(rule, "names"), name))
			return !strcmp(action, "SCMP_ACT_ALLOW");
	}
	return false;
}

static void test_seccomp(void **state)
{
	static const char profile[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":"
		"[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\"}],\"syscalls\":["
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"includes\":{},"
		"\"excludes\":{}},"
		"{\"names\":[\"chroot\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":"
		"[\"CAP_SYS_CHROOT\"]}},"
		"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":"
		"[\"CAP_SYS_ADMIN\"]}},"
		"{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":"
		"[\"CAP_SYS_CHROOT\"]}},"
		"{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":"
		"\"4.8\"}},"
		"{\"names\":[\"new\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":"
		"\"99.0\"}},"
		"{\"names\":[\"cell\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":"
		"[\"nosuch\"]}}]}";
	struct room *t = *state;
	g_autofree char *option = g_strdup_printf("seccomp=%s/profile.json", t->path);

	if (!(spec_own_capabilities() >> CAP_SYS_CHROOT & 1))
		skip();
	put(t->fd, "profile.json", profile);
	options_append(&t->o.security_opt, option);
	build(t);
	assert_int_equal(json_integer_value(at(t, "linux.seccomp.defaultErrnoRet")), 38);
	assert_true(allows(t, "read") && allows(t, "chroot") && allows(t, "old"));
	assert_false(allows(t, "mount") || allows(t, "bpf") || allows(t, "new") ||
		     allows(t, "cell"));
	put(t->fd, "profile.json", "{");
	json_decref(t->spec);
	t->spec = NULL;
	assert_int_equal(spec_build(&t->in, &t->spec), -EINVAL);
	options_append(&t->o.security_opt, "seccomp=unconfined");
	build(t);
	assert_null(at(t, "linux.seccomp"));
}

static void test_thaw(void **state)
{
	struct room *t = *state;
	json_t *thaw;

	t->o.user = g_strdup("web");
	build(t);
	thaw = spec_for_thaw(t->spec);
	assert_int_equal(spec_capability_ceiling(thaw) & spec_capability_ceiling(t->spec),
			 spec_capability_ceiling(t->spec));
	assert_true(json_equal(json_object_get(thaw, "mounts"), at(t, "mounts")));
	assert_null(json_object_get(json_object_get(thaw, "linux"), "seccomp"));
	assert_non_null(at(t, "linux.seccomp"));
	json_decref(t->spec);
	t->spec = thaw;
	assert_int_equal(json_integer_value(at(t, "process.user.uid")), 0);
	assert_string_equal(text_at(t, "process.cwd"), "/");
}

static void test_exec(void **state)
{
	struct room *t = *state;
	CLEANUP(exec_options_clear) struct exec_options x;
	json_t *p;

	build(t);
	exec_options_init(&x);
	options_append(&x.argv, "id");
	options_append(&x.env, "A=9");
	x.user = g_strdup("web");
	assert_int_equal(spec_exec_process(t->spec, t->path, &x, &p), 0);
	json_object_set_new(t->spec, "process", p);
	assert_int_equal(json_integer_value(at(t, "process.user.uid")), 1000);
	assert_int_equal(json_array_size(at(t, "process.capabilities.effective")), 0);
	assert_true(has(at(t, "process.env"), "HOME=/home/web"));
	assert_true(has(at(t, "process.env"), "A=9") && has(at(t, "process.env"), "PATH=/bin"));
}

/* RLIM_INFINITY survives the file; what the file says is what runtimes read. */
static void test_unlimited(void **state)
{
	struct room *t = *state;
	g_autofree char *text = NULL;
	json_t *back, *spec = json_pack("{s:I,s:I,s:s}", "hard", (json_int_t)INT64_MAX, "soft",
					(json_int_t)5, "x", "\"hard\":9223372036854775807");

	assert_int_equal(spec_write(spec, t->fd, "config.json"), 0);
	assert_int_equal(file_read_at(t->fd, "config.json", 4096, &text, NULL), 0);
	assert_non_null(strstr(text, "\"hard\":18446744073709551615,"));
	assert_int_equal(spec_read(t->fd, "config.json", &back), 0);
	assert_true(json_equal(spec, back));
	json_decref(spec);
	json_decref(back);
}

static void test_mounts(void **state)
{
	struct room *t = *state;
	bool proc = false, data = false;

	options_append(&t->o.tmpfs, "/proc:size=1m"); /* in place of ours */
	options_append(&t->o.volumes, "/etc:/data:ro,rslave,z");
	build(t);
	for (size_t i = 0; i < json_array_size(at(t, "mounts")); i++) {
		const json_t *m = json_array_get(at(t, "mounts"), i);
		const char *to = json_string_value(json_object_get(m, "destination"));
		const char *type = json_string_value(json_object_get(m, "type"));
		const json_t *options = json_object_get(m, "options");

		if (!strcmp(to, "/proc")) {
			assert_false(proc);
			assert_string_equal(type, "tmpfs");
			assert_true(has(options, "size=1m") && has(options, "nosuid"));
			proc = true;
		}
		if (!strcmp(to, "/data")) {
			assert_true(has(options, "ro") && has(options, "rbind"));
			assert_true(has(options, "rslave") && !has(options, "z"));
			data = true;
		}
	}
	assert_true(proc && data);
	assert_string_equal(text_at(t, "linux.rootfsPropagation"), "rslave");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, room_make, room_drop)
	const struct CMUnitTest tests[] = {
		TEST(test_users),	 TEST(test_links),   TEST(test_process),
		TEST(test_no_command),	 TEST(test_seccomp), TEST(test_thaw),
		TEST(test_capabilities), TEST(test_exec),    TEST(test_unlimited),
		TEST(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
