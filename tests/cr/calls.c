/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls CRYO: how many system calls a dump makes for each thread while the tree is frozen.  A count
 * says what a clock does not on a machine that does other work.  It is that of 120 threads less
 * that of 20, from the first PTRACE_SEIZE to the signal that ends the process; calls that wait are
 * left out, as how often they are made is the scheduler's affair.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW  20
#define MANY 120
/*
 * Held, interrupted; registers, extended state, mask; its children, its status (three calls each);
 * two tables that may be its own; dispatch, rseq, robust list, pending signals; registers, mask and
 * on, into the agent; CPUs, scheduling, I/O priority; its image.  Some 27.3, and up to 70 calls in
 * all more or less from one time to the next.
 */
#define LIMIT 30

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* One that is still on its way there is looked at more closely (restartable sequences). */
static bool all_wait(pid_t pid)
{
	char path[64], text[16];
	bool all = true;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		fail(path);
	while (all && (e = readdir(dir))) {
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/syscall", pid, e->d_name);
		f = fopen(path, "re");
		if (!f || !fgets(text, sizeof(text), f))
			fail(path);
		all = atoi(text) == SYS_pause;
		fclose(f);
	}
	closedir(dir);
	return all;
}

static pid_t start(unsigned threads)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready) < 0 || (pid = fork()) < 0)
		fail("fork");
	if (pid == 0) {
		pthread_t t;

		if (setsid() < 0 || !freopen("/dev/null", "r+", stdin) ||
		    !freopen("/dev/null", "r+", stdout) || !freopen("/dev/null", "r+", stderr))
			_exit(1);
		for (unsigned i = 1; i < threads; i++)
			if (pthread_create(&t, NULL, wait_for_ever, NULL))
				_exit(1);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		close(ready[0]);
		close(ready[1]);
		wait_for_ever(NULL);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		fail("the threads");
	close(ready[0]);
	while (!all_wait(pid))
		usleep(10000);
	return pid;
}

static bool waits(long nr)
{
	static const long calls[] = {SYS_wait4,	      SYS_futex,	   SYS_clock_nanosleep,
				     SYS_sched_yield, SYS_rt_sigtimedwait, SYS_poll};

	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

static unsigned count(pid_t tracee)
{
	bool frozen = false;
	unsigned n = 0;
	int status;

	while (waitpid(tracee, &status, 0) == tracee && WIFSTOPPED(status)) {
		struct __ptrace_syscall_info i;
		int sig = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);

		sig = sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    ptrace(PTRACE_GET_SYSCALL_INFO, tracee, sizeof(i), &i) > 0 &&
		    i.op == PTRACE_SYSCALL_INFO_ENTRY) {
			long nr = (long)i.entry.nr;

			frozen |= nr == SYS_ptrace && i.entry.args[0] == PTRACE_SEIZE;
			if (nr == SYS_pidfd_send_signal && i.entry.args[1] == SIGKILL)
				frozen = false;
			n += frozen && !waits(nr);
		}
		if (ptrace(PTRACE_SYSCALL, tracee, NULL, sig) < 0)
			fail("PTRACE_SYSCALL");
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "cryo dump: status %#x\n", status);
		exit(1);
	}
	return n;
}

static unsigned calls_of_dump(const char *cryo, unsigned threads)
{
	char dir[] = "/tmp/cr-calls.XXXXXX", number[16];
	pid_t pid = start(threads), tracee;
	unsigned n;

	if (!mkdtemp(dir))
		fail("mkdtemp");
	snprintf(number, sizeof(number), "%d", pid);
	tracee = fork();
	if (tracee == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP))
			_exit(1);
		execl(cryo, cryo, "dump", "-D", dir, "-t", number, "-v0", (char *)NULL);
		_exit(1);
	}
	if (tracee < 0 || waitpid(tracee, NULL, 0) != tracee ||
	    ptrace(PTRACE_SETOPTIONS, tracee, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) <
		    0 ||
	    ptrace(PTRACE_SYSCALL, tracee, NULL, NULL) < 0)
		fail("tracing cryo");
	n = count(tracee);
	if (waitpid(pid, NULL, 0) != pid)
		fail("waitpid");
	tracee = fork();
	if (tracee == 0) {
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(1);
	}
	waitpid(tracee, NULL, 0);
	return n;
}

int main(int argc, char **argv)
{
	unsigned few, many;

	if (argc != 2)
		return 2;
	few = calls_of_dump(argv[1], FEW);
	many = calls_of_dump(argv[1], MANY);
	printf("%u threads: %u calls, %u threads: %u calls, %.1f for each\n", FEW, few, MANY, many,
	       (double)(many - few) / (MANY - FEW));
	if (few < FEW || many - few > LIMIT * (MANY - FEW)) {
		fprintf(stderr, "more than %u system calls for each thread while it is frozen\n",
			LIMIT);
		return 1;
	}
	return 0;
}
