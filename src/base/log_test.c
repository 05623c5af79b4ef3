/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

static bool has(int fd, const char *text)
{
	char all[4096] = "";

	assert_true(pread(fd, all, sizeof(all) - 1, 0) >= 0);
	return strstr(all, text) != NULL;
}

static int begin(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_true(fd >= 0);
	log_threshold = LOG_DEBUG;
	log_to_fd(fd);
	return fd;
}

/* On a slow machine lines may have to be written before we look. */
static bool is_early(gint64 begun)
{
	return g_get_monotonic_time() - begun < LOG_HELD_US;
}

static void together(void **state)
{
	autoclose int fd = begin();
	gint64 begun = g_get_monotonic_time();
	log_held h = log_hold();

	assert_true(h);
	log_debug("one");
	log_debug("two");
	if (is_early(begun))
		assert_false(has(fd, "one"));
	log_warn("three");
	assert_true(has(fd, "one") && has(fd, "two") && has(fd, "three"));
	log_debug("four");
	if (is_early(begun))
		assert_false(has(fd, "four"));
	log_release(&h);
	assert_true(has(fd, "four"));
	log_debug("five");
	assert_true(has(fd, "five"));
	log_to_fd(-1);
}

static void late(void **state)
{
	autoclose int fd = begin();
	CLEANUP(log_release) log_held h = log_hold();

	log_debug("one");
	g_usleep(LOG_HELD_US + 1000);
	log_debug("two");
	assert_true(has(fd, "one") && has(fd, "two"));
	log_release(&h);
	log_to_fd(-1);
}

/* A child writes its own lines and none of ours. */
static void children(void **state)
{
	autoclose int fd = begin();
	gint64 begun = g_get_monotonic_time();
	log_held h = log_hold();
	bool early;
	int status;
	pid_t pid;

	log_debug("ours");
	early = is_early(begun);
	pid = fork();
	if (pid == 0) {
		log_debug("its");
		log_release(&h);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(has(fd, "its"));
	if (early)
		assert_false(has(fd, "ours"));
	log_release(&h);
	assert_true(has(fd, "ours"));
	log_to_fd(-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(together),
		cmocka_unit_test(late),
		cmocka_unit_test(children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
