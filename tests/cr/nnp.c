/* SPDX-License-Identifier: Apache-2.0 */
/* no_new_privs and seccomp filters: shared by threads, added on top, and still in force. */
#include "cr.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

static int forbid(int nr, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

static pthread_barrier_t made, go;

static void *work(void *arg)
{
	check(forbid(SYS_getpriority, 77) == 0);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	check(syscall(SYS_getpriority, 0, 0) == -1 && errno == 77, "errno %d", errno);
	check(syscall(SYS_getitimer, 0, NULL) == -1 && errno == 99, "errno %d", errno);
	return NULL;
}

int main(void)
{
	char before[64];
	pthread_t t;

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(forbid(SYS_getitimer, 99) == 0);
	check(forbid(SYS_sethostname, 97) == 0);
	check(forbid(SYS_sethostname, 98) == 0); /* of equal verdicts the newest one's counts */
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&go, NULL, 2);
	check(pthread_create(&t, NULL, work, NULL) == 0);
	pthread_barrier_wait(&made);
	snprintf(before, sizeof(before), "%s", status_line("Seccomp_filters"));
	ready();
	check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	check(!strcmp(before, status_line("Seccomp_filters")), "filters: %s was %s",
	      status_line("Seccomp_filters"), before);
	check(syscall(SYS_getitimer, 0, NULL) == -1 && errno == 99, "errno %d", errno);
	check(syscall(SYS_sethostname, "x", 1) == -1 && errno == 98, "errno %d", errno);
	errno = 0;
	check(syscall(SYS_getpriority, 0, 0) >= 0, "the thread's own filter is not ours");
	pthread_barrier_wait(&go);
	pthread_join(t, NULL);
	return ok();
}
