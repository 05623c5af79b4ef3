/* SPDX-License-Identifier: Apache-2.0 */
/* A thousand threads, each with its number, its name and its own memory. */
#include "cr.h"

#include <pthread.h>
#include <sys/prctl.h>

#define N	    1000
#define STACK_BYTES (64 * 1024)

static pthread_barrier_t made, told;
static _Thread_local uintptr_t mine;

static void *work(void *arg)
{
	pid_t tid = gettid();
	char name[16], now[16] = "";

	mine = (uintptr_t)arg * 7919;
	snprintf(name, sizeof(name), "thread-%zu", (size_t)arg);
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&told);
	prctl(PR_GET_NAME, now);
	check(gettid() == tid, "tid %d was %d", gettid(), tid);
	check(!strcmp(name, now), "name %s", now);
	check(mine == (uintptr_t)arg * 7919);
	return (void *)mine;
}

int main(void)
{
	static pthread_t t[N];
	pthread_attr_t a;

	pthread_barrier_init(&made, NULL, N + 1);
	pthread_barrier_init(&told, NULL, N + 1);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, STACK_BYTES);
	for (uintptr_t i = 0; i < N; i++)
		check(pthread_create(&t[i], &a, work, (void *)i) == 0);
	pthread_barrier_wait(&made);
	ready();
	pthread_barrier_wait(&told);
	for (uintptr_t i = 0; i < N; i++) {
		void *r;

		check(pthread_join(t[i], &r) == 0);
		check((uintptr_t)r == i * 7919);
	}
	return ok();
}
