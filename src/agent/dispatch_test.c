/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL for the coordinator at any instant: threads keep their dispatch of system calls. */
#include "agent/agent_test.h"

#include "base/file.h"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define ROUNDS	   60
#define LONGEST_US 4000
#define PATIENCE_S 20
#define STAY_US	   500
#define EMULATED   4711
#define BLOCK	   1

struct seen { /* shared with the target */
	volatile unsigned long dispatched[2], native[2];
	volatile bool quit, refused;
};
static struct seen *seen;

static __thread volatile char selector;

static void on_sys(int sig, siginfo_t *si, void *context)
{
	selector = DISPATCH_ALLOW;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = EMULATED;
}

__attribute__((noinline)) static long parent(void)
{
	long r = SYS_getppid;

	__asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
	return r;
}

/* Now with calls dispatched and none made, now in a call. */
static void loop(unsigned i)
{
	struct timespec pause = {.tv_nsec = 100000};

	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector) != 0)
		seen->refused = true;
	while (!seen->quit && !seen->refused) {
		selector = BLOCK;
		for (volatile int k = 0; k < 200000; k++)
			;
		if (parent() == EMULATED)
			seen->dispatched[i]++;
		else
			seen->native[i]++;
		selector = DISPATCH_ALLOW;
		nanosleep(&pause, NULL);
	}
}

static void *second(void *arg)
{
	loop(1);
	return arg;
}

static int dispatches(int say, int ask)
{
	struct sigaction a = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_NODEFER};
	pthread_t t;

	sigaction(SIGSYS, &a, NULL);
	if (pthread_create(&t, NULL, second, NULL) || write(say, "r", 1) != 1)
		return 1;
	loop(0);
	pthread_join(t, NULL);
	return seen->refused ? 77 : 0;
}

static void one_agent(pid_t pid)
{
	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
	CLEANUP(agent_free) struct agent *a = NULL;
	CLEANUP(batches_end) struct batch b[4] = {0};
	bool ok = seize_begin(pid, 0, &s) == 0 && seize_settle(&s, 30000) == 0 &&
		  agent_inject(&s, NULL, NULL, &a) == 0;

	for (unsigned i = 0; ok && i < 2; i++) {
		batch_begin(&b[i], a, agent_thread_slot(a, i));
		for (int k = 0; k < 20; k++)
			batch_add(&b[i], SYS_getppid);
		ok = batch_post(&b[i]) == 0;
	}
	for (unsigned i = 0; ok && i < 2; i++)
		ok = batch_wait(&b[i]) == 0;
	usleep(STAY_US);
	if (!ok || agent_cure(a) < 0) {
		fprintf(stderr, "%s\n", err_message());
		_exit(1);
	}
}

static void assert_both_dispatch(void)
{
	unsigned long was[2] = {seen->dispatched[0], seen->dispatched[1]};

	for (int ms = 0; seen->dispatched[0] < was[0] + 2 || seen->dispatched[1] < was[1] + 2;
	     ms++) {
		if (ms > PATIENCE_S * 1000)
			fail_msg("dispatched %lu and %lu more, native %lu and %lu in all",
				 seen->dispatched[0] - was[0], seen->dispatched[1] - was[1],
				 seen->native[0], seen->native[1]);
		usleep(1000);
	}
}

static void test_any_instant(void **state)
{
	struct target t;
	unsigned rnd = (unsigned)time(NULL);

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	t = target_start(dispatches);
	target_expect(&t, 'r');
	if (seen->refused)
		skip();
	assert_both_dispatch();
	for (unsigned i = 0; i < ROUNDS; i++) {
		pid_t c = fork();
		int status;

		assert_true(c >= 0);
		if (c == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				one_agent(t.pid);
		}
		usleep((unsigned)rand_r(&rnd) % LONGEST_US);
		kill(c, SIGKILL);
		assert_int_equal(waitpid(c, &status, 0), c);
		if (!WIFSIGNALED(status))
			fail_msg("round %u: coordinator left with %#x", i, status);
		assert_both_dispatch();
	}
	/* a death may lose what a selector said just then, for once */
	assert_in_range(seen->native[0], 0, ROUNDS);
	assert_in_range(seen->native[1], 0, ROUNDS);
	print_message("%lu and %lu calls were not dispatched\n", seen->native[0], seen->native[1]);
	one_agent(t.pid);
	assert_both_dispatch();
	assert_false(has_mailbox(t.pid));
	seen->quit = true;
	assert_left_with(&t, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
