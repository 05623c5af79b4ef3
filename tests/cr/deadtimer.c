/* SPDX-License-Identifier: Apache-2.0 */
/* A timer for a thread (SIGEV_THREAD_ID) that has ended: it is there, and tells nobody. */
#include "cr.h"

#include <pthread.h>

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif

static timer_t timer;

static void *make(void *arg)
{
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};

	e._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	check(timer_create(CLOCK_MONOTONIC, &e, &timer) == 0);
	return NULL;
}

int main(void)
{
	struct itimerspec t = {.it_value.tv_sec = 1000};
	pthread_t thread;

	check(pthread_create(&thread, NULL, make, NULL) == 0 && pthread_join(thread, NULL) == 0);
	check(timer_settime(timer, 0, &t, NULL) == 0);
	ready();
	check(timer_gettime(timer, &t) == 0, "errno %d", errno);
	check(t.it_value.tv_sec > 900, "%ld s", (long)t.it_value.tv_sec);
	check(timer_delete(timer) == 0);
	return ok();
}
