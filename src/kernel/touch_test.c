/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"
#include "kernel/touch.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE  4096u
#define PAGES 64u

static void makes_pages_and_changes_none(void **state)
{
	uint8_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t there[PAGES];

	madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(area, 'a', 8 * PAGE);
	touch_memory(getpid(), (uintptr_t)area, PAGES / 2 * PAGE);
	assert_int_equal(mincore(area, PAGES * PAGE, there), 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(there[i] & 1, i < PAGES / 2);
	for (unsigned i = 0; i < PAGES * PAGE; i++)
		assert_int_equal(area[i], i < 8 * PAGE ? 'a' : 0);
	munmap(area, PAGES * PAGE);
}

/* What a parent and its child share is the child's own then; the parent's stays. */
static void touches_others(void **state)
{
	uint8_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t back[PAGE];
	struct iovec to = {back, PAGE}, from = {area + PAGE, PAGE};
	pid_t pid;

	memset(area, 'b', PAGES * PAGE);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	touch_memory(pid, (uintptr_t)area, PAGES * PAGE);
	memset(area, 'c', PAGES * PAGE);
	assert_int_equal(process_vm_readv(pid, &to, 1, &from, 1, 0), PAGE);
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(back[i], 'b');
	touch_memory(pid, 4096, PAGE); /* there is nothing */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	munmap(area, PAGES * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_pages_and_changes_none),
		cmocka_unit_test(touches_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
