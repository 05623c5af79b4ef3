/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/fdinfo.h"
#include "kernel/kcmp.h"
#include "kernel/kernel_test.h"
#include "kernel/mountinfo.h"
#include "kernel/ns.h"
#include "kernel/proc.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

static void captured_timerfd(void **state)
{
	CLEANUP_FIXTURE int dir =
		fixture("fdinfo/4",
			"pos:\t0\nflags:\t02000002\nmnt_id:\t14\nino:\t57\nclockid: 0\nticks: 0\n"
			"settime flags: 01\nit_value: (0, 49406829)\nit_interval: (1, 0)\n");
	CLEANUP(fdinfo_clear) struct fdinfo f = {0};
	uint64_t v;

	assert_ok(fdinfo_read(dir, 4, &f));
	assert_int_equal(f.flags, O_RDWR | O_CLOEXEC);
	assert_int_equal(f.mnt_id, 14);
	assert_int_equal(f.ino, 57);
	assert_string_equal(fdinfo_get(&f, "settime"), "flags: 01");
	assert_ok(fdinfo_field(fdinfo_get(&f, "settime"), "flags", 8, &v));
	assert_int_equal(v, 1);
	assert_string_equal(fdinfo_get(&f, "it_value"), "(0, 49406829)");
	assert_null(fdinfo_get(&f, "it_val"));
}

static void captured_inotify_lines(void **state)
{
	CLEANUP_FIXTURE int dir = fixture(
		"fdinfo/3",
		"pos:\t0\nflags:\t00\nmnt_id:\t14\n"
		"inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8\n"
		"inotify wd:2 ino:a111 sdev:800013 mask:800afce\n");
	CLEANUP(fdinfo_clear) struct fdinfo f = {0};
	const char *line;
	uint64_t v;
	size_t at = 0;

	assert_ok(fdinfo_read(dir, 3, &f));
	line = fdinfo_next(&f, "inotify", &at);
	assert_ok(fdinfo_field(line, "mask", 16, &v));
	assert_int_equal(v, 0x800afce);
	assert_ok(fdinfo_field(line, "ignored_mask", 16, &v));
	assert_int_equal(v, 0);
	line = fdinfo_next(&f, "inotify", &at);
	assert_ok(fdinfo_field(line, "ino", 16, &v));
	assert_int_equal(v, 0xa111);
	assert_int_equal(fdinfo_field(line, "no", 16, &v), -EBADMSG);
	assert_null(fdinfo_next(&f, "inotify", &at));
}

static void real_descriptors(void **state)
{
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int ev = eventfd(5, EFD_CLOEXEC), ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1234};
	CLEANUP(fdinfo_clear) struct fdinfo a = {0}, b = {0};
	const char *line;
	uint64_t v;

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e), 0);
	assert_ok(fdinfo_read(self, ev, &a));
	assert_ok(fdinfo_u64(&a, "eventfd-count", 16, &v));
	assert_int_equal(v, 5);
	assert_ok(fdinfo_read(self, ep, &b));
	line = fdinfo_get(&b, "tfd");
	assert_non_null(line);
	assert_int_equal(strtol(line, NULL, 10), ev);
	assert_ok(fdinfo_field(line, "data", 16, &v));
	assert_int_equal(v, 0x1234);
	fdinfo_clear(&a);
	assert_int_equal(fdinfo_read(self, 999999, &a), -ENOENT);
}

static void captured_mountinfo(void **state)
{
	CLEANUP(mountinfo_clear) struct mountinfo m = {0};
	char *text = g_strdup(
		"36 35 98:0 / / rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
		"37 36 0:5 /sub /a\\040b ro,nosuid shared:7 master:2 propagate_from:3 "
		"unbindable - tmpfs  rw,size=64k\n"
		"38 37 0:6 / /a\\040b rw - overlay over\\134lay rw,lowerdir=/x,upperdir=/y\n");
	const struct mount_entry *e;
	char *value;

	assert_ok(mountinfo_parse(text, &m));
	assert_int_equal(m.n, 3);
	e = mountinfo_by_id(&m, 37);
	assert_string_equal(e->target, "/a b");
	assert_int_equal(e->shared, 7);
	assert_int_equal(e->master, 2);
	assert_int_equal(e->propagate_from, 3);
	assert_true(e->unbindable);
	assert_string_equal(e->source, "");
	e = mountinfo_at(&m, "/a b");
	assert_int_equal(e->id, 38);
	assert_string_equal(e->source, "over\\lay");
	assert_true(mount_option(e->sb_options, "upperdir", &value));
	assert_string_equal(value, "/y");
	g_free(value);
	assert_false(mount_option(e->sb_options, "upper", NULL));
	assert_null(mountinfo_at(&m, "/a"));
	assert_int_equal(mountinfo_parse(g_strdup("1 2 3\n"), &m), -EBADMSG);
}

