/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that others trace and cannot be taken from them: a whole one and one thread of one,
 * whose tracer is not above them, a dead one; one that is stopped by a signal, one within its end.
 * Who does so is said by the number that the tree knows, all of it at once, and none of them is
 * disturbed.
 */
#include "cr.h"

#include <pthread.h>
#include <sys/ptrace.h>

static int ready_fd[2], tid_fd[2];

/* What a tracer is: a thread. */
static void *traces(void *arg)
{
	const pid_t *tids = arg;
	char c = 'y';

	for (int i = 0; i < 3; i++)
		if (ptrace(PTRACE_SEIZE, tids[i], 0, 0) < 0)
			c = 'n';
	check(kill(tids[2], SIGKILL) == 0);
	check(write(ready_fd[1], &c, 1) == 1);
	for (;;)
		pause();
	return NULL;
}

static void *tells(void *arg)
{
	pid_t tid = gettid();

	check(write(tid_fd[1], &tid, sizeof(tid)) == sizeof(tid));
	for (;;)
		pause();
	return arg;
}

static pid_t waits(bool thread)
{
	pid_t child = fork();
	pthread_t t;

	if (child)
		return child;
	if (thread)
		check(pthread_create(&t, NULL, tells, NULL) == 0);
	for (;;)
		pause();
}

/* Its parent lets it be stopped by a signal, or end, and is still to be told of that. */
static pid_t stands(int how)
{
	pid_t child = fork();
	siginfo_t si;
	int status;

	if (child == 0) {
		check(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		raise(SIGSTOP);
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	check(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT) == 0);
	check(ptrace(PTRACE_CONT, child, 0, how) == 0);
	check(waitid(P_PID, (id_t)child, &si, WSTOPPED | WNOWAIT) == 0);
	return child;
}

static void await_state(pid_t pid, char state)
{
	char path[64], text[512], *at;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		FILE *f = fopen(path, "re");

		check(f != NULL);
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[n] = '\0';
		at = strrchr(text, ')');
		usleep(1000);
	} while (!at || at[2] != state);
}

static void expect(const char *before, pid_t tracee, pid_t tracer)
{
	char text[160];

	snprintf(text, sizeof(text), "expect: %s%d", before, tracee);
	if (tracer)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ": process %d (cr-traced) traces it; end that one, or let it detach",
			 tracer);
	say(text);
	say("\n");
}

int main(void)
{
	pid_t tids[3], whole, threaded, dead, stopped, ends, tracer;
	pthread_t t;
	int status;
	char c;

	check(pipe(ready_fd) == 0 && pipe(tid_fd) == 0);
	tids[0] = whole = waits(false);
	threaded = waits(true);
	tids[2] = dead = waits(false);
	check(read(tid_fd[0], &tids[1], sizeof(pid_t)) == sizeof(pid_t));
	tracer = fork();
	if (tracer == 0) {
		check(pthread_create(&t, NULL, traces, tids) == 0);
		for (;;)
			pause();
	}
	stopped = stands(SIGSTOP);
	ends = stands(0);
	check(read(ready_fd[0], &c, 1) == 1 && c == 'y');
	await_state(dead, 'Z');
	expect("task ", whole, 0);
	expect("thread ", tids[1], tracer);
	expect("task ", dead, 0);
	expect("task ", stopped, 0);
	expect("task ", ends, 0);
	say("expect: it detach (the tracer is not above it in the tree)\n");
	say("expect: it detach (its process is stopped by a signal, too)\n");
	say("expect: it detach (in a stop that cannot be entered again: PTRACE_EVENT 6)\n");
	expect("(cr-traced): process ", getpid(), 0);

	ready();

	/* nobody has been told of the stop in our place, nor has anything ended it */
	check(waitpid(stopped, &status, WNOHANG) == stopped && WIFSTOPPED(status) &&
		      WSTOPSIG(status) == SIGSTOP,
	      "status %#x", status);
	check(waitpid(ends, &status, WNOHANG) == ends &&
		      status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8),
	      "status %#x", status);
	check(waitpid(-1, &status, WNOHANG) == 0 && kill(whole, 0) == 0 && kill(threaded, 0) == 0);
	check(kill(tracer, SIGKILL) == 0 && kill(whole, SIGKILL) == 0 &&
	      kill(threaded, SIGKILL) == 0 && kill(stopped, SIGKILL) == 0 &&
	      kill(ends, SIGKILL) == 0);
	return ok();
}
