/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that a dump interrupts: none returns an error that the program would not have seen.
 */
#include "cr.h"

#include <poll.h>
#include <pthread.h>
#include <sys/select.h>

#define DELAY_S 2
static int p[2];
static pthread_barrier_t made;

static void *sleeper(void *arg)
{
	struct timespec t = {DELAY_S, 0};
	uint64_t from = clock_ns(CLOCK_MONOTONIC);

	pthread_barrier_wait(&made);
	check(nanosleep(&t, NULL) == 0, "nanosleep: errno %d", errno);
	check(clock_ns(CLOCK_MONOTONIC) - from >= DELAY_S * 1000000000ul);
	return NULL;
}

static void *until(void *arg)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += DELAY_S;
	pthread_barrier_wait(&made);
	check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
	return NULL;
}

static void *poller(void *arg)
{
	struct pollfd f = {.fd = p[0], .events = POLLIN};

	pthread_barrier_wait(&made);
	check(poll(&f, 1, DELAY_S * 1000) == 0, "poll: errno %d", errno);
	return NULL;
}

static void *selecter(void *arg)
{
	struct timeval tv = {DELAY_S, 0};

	pthread_barrier_wait(&made);
	check(select(0, NULL, NULL, NULL, &tv) == 0, "select: errno %d", errno);
	return NULL;
}

static void *reader(void *arg)
{
	char c;

	pthread_barrier_wait(&made);
	check(read(p[0], &c, 1) == 1 && c == 'z', "read: errno %d", errno);
	return NULL;
}

static void *condition(void *arg)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += DELAY_S;
	pthread_mutex_lock(&m);
	pthread_barrier_wait(&made);
	check(pthread_cond_timedwait(&c, &m, &t) == ETIMEDOUT);
	return NULL;
}

int main(void)
{
	void *(*const all[])(void *) = {sleeper, until, poller, selecter, reader, condition};
	pthread_t t[ARRAY_SIZE(all)];

	check(pipe(p) == 0);
	pthread_barrier_init(&made, NULL, ARRAY_SIZE(all) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check(pthread_create(&t[i], NULL, all[i], NULL) == 0);
	pthread_barrier_wait(&made);
	ready();
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] == reader)
			check(write(p[1], "z", 1) == 1);
		check(pthread_join(t[i], NULL) == 0);
	}
	return ok();
}
