/* SPDX-License-Identifier: Apache-2.0 */
/* Threads with seccomp filters of their own, on top of those that all have, one of them large. */
#include "cr.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

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

int main(void)
{
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
	for (unsigned i = 0; i < 3; i++)
		check(pthread_join(t[i], NULL) == 0);
	check(syscall(SYS_getsid, 0) == -1 && errno == 99);
	check(syscall(SYS_getpgid, 0) >= 0);
	return ok();
}
