/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dir.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

/* data/, abs -> /data, out -> ../.. */
static int make_root(void **state)
{
	char name[] = "/tmp/dir_test.XXXXXX";
	autoclose int root = -1;

	*state = g_strdup(mkdtemp(name));
	root = open(name, O_RDONLY | O_DIRECTORY);
	return root >= 0 && mkdirat(root, "data", 0755) == 0 &&
			       symlinkat("/data", root, "abs") == 0 &&
			       symlinkat("../..", root, "out") == 0
		       ? 0
		       : -1;
}

static int drop_root(void **state)
{
	int r = file_remove_tree_at(AT_FDCWD, *state);

	g_free(*state);
	return r;
}

static void links_lead_nowhere_beneath(void **state)
{
	autoclose int root = open(*state, O_RDONLY | O_DIRECTORY);
	autoclose int self = dir_open_beneath(root, "", O_PATH);
	struct stat a, b;

	assert_int_equal(fstat(root, &a), 0);
	assert_int_equal(fstat(self, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(dir_open_beneath(root, "abs", O_RDONLY), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(dir_open_beneath(root, "out/etc", O_RDONLY), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(dir_open_beneath(root, "../", O_RDONLY), -1);
	assert_int_equal(errno, EXDEV);
}

static void links_are_the_containers_in_root(void **state)
{
	autoclose int root = open(*state, O_RDONLY | O_DIRECTORY);
	autoclose int file = -1, out = -1;
	struct stat a, b;

	assert_int_equal(dir_make_in_root(root, "/abs/one//two"), 0);
	assert_int_equal(dir_make_in_root(root, "/abs/one/two"), 0);
	assert_int_equal(faccessat(root, "data/one/two", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	file = dir_open_in_root(root, "/abs/file", O_RDONLY | O_CREAT);
	assert_int_not_equal(file, -1);
	assert_int_equal(faccessat(root, "data/file", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	out = dir_open_in_root(root, "out", O_PATH);
	assert_int_equal(fstat(root, &a), 0);
	assert_int_equal(fstat(out, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(dir_make_in_root(root, "/abs/file/below"), -ENOTDIR);
}

static void names_are_sorted(void **state)
{
	autoclose int root = open(*state, O_PATH | O_DIRECTORY);
	g_autoptr(GPtrArray) names = NULL;

	assert_int_equal(dir_names(root, &names), 0);
	assert_int_equal(names->len, 3);
	assert_string_equal(names->pdata[0], "abs");
	assert_string_equal(names->pdata[1], "data");
	assert_string_equal(names->pdata[2], "out");
	assert_true(dir_names_have(names, "data"));
	assert_false(dir_names_have(names, "dat"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_lead_nowhere_beneath, make_root, drop_root),
		cmocka_unit_test_setup_teardown(links_are_the_containers_in_root, make_root,
						drop_root),
		cmocka_unit_test_setup_teardown(names_are_sorted, make_root, drop_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
