/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads in a user namespace inside, where nobody may choose their numbers; between them are
 * numbers of others.
 */
#include "cr.h"

#include <pthread.h>
#include <sched.h>

enum { N = 12 };

static pid_t tids[N];
static pthread_barrier_t barrier;

static void *run(void *arg)
{
	pid_t *mine = arg;

	*mine = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return *mine == (pid_t)syscall(SYS_gettid) ? NULL : arg;
}

static pthread_t threads[N];

static int make(void)
{
	check(unshare(CLONE_NEWUSER) == 0, "errno %d", errno);
	check(pthread_barrier_init(&barrier, NULL, N + 1) == 0);
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < i % 3; k++) {
			pid_t p = fork();

			if (p == 0)
				_exit(0);
			check(waitpid(p, NULL, 0) == p);
		}
		check(pthread_create(&threads[i], NULL, run, &tids[i]) == 0);
	}
	pthread_barrier_wait(&barrier);
	return 0;
}

static int verify(void)
{
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < N; i++) {
		void *result = NULL;

		check(pthread_join(threads[i], &result) == 0 && !result, "thread %d", i);
	}
	return getuid() == 65534 ? 0 : 1;
}

int main(void)
{
	struct child c = child_start(make, verify), d = child_start(make, verify);

	ready();
	child_go(&c);
	child_go(&d);
	return ok();
}
