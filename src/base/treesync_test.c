/* SPDX-License-Identifier: Apache-2.0 */
#include "base/treesync.h"

#include "base/file.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* In memory: a disk that is busy would make fdatasync(2) wait for others. */
struct trees {
	char *dir;
	int from, to;
};

static void sh(const struct trees *t, const char *script)
{
	const char *const argv[] = {"/bin/sh", "-ec", script, NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .dir = t->dir};

	if (spawn_check(&s, NULL, NULL) < 0)
		fail_msg("%s: %s", script, err_message());
}

static int setup(void **state)
{
	struct trees *t = g_new0(struct trees, 1);

	t->dir = g_strdup("/dev/shm/treesync.XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	sh(t, "mkdir from to");
	g_autofree char *from = g_build_filename(t->dir, "from", NULL);
	g_autofree char *to = g_build_filename(t->dir, "to", NULL);
	t->from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->to = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->from >= 0 && t->to >= 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct trees *t = *state;

	close(t->from);
	close(t->to);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, t->dir), 0);
	g_free(t->dir);
	g_free(t);
	return 0;
}

/* Names, kinds, owners, modes, times, sizes, link counts, targets, device numbers, content. */
#define LIST                                                                                       \
	"find . -printf '%p %y %U %G %m %T@ %s %n %l\\n' | grep -v ' d ' | sort >../$1.list; "     \
	"find . -type d -printf '%p %U %G %m %T@\\n' | sort >>../$1.list; "                        \
	"find . -type f -exec sha256sum {} + | sort -k2 >>../$1.list; "                            \
	"find . -type c -exec stat -c '%n %t %T' {} + | sort >>../$1.list"

static void same(const struct trees *t)
{
	sh(t, "l() { (cd $1; " LIST "); }; l from; l to; diff -u from.list to.list >&2");
}

static void everything_is_copied(void **state)
{
	const struct trees *t = *state;
	CLEANUP(treesync_free) struct treesync *s = treesync_new(t->from, t->to);
	char value[8];
	struct stat st;

	sh(t, "cd from; mkdir -p a/b c; echo 1 >a/b/x; ln a/b/x c/y; ln -s ../nowhere a/l; "
	      "mknod w c 0 0; ln w a/w; mkfifo p; chown 7:8 a/b/x; chmod 4755 a/b/x; "
	      "truncate -s 64M hole; echo end >>hole; chmod 1777 c; touch -d @1000 c a; echo old "
	      ">../to/z");
	assert_int_equal(setxattr(t->dir, "user.none", "", 0, XATTR_REPLACE) < 0, 1);
	g_autofree char *dir = g_build_filename(t->dir, "from/a", NULL);
	assert_int_equal(setxattr(dir, "trusted.overlay.opaque", "y", 1, 0), 0);
	assert_int_equal(treesync_pass(s), 0);
	same(t);
	g_autofree char *copy = g_build_filename(t->dir, "to/a", NULL);
	assert_int_equal(getxattr(copy, "trusted.overlay.opaque", value, sizeof(value)), 1);
	assert_int_equal(fstatat(t->to, "hole", &st, 0), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
}

static void a_second_pass_copies_what_changed(void **state)
{
	const struct trees *t = *state;
	CLEANUP(treesync_free) struct treesync *s = treesync_new(t->from, t->to);

	sh(t,
	   "cd from; mkdir d gone; head -c 3000000 /dev/zero | tr '\\0' x >d/big; echo 1 >small; "
	   "echo 2 >gone/f; ln small other; echo 3 >becomes; sleep 0.2");
	assert_int_equal(treesync_pass(s), 0);
	same(t);
	sh(t, "cd from; echo 22 >small; touch -r d/big small; rm -r gone; mv d e; rm becomes; "
	      "mkdir becomes; "
	      "echo new >becomes/n");
	assert_int_equal(treesync_pass(s), 0);
	same(t);
	/* Renamed directories are copied again; what stayed is not. */
	sh(t, "sleep 0.2");
	assert_int_equal(treesync_pass(s), 0);
	sh(t, "printf z | dd of=from/e/big bs=1 seek=5 conv=notrunc 2>/dev/null");
	assert_int_equal(treesync_pass(s), 0);
	same(t);
	assert_true(treesync_copied(s) >= 3000000 || treesync_total(s) >= 3000000);
	sh(t, "sleep 0.2");
	assert_int_equal(treesync_pass(s), 0);
	assert_int_equal(treesync_pass(s), 0);
	assert_int_equal(treesync_copied(s), 0);
	same(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_is_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_pass_copies_what_changed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
