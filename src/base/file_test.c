/* SPDX-License-Identifier: Apache-2.0 */
#include "base/atomicdir.h"
#include "base/discard.h"
#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* cmocka wants the above first */
#include <cmocka.h>

static int make_dir(void **state)
{
	char name[] = "/tmp/file_test.XXXXXX";

	*state = g_strdup(mkdtemp(name));
	return *state ? 0 : -1;
}

static int drop_dir(void **state)
{
	int r = file_remove_tree_at(AT_FDCWD, *state);

	g_free(*state);
	return r;
}

static void replace_then_read(void **state)
{
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);
	g_autofree char *text = NULL;
	size_t len;

	assert_int_equal(file_replace_at(dir, "f", "one", 3, 0600), 0);
	assert_int_equal(file_replace_at(dir, "f", "three", 5, 0640), 0);
	assert_int_equal(file_read_at(dir, "f", 100, &text, &len), 0);
	assert_string_equal(text, "three");
	assert_int_equal(file_read_at(dir, "f", 4, &text, &len), -EFBIG);
}

static void remove_tree_does_not_follow_links(void **state)
{
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);

	assert_int_equal(mkdirat(dir, "keep", 0700), 0);
	assert_int_equal(file_replace_at(dir, "keep/f", "x", 1, 0600), 0);
	assert_int_equal(mkdirat(dir, "gone", 0700), 0);
	assert_int_equal(symlinkat("../keep", dir, "gone/link"), 0);
	assert_int_equal(file_remove_tree_at(dir, "gone"), 0);
	assert_int_equal(faccessat(dir, "keep/f", F_OK, 0), 0);
	assert_int_equal(faccessat(dir, "gone", F_OK, 0), -1);
	assert_int_equal(file_remove_tree_at(dir, "never-there"), 0);
}

/* Deeper than descriptors and than PATH_MAX: made one step at a time, as anybody can. */
static void remove_tree_of_any_depth(void **state)
{
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);
	autoclose int at = -1;

	assert_int_equal(mkdirat(dir, "deep", 0700), 0);
	at = openat(dir, "deep", O_RDONLY | O_DIRECTORY);
	for (unsigned i = 0; i < 3000; i++) {
		int next;

		assert_int_equal(mkdirat(at, "x", 0700), 0);
		next = openat(at, "x", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(file_remove_tree_at(dir, "deep"), 0);
	assert_int_equal(faccessat(dir, "deep", F_OK, 0), -1);
}

static void atomicdir_is_all_or_nothing(void **state)
{
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);
	struct atomicdir d;
	g_autofree char *text = NULL;

	assert_int_equal(atomicdir_begin(&d, dir, "a"), 0);
	assert_int_equal(file_replace_at(d.fd, "v", "1", 1, 0600), 0);
	atomicdir_drop(&d);
	assert_int_equal(faccessat(dir, "a", F_OK, 0), -1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(atomicdir_begin(&d, dir, "a"), 0);
		assert_int_equal(file_replace_at(d.fd, "v", i ? "2" : "1", 1, 0600), 0);
		for (int k = 0; k < 150; k++) { /* more than are open at a time */
			g_autofree char *name = g_strdup_printf("f%d", k);

			assert_int_equal(file_write_at(d.fd, name, "", 0, 0600), 0);
		}
		assert_int_equal(atomicdir_also(&d, dir, "a/v"), 0);
		assert_int_equal(atomicdir_also(&d, dir, "missing"), 0);
		assert_int_equal(atomicdir_commit(&d), 0);
	}
	assert_int_equal(file_read_at(dir, "a/v", 10, &text, NULL), 0);
	assert_string_equal(text, "2");
	/* nothing but "a" and what the other tests made is left */
	assert_int_equal(mkdirat(dir, "a.new-1", 0700), 0);
	assert_int_equal(atomicdir_begin(&d, dir, "a"), 0);
	atomicdir_drop(&d);
	assert_int_equal(faccessat(dir, "a.new-1", F_OK, 0), -1);
}

static void discarded_is_gone_at_once(void **state)
{
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);
	int status;

	assert_int_equal(mkdirat(dir, "big.gone-1", 0700), 0); /* of a machine that went down */
	assert_int_equal(mkdirat(dir, "big", 0700), 0);
	assert_int_equal(file_write_at(dir, "big/v", "1", 1, 0600), 0);
	assert_int_equal(discard_at(dir, "big"), 0);
	assert_int_equal(faccessat(dir, "big", F_OK, 0), -1);
	while (waitpid(-1, &status, 0) > 0)
		assert_int_equal(status, 0);
	assert_int_equal(faccessat(dir, "big.gone-1", F_OK, 0), -1);
	assert_int_equal(discard_at(dir, "big"), 0);
	assert_int_equal(waitpid(-1, &status, 0), -1);
}

/* Somebody renames all the time, somewhere; without another try the kernel's EAGAIN gets through.
 */
static void resolving_is_tried_again(void **state)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	autoclose int dir = open(*state, O_RDONLY | O_DIRECTORY);
	pid_t busy;

	assert_int_equal(mkdirat(dir, "a-dir", 0700), 0);
	assert_int_equal(symlinkat("a-dir/../a-dir/../a-dir", dir, "up"), 0);
	assert_int_equal(mkdirat(dir, "one", 0700), 0);
	busy = fork();
	assert_true(busy >= 0);
	if (busy == 0)
		for (;;) {
			if (renameat(dir, "one", dir, "two") < 0 ||
			    renameat(dir, "two", dir, "one") < 0)
				_exit(1);
		}
	for (int i = 0; i < 20000; i++) {
		autoclose int fd = file_openat2(dir, "up", &how);

		if (fd < 0)
			fail_msg("try %d: errno %d", i, errno);
	}
	kill(busy, SIGKILL);
	assert_int_equal(waitpid(busy, NULL, 0), busy);
}

static void descriptors_travel(void **state)
{
	int pair[2], fds[4];
	unsigned n;
	char buf[8];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_send(pair[0], "hi", 2, (int[]){0, 1}, 2), 0);
	assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, 4, &n), 2);
	assert_int_equal(n, 2);
	close(fds[0]);
	close(fds[1]);
	close(pair[0]);
	assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, 4, &n), 0);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replace_then_read),
		cmocka_unit_test(remove_tree_does_not_follow_links),
		cmocka_unit_test(remove_tree_of_any_depth),
		cmocka_unit_test(atomicdir_is_all_or_nothing),
		cmocka_unit_test(discarded_is_gone_at_once),
		cmocka_unit_test(resolving_is_tried_again),
		cmocka_unit_test(descriptors_travel),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
