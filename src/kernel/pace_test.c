/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_test.h"
#include "kernel/pace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static int got;

static void count(int sig)
{
	got++;
}

/* A tracee that stops; returns how many SIGCHLD its stop has sent, of which so many should come. */
static int signals_of_a_stop(int expected)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		for (;;)
			pause();
	got = 0;
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	while (waitpid(pid, &status, __WALL) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(WIFSTOPPED(status));
	/* the tracee is seen stopped before it sends (kernel/signal.c: ptrace_stop()) */
	for (int i = 0; i < 20 || (got < expected && i < 20000); i++)
		usleep(1000);
	status = got;
	signal(SIGCHLD, SIG_DFL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, __WALL), pid);
	return status;
}

static void stops_are_quiet_meanwhile(void **state)
{
	struct pace p;

	signal(SIGCHLD, count);
	assert_int_equal(signals_of_a_stop(1), 1);
	signal(SIGCHLD, count);
	pace_begin(&p);
	assert_int_equal(signals_of_a_stop(0), 0);
	pace_end(&p);
	signal(SIGCHLD, count);
	assert_int_equal(signals_of_a_stop(1), 1);
}

/* PM_QOS: what is read is the strictest wish of all. */
static void cpus_poll_meanwhile(void **state)
{
	int fd = open("/dev/cpu_dma_latency", O_RDONLY | O_CLOEXEC), latency = -1;
	struct pace p;

	if (fd < 0)
		skip(); /* not root, or a kernel without CONFIG_CPU_IDLE */
	pace_begin(&p);
	assert_int_equal(read(fd, &latency, sizeof(latency)), sizeof(latency));
	assert_int_equal(latency, 0);
	pace_end(&p);
	assert_int_equal(p.fd, -1);
	close(fd);
}

static void twice_is_fine(void **state)
{
	struct pace p = PACE_NONE;

	pace_end(&p);
	pace_begin(&p);
	pace_end(&p);
	pace_end(&p);
	assert_false(p.quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_are_quiet_meanwhile),
		cmocka_unit_test(cpus_poll_meanwhile),
		cmocka_unit_test(twice_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
