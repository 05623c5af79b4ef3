/* SPDX-License-Identifier: Apache-2.0 */
/* More bells than one list has: all ring when their owner dies, none when it lets go of them. */
#include "agent/private.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BELLS 4500u

static struct slot *slots;

static unsigned owned(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BELLS; i++)
		n += (slots[i].bell & BELL_OWNER) != 0;
	return n;
}

/* Owns all, says so, and waits for its end; has let go of the first UNOWNED. */
static pid_t owner(unsigned unowned)
{
	int told[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (unsigned i = 0; i < BELLS; i++)
			if (bell_own(&slots[i]) < 0)
				_exit(1);
		for (unsigned i = 0; i < unowned; i++)
			bell_disown(&slots[i]);
		if (write(told[1], "x", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &c, 1), 1);
	close(told[0]);
	return pid;
}

static void all_ring(void **state)
{
	pid_t pid = owner(0);

	assert_int_equal(owned(), BELLS);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(owned(), 0);
}

static void who_is_let_go_does_not(void **state)
{
	pid_t pid = owner(2100);

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(owned(), 2100);
}

static void again_after_all_were_let_go(void **state)
{
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < BELLS; i++)
			assert_int_equal(bell_own(&slots[i]), 0);
		for (unsigned i = BELLS; i-- > 0;)
			bell_disown(&slots[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ring),
		cmocka_unit_test(who_is_let_go_does_not),
		cmocka_unit_test(again_after_all_were_let_go),
	};

	slots = mmap(NULL, BELLS * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return slots == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
