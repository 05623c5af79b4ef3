/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that have their memory in common (CLONE_VM), with signal actions or without, threads,
 * children of their own; and siblings that share what their parent does not.
 */
#include "cr.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ucontext.h>

#define STACK 65536

static char stacks[6][STACK];
static volatile int word, seen;
static int to[6], from[6];
static char scratch[] = "before";

static void handler(int sig)
{
	seen = sig;
}

static void tell(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, 8) != 8)
		_exit(20);
}

static void await(int fd)
{
	uint64_t n;

	if (read(fd, &n, 8) != 8)
		_exit(21);
}

static pid_t make(int (*fn)(void *), int i, int flags)
{
	to[i] = eventfd(0, 0);
	from[i] = eventfd(0, 0);
	pid_t pid = clone(fn, stacks[i] + STACK, flags, (void *)(long)i);

	check(pid > 0, "errno %d", errno);
	await(from[i]);
	return pid;
}

/* Has the memory, nothing else. */
static int plain(void *arg)
{
	long i = (long)arg;

	tell(from[i]);
	await(to[i]);
	if (word != 5 || strcmp(scratch, "after"))
		_exit(2);
	word = 6;
	if (signal(SIGUSR1, SIG_IGN) != SIG_DFL) /* its own actions */
		_exit(3);
	tell(from[i]);
	await(to[i]);
	_exit(0);
}

/* Like a thread of LinuxThreads, and has a child of its own by fork(2). */
static int like_thread(void *arg)
{
	long i = (long)arg;
	int status, mine = 11;
	pid_t child = syscall(SYS_fork);

	if (child == 0) {
		mine = 12;
		pause();
		_exit(9);
	}
	tell(from[i]);
	await(to[i]);
	if (word != 6 || mine != 11)
		_exit(2);
	signal(SIGUSR2, handler); /* is everybody's */
	if (kill(child, SIGKILL) || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		_exit(4);
	if (fcntl(77, F_GETFD) < 0 || chdir("/proc"))
		_exit(5);
	tell(from[i]);
	await(to[i]);
	_exit(0);
}

/* Of a parent that has left them alone with each other. */
static int sibling(void *arg)
{
	long i = (long)arg;

	tell(from[i]);
	await(to[i]);
	if (dup2(from[i], 90 + (int)i) < 0 || chdir("/proc"))
		_exit(2);
	tell(from[i]);
	await(to[i]);
	for (int k = 2; k < 5; k++)
		if (fcntl(90 + k, F_GETFD) < 0)
			_exit(3);
	_exit(0);
}

/* Makes its siblings (CLONE_PARENT), and has descriptors and a directory in common with them. */
static int maker(void *arg)
{
	for (int i = 3; i < 5; i++)
		if (clone(sibling, stacks[i] + STACK,
			  CLONE_PARENT | CLONE_FILES | CLONE_FS | (i == 4 ? CLONE_VM : 0) | SIGCHLD,
			  (void *)(long)i) < 0)
			_exit(22);
	return sibling(arg);
}

static void end(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, __WALL) == pid, "errno %d", errno);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process %d: status %#x", pid, status);
}

int main(void)
{
	pid_t one, two, three;
	char cwd[64];

	one = make(plain, 0, CLONE_VM | SIGCHLD);
	two = make(like_thread, 1, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGUSR2);
	for (int i = 3; i < 5; i++) {
		to[i] = eventfd(0, 0);
		from[i] = eventfd(0, 0);
	}
	three = make(maker, 2, SIGCHLD);
	await(from[3]);
	await(from[4]);

	ready();

	word = 5;
	strcpy(scratch, "after");
	tell(to[0]);
	await(from[0]);
	check(word == 6);
	check(dup2(to[0], 77) == 77);
	tell(to[1]);
	await(from[1]);
	check(raise(SIGUSR2) == 0 && seen == SIGUSR2, "seen %d", seen);
	check(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/proc") == 0, "directory %s", cwd);
	seen = 0;
	tell(to[0]);
	end(one);
	tell(to[1]);
	end(two);
	check(seen == SIGUSR2, "exit signal"); /* not SIGCHLD */
	for (int i = 2; i < 5; i++) {
		tell(to[i]);
		await(from[i]);
	}
	check(fcntl(92, F_GETFD) < 0);
	for (int i = 2; i < 5; i++)
		tell(to[i]);
	end(three);
	for (int i = 3; i < 5; i++) {
		int status;

		check(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "sibling: %#x", status);
	}
	return ok();
}
