/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads with seccomp filters of their own, on top of those that all have, one of them large; one
 * with a flag, which only a tracer without filters is told.
 */
#include "cr.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static pthread_barrier_t barrier;

/* System call NR fails with ERROR. */
static void forbid(int nr, unsigned error)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {ARRAY_SIZE(f), f};

	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p) == 0, "errno %d", errno);
}

/* As an OCI runtime's is; forbids nothing. */
static void large(void)
{
	struct sock_filter f[800];
	struct sock_fprog p = {ARRAY_SIZE(f), f};

	for (unsigned i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	f[ARRAY_SIZE(f) - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p) == 0, "errno %d", errno);
}

static void *thread(void *arg)
{
	unsigned own = (unsigned)(uintptr_t)arg;

	if (own)
		forbid(SYS_getpgid, own);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	check(syscall(SYS_getsid, 0) == -1 && errno == 99, "errno %d", errno);
	if (own)
		check(syscall(SYS_getpgid, 0) == -1 && errno == (int)own, "errno %d", errno);
	else
		check(syscall(SYS_getpgid, 0) >= 0, "errno %d", errno);
	return NULL;
}

#define GET_METADATA 0x420d /* PTRACE_SECCOMP_GET_METADATA, Linux 4.16 */

static pid_t logged;

static int make_logged(void)
{
	struct sock_filter f = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog p = {1, &f};
	int ready_to[2];
	char c;

	if (pipe(ready_to) < 0)
		return 1;
	logged = fork();
	if (logged == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &p) < 0)
			_exit(1);
		(void)write(ready_to[1], "r", 1);
		for (;;)
			pause();
	}
	return logged < 0 || read(ready_to[0], &c, 1) != 1;
}

static int verify_logged(void)
{
	uint64_t filter_and_flags[2] = {0, 0};
	int status, got;

	if (ptrace(PTRACE_SEIZE, logged, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, logged, 0, 0) < 0 ||
	    waitpid(logged, &status, 0) != logged)
		return 10;
	got = (int)ptrace(GET_METADATA, logged, sizeof(filter_and_flags), filter_and_flags);
	if (got < 0 && errno == EIO) /* an older kernel */
		filter_and_flags[1] = SECCOMP_FILTER_FLAG_LOG;
	kill(logged, SIGKILL);
	if (waitpid(logged, &status, 0) != logged)
		return 11;
	return filter_and_flags[1] == SECCOMP_FILTER_FLAG_LOG ? 0 : 12;
}

int main(void)
{
	struct child c = child_start(make_logged, verify_logged);
	pthread_t t[3];

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	large();
	forbid(SYS_getsid, 99);
	check(pthread_barrier_init(&barrier, NULL, 4) == 0);
	for (uintptr_t i = 0; i < 3; i++)
		check(pthread_create(&t[i], NULL, thread, (void *)(i ? 100 + i : 0)) == 0);
	pthread_barrier_wait(&barrier);
	ready();
	pthread_barrier_wait(&barrier);
	child_go(&c);
	for (unsigned i = 0; i < 3; i++)
		check(pthread_join(t[i], NULL) == 0);
	check(syscall(SYS_getsid, 0) == -1 && errno == 99);
	check(syscall(SYS_getpgid, 0) >= 0);
	return ok();
}
