/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of threads: pidfds, files in /proc, also shared and duplicated; threads that have
 * descriptors and directories of their own; a process that shares its directories with its parent.
 */
#include "cr.h"

#include <pthread.h>
#include <sched.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif
#define SIGNAL_THREAD 1

static volatile sig_atomic_t who;
static volatile int tid, go, seen;
static char stack[65536] __attribute__((aligned(16))), stack2[65536] __attribute__((aligned(16)));

static void handler(int sig)
{
	who = (int)syscall(SYS_gettid);
}

static void *thread(void *arg)
{
	tid = (int)syscall(SYS_gettid);
	while (!who)
		usleep(1000);
	return NULL;
}

/* Not a thread of the C library: only system calls. */
static int own_tables(void *arg)
{
	struct timespec t = {.tv_nsec = 1000000};
	char cwd[64];

	while (!go)
		syscall(SYS_nanosleep, &t, NULL);
	seen = (syscall(SYS_fcntl, 100, F_GETFD) >= 0) | (syscall(SYS_fcntl, 101, F_GETFD) >= 0)
								 << 1;
	syscall(SYS_close, 100);
	if (syscall(SYS_chdir, "/tmp") < 0 || syscall(SYS_getcwd, cwd, sizeof(cwd)) != 5)
		seen |= 4;
	go = 2;
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static int to_child[2];

static int shares_directories(void *arg)
{
	char c;

	return read(to_child[0], &c, 1) != 1 || chdir("/var") < 0;
}

int main(void)
{
	int pidfd, again, comm, status;
	char path[64], name[32] = "";
	pthread_t t;
	pid_t child;

	check(chdir("/usr") == 0 && pipe(to_child) == 0);
	signal(SIGUSR1, handler);
	check(pthread_create(&t, NULL, thread, NULL) == 0);
	while (!tid)
		usleep(1000);
	pthread_setname_np(t, "a thread");
	pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	again = dup(pidfd);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	comm = open(path, O_RDONLY);
	check(comm >= 0 && read(comm, name, 2) == 2);
	check(dup2(0, 100) == 100);
	check(clone(own_tables, stack + sizeof(stack), CLONE_THREAD | CLONE_VM | CLONE_SIGHAND,
		    NULL) > 0);
	check(dup2(0, 101) == 101);
	child = clone(shares_directories, stack2 + sizeof(stack2), CLONE_FS | SIGCHLD, NULL);
	check(child > 0);
	ready();
	memset(name, 0, sizeof(name));
	check(read(comm, name, sizeof(name) - 1) == 7 && strcmp(name, "thread\n") == 0, "\"%s\"",
	      name);
	go = 1;
	while (go != 2)
		usleep(1000);
	check(seen == 1, "the thread has seen %x", seen);
	check(fcntl(100, F_GETFD) >= 0 && strcmp(getcwd(path, sizeof(path)), "/usr") == 0);
	check(write(to_child[1], "g", 1) == 1);
	check(waitpid(child, &status, 0) == child && status == 0, "status %#x", status);
	check(strcmp(getcwd(path, sizeof(path)), "/var") == 0, "%s", path);
	check(syscall(SYS_pidfd_send_signal, pidfd < 0 ? -1 : again, SIGUSR1, NULL,
		      SIGNAL_THREAD) == 0 ||
		      (pidfd < 0 && pthread_kill(t, SIGUSR1) == 0),
	      "errno %d", errno);
	pthread_join(t, NULL);
	check(who == tid);
	return ok();
}
