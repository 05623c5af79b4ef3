/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/fsmagic.h"
#include "kernel/kernel_test.h"
#include "kernel/mount.h"
#include "kernel/mountinfo.h"
#include "kernel/ns.h"
#include "kernel/probe.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Everything here happens in a mount namespace and a tmpfs of our own. */
static char *base;

static void put(const char *dir, const char *name, const char *text)
{
	g_autofree char *path = g_strdup_printf("%s/%s", base, dir);
	autoclose int fd = -1;

	assert_ok(file_mkdirs(path, 0755));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (name)
		assert_ok(file_replace_at(fd, name, text, strlen(text), 0644));
}

static char *in_base(const char *name)
{
	return g_strdup_printf("%s/%s", base, name);
}

static void assert_content(const char *path, const char *text)
{
	g_autofree char *got = NULL;

	assert_ok(file_read_at(AT_FDCWD, path, 4096, &got, NULL));
	assert_string_equal(got, text);
}

static int setup(void **state)
{
	char name[] = "/tmp/mount_test.XXXXXX";
	autoclose int fd = -1;

	if (geteuid() != 0)
		return 0;
	base = g_strdup(mkdtemp(name));
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (mount_make("tmpfs", (struct mount_param[]){{"size", "1m"}, {}}, 0, &fd) < 0)
		return -1;
	return mount_attach(fd, AT_FDCWD, base);
}

static int teardown(void **state)
{
	int r = 0;

	if (base) {
		r = mount_detach(base);
		rmdir(base);
		g_free(base);
	}
	return r;
}

static void overlay_of(bool old_way, const char *lower_name)
{
	g_autofree char *a = in_base(lower_name), *b = in_base("b:c"), *up = in_base("up");
	g_autofree char *work = in_base("work"), *target = in_base("merged");
	g_autofree char *f = in_base("merged/f"), *g = in_base("merged/g"), *h = in_base("up/h");
	g_autofree char *new = in_base("merged/h");
	const char *lower[] = {a, b};
	struct mount_overlay o = {.lower = lower,
				  .nlower = 2,
				  .upper = up,
				  .work = work,
				  .attrs = MOUNT_ATTR_NODEV,
				  .old_way = old_way};
	autoclose int fd = -1, at = -1;
	uint64_t magic;
	struct stat st;

	put(lower_name, "f", "top");
	put("b:c", "f", "bottom");
	put("b:c", "g", "only");
	put("up", NULL, NULL);
	put("work", NULL, NULL);
	put("merged", NULL, NULL);
	assert_ok(mount_make_overlay(&o, &fd));
	assert_int_equal(mount_is_mount(target), 0);
	assert_ok(mount_attach(fd, AT_FDCWD, target));
	assert_int_equal(mount_is_mount(target), 1);
	assert_content(f, "top");
	assert_content(g, "only");
	assert_ok(file_replace_at(AT_FDCWD, new, "new", 3, 0600));
	assert_content(h, "new");
	at = open(target, O_PATH | O_CLOEXEC);
	assert_ok(fsmagic_of(at, &magic));
	assert_string_equal(fsmagic_name(magic), "overlay");
	assert_int_equal(mknod(g, S_IFREG, 0), -1);
	assert_ok(mount_detach(target));
	assert_int_equal(mount_is_mount(target), 0);
	assert_ok(mount_detach(target)); /* again: nothing to do */
	assert_ok(mount_detach_later(target));
	assert_int_equal(stat(g, &st), -1);
	unlink(h);
}

static void overlay(void **state)
{
	if (!base)
		skip();
	if (probe_has_name("overlay-lowerdir-plus") > 0)
		overlay_of(false, "a");
	overlay_of(true, "a");
}

static void overlay_with_long_paths(void **state)
{
	char name[600];

	if (!base)
		skip();
	memset(name, 'x', sizeof(name));
	name[200] = name[400] = '/';
	name[599] = 0;
	if (probe_has_name("overlay-lowerdir-plus") > 0)
		overlay_of(false, name);
	overlay_of(true, name);
}

static void overlay_errors_name_things(void **state)
{
	const char *lower[] = {"/no/such/layer"};
	struct mount_overlay o = {.lower = lower, .nlower = 1};
	int fd;

	if (!base)
		skip();
	assert_true(mount_make_overlay(&o, &fd) < 0);
	assert_int_equal(mount_make("nosuchfs", NULL, 0, &fd), -ENODEV);
	assert_non_null(strstr(err_message(), "nosuchfs"));
	assert_int_equal(mount_make("tmpfs", (struct mount_param[]){{"bogus", "1"}, {}}, 0, &fd),
			 -EINVAL);
	assert_non_null(strstr(err_message(), "bogus"));
}

static void own_mounts(void *arg)
{
	if (unshare(CLONE_NEWNS) < 0)
		_exit(1);
}

static int look(void *arg, int *ret_fd)
{
	g_autofree char *got = NULL;
	int r = file_read_at(AT_FDCWD, arg, 4096, &got, NULL);

	return r < 0 ? r : !strcmp(got, "hello");
}

static void into_another_namespace(void **state)
{
	g_autofree char *src = NULL, *dst = NULL, *file = NULL;
	autoclose int fd = -1, ns = -1, dir = -1;
	char path[32];

	if (!base)
		skip();
	put("src", "f", "hello");
	put("dst", NULL, NULL);
	src = in_base("src");
	dst = in_base("dst");
	file = in_base("dst/f");

	CLEANUP_CHILD struct child c = child_start(own_mounts, NULL);

	snprintf(path, sizeof(path), "/proc/%d", c.pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(ns_open(dir, NS_MNT, &ns));
	assert_ok(mount_copy(AT_FDCWD, src, false, &fd));
	assert_ok(mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE));
	assert_ok(mount_attach_in(fd, ns, dst));
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(ns_run(&ns, 1, look, file, NULL), 1);
	assert_ok(mount_bind(src, dst, false));
	assert_content(file, "hello");
	assert_ok(mount_detach_later(dst));
	assert_int_equal(mount_is_mount(dst), 0);
	assert_int_equal(access(file, F_OK), -1);
}

static void magics(void **state)
{
	assert_string_equal(fsmagic_name(0xef53), "ext4");
	assert_int_equal(fsmagic_number("tmpfs"), 0x01021994);
	assert_null(fsmagic_name(1));
	assert_int_equal(fsmagic_number("nosuchfs"), 0);
}

static void all_probes_answer(void **state)
{
	for (size_t i = 0; i < probe_count; i++) {
		int r = probe_has(&probes[i]);

		assert_true(r >= 0);
		assert_int_equal(probe_has(&probes[i]), r);
		print_message("%-24s %s%s\n", probes[i].name,
			      r ? "yes" : "no: ", r ? "" : err_message());
		assert_true(*probes[i].needed_for && *probes[i].without);
		assert_ptr_equal(probe_find(probes[i].name), &probes[i]);
	}
	assert_int_equal(probe_has_name("nonsense"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlay),
		cmocka_unit_test(overlay_with_long_paths),
		cmocka_unit_test(overlay_errors_name_things),
		cmocka_unit_test(into_another_namespace),
		cmocka_unit_test(magics),
		cmocka_unit_test(all_probes_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