static void shared_files(void **state)
{
	CLEANUP(kcmp_set_drop) struct kcmp_set *set = kcmp_set_new(KCMP_FILE);
	autoclose int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b = dup(a);
	autoclose int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CLEANUP_CHILD struct child c = child_start(NULL, NULL);
	uint32_t id, first;
	pid_t pid;
	int tfd, r;

	r = kcmp_set_add(set, getpid(), a, 0, &first);
	assert_int_equal(r, 1);
	r = kcmp_set_add(set, getpid(), b, 0, &id);
	if (r == -ENOSYS || r == -EPERM)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(id, first);
	assert_int_equal(kcmp_set_add(set, getpid(), other, 0, &id), 1);
	assert_int_not_equal(id, first);
	assert_int_equal(kcmp_set_add(set, c.pid, a, 0, &id), 0);
	assert_int_equal(id, first);
	kcmp_set_first(set, id, &pid, &tfd);
	assert_int_equal(pid, getpid());
	assert_int_equal(tfd, a);
	assert_int_equal(kcmp_set_count(set), 2);
	assert_int_equal(kcmp_set_add(set, c.pid, 999, 0, &id), -EBADF);
}

static void many_shared_files(void **state)
{
	CLEANUP(kcmp_set_drop) struct kcmp_set *set = kcmp_set_new(KCMP_FILE);
	int fds[200];
	uint32_t ids[200], id;

	for (int i = 0; i < 200; i++) {
		fds[i] = i % 2 ? dup(fds[i - 1]) : open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_int_equal(kcmp_set_add(set, getpid(), fds[i], 0, &ids[i]), !(i % 2));
	}
	for (int i = 0; i < 200; i++) {
		assert_int_equal(kcmp_set_add(set, getpid(), fds[i], 0, &id), 0);
		assert_int_equal(id, ids[i]);
		assert_int_equal(id, i / 2 + 1);
	}
	for (int i = 0; i < 200; i++)
		close(fds[i]);
}

static void own_uts(void *arg)
{
	if (unshare(CLONE_NEWUTS) < 0 || sethostname("inside", 6) < 0)
		_exit(1);
}

static int open_and_name(void *arg, int *ret_fd)
{
	char name[64];

	if (gethostname(name, sizeof(name)) < 0 || strcmp(name, "inside"))
		return err_set(EINVAL, "the name is %s", name);
	*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 3;
}

static int just_fail(void *arg, int *ret_fd)
{
	return err_set(EBUSY, "it is %s", arg ? "so" : "not");
}

static void inside_a_namespace(void **state)
{
	autoclose int ns = -1, fd = -1, self = open("/proc/self", O_RDONLY | O_DIRECTORY);
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	uint64_t ours[NS_COUNT], theirs[NS_COUNT];
	struct timens t;
	int r;

	if (geteuid() != 0)
		skip();

	CLEANUP_CHILD struct child c = child_start(own_uts, NULL);

	assert_ok(proc_open(c.pid, &p));
	assert_ok(ns_ids(self, ours));
	assert_ok(ns_ids(p.dir, theirs));
	assert_true(ours[NS_UTS] != theirs[NS_UTS] && ours[NS_NET] == theirs[NS_NET]);
	assert_ok(ns_open(p.dir, NS_UTS, &ns));
	assert_int_equal(ns_run(&ns, 1, open_and_name, NULL, &fd), 3);
	assert_true(fd >= 0);
	assert_int_equal(ns_run(&ns, 1, just_fail, &ns, NULL), -EBUSY);
	assert_string_equal(err_message(), "it is so");
	r = timens_read(self, &t);
	assert_true(r == 0 || r == -ENOENT);
}

static void time_offsets(void **state)
{
	CLEANUP_FIXTURE int dir = fixture(
		"timens_offsets", "monotonic          -3  999999999\nboottime         100 5\n");
	struct timens t;
	char text[128];

	assert_ok(timens_read(dir, &t));
	assert_int_equal(t.monotonic_s, -3);
	assert_int_equal(t.monotonic_ns, 999999999);
	assert_int_equal(t.boottime_s, 100);
	timens_text(&t, text, sizeof(text));
	assert_string_equal(text, "monotonic -3 999999999\nboottime 100 5\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_timerfd),   cmocka_unit_test(captured_inotify_lines),
		cmocka_unit_test(real_descriptors),   cmocka_unit_test(captured_mountinfo),
		cmocka_unit_test(shared_files),	      cmocka_unit_test(many_shared_files),
		cmocka_unit_test(inside_a_namespace), cmocka_unit_test(time_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
