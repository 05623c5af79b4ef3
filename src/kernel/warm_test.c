/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/warm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES (UINT64_C(64) << 20)

static int next_fd(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	close(fd);
	return fd;
}

/* Somebody else touches it: of ours no descriptors are left. */
static void nothing_is_left(void **state)
{
	struct rusage child;
	int fd = next_fd(), warming = warm_begin(BYTES);
	bool begun = warming >= 0;

	warm_end(&warming);
	assert_int_equal(warming, -1);
	assert_int_equal(next_fd(), fd);
	if (!begun) /* no virtual machine, or little memory */
		skip();
	assert_true(waitpid(-1, NULL, 0) > 0);
	getrusage(RUSAGE_CHILDREN, &child);
	assert_true((uint64_t)child.ru_maxrss * 1024 >= BYTES);
}

static void little_is_left_alone(void **state)
{
	assert_int_equal(warm_begin(BYTES / 64), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(little_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
