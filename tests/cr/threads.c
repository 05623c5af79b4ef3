/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: ids, names, masks, thread-local storage, conditions they wait for. */
#include "cr.h"

#include <pthread.h>
#include <sys/prctl.h>

#define N 20
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int waiting;
static bool told;
static _Thread_local uint64_t mine;

static void *work(void *arg)
{
	uintptr_t i = (uintptr_t)arg;
	pid_t tid = gettid();
	char name[16], now[16];
	sigset_t set, was;

	snprintf(name, sizeof(name), "worker-%02zu", (size_t)i);
	prctl(PR_SET_NAME, name);
	mine = i * 1000003;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + (int)(i % 8));
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	pthread_mutex_lock(&lock);
	waiting++;
	pthread_cond_signal(&more);
	while (!told)
		pthread_cond_wait(&go, &lock);
	pthread_mutex_unlock(&lock);
	prctl(PR_GET_NAME, now);
	pthread_sigmask(SIG_BLOCK, NULL, &was);
	check(gettid() == tid, "tid %d was %d", gettid(), tid);
	check(!strcmp(name, now), "name %s", now);
	check(mine == i * 1000003);
	for (int s = 0; s < 8; s++)
		check(sigismember(&was, SIGRTMIN + s) == (s == (int)(i % 8)));
	return arg;
}

int main(void)
{
	pthread_t t[N];

	for (uintptr_t i = 0; i < N; i++)
		check(pthread_create(&t[i], NULL, work, (void *)i) == 0);
	pthread_mutex_lock(&lock);
	while (waiting < N)
		pthread_cond_wait(&more, &lock);
	pthread_mutex_unlock(&lock);
	ready();
	pthread_mutex_lock(&lock);
	told = true;
	pthread_cond_broadcast(&go);
	pthread_mutex_unlock(&lock);
	for (uintptr_t i = 0; i < N; i++) {
		void *r;

		check(pthread_join(t[i], &r) == 0);
		check((uintptr_t)r == i);
	}
	return ok();
}
