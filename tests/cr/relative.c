/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for so long, not until then: they end on time and tell nothing of having been
 * interrupted, with and without a place for the rest of the time.  On time is when a wait until a
 * moment ends, in the same process: on a busy machine all are late.
 */
#include "gap.h"

#include <linux/futex.h>
#include <poll.h>

#define WAIT_S	 3
#define BEFORE_S 1.2
#define LATE_S	 0.9 /* the whole time again would be 1.2 more */

static uint64_t start;
static pthread_barrier_t made;
static int late[2];
static _Atomic int last;
static struct {
	const char *what;
	double s;
} ends[16];
static _Atomic unsigned nends;

static void begin(void)
{
	pthread_barrier_wait(&made);
}

static void end(const char *what, long result, long want)
{
	double s = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9;
	unsigned i;

	check(result == want, "%s: %ld, errno %d", what, result, errno);
	check(s > WAIT_S - 0.01, "%s: early, after %.3f s", what, s);
	i = nends++;
	ends[i].what = what;
	ends[i].s = s;
}

/* Until then, however often it is interrupted. */
static void *control(void *arg)
{
	uint64_t at = start + WAIT_S * UINT64_C(1000000000);
	struct timespec t = {(time_t)(at / 1000000000), (long)(at % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
	*(double *)arg = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9;
	return NULL;
}

static void *sleeper(void *arg)
{
	struct timespec t = {.tv_sec = WAIT_S};

	begin();
	end("nanosleep", nanosleep(&t, NULL), 0);
	return NULL;
}

static void *sleeper_with_rest(void *arg)
{
	struct timespec t = {.tv_sec = WAIT_S}, rest;

	begin();
	end("nanosleep with a place for the rest", nanosleep(&t, &rest), 0);
	return NULL;
}

static void *sleeper_in_place(void *arg)
{
	struct timespec t = {.tv_sec = WAIT_S};

	begin();
	end("nanosleep with the rest in place", nanosleep(&t, &t), 0);
	return NULL;
}

static void *clock_sleeper(void *arg)
{
	struct timespec t = {.tv_sec = WAIT_S};

	begin();
	end("clock_nanosleep", clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL), 0);
	return NULL;
}

static void *poller(void *arg)
{
	int p[2];
	struct pollfd f = {.events = POLLIN};

	check(pipe(p) == 0);
	f.fd = p[0];
	begin();
	end("poll", poll(&f, 1, WAIT_S * 1000), 0);
	return NULL;
}

/* Only what comes ends it: start is of no interest. */
static void *endless(void *arg)
{
	struct pollfd f = {.fd = late[0], .events = POLLIN};
	int r;

	begin();
	r = poll(&f, 1, -1);
	check(r == 1 && f.revents == POLLIN, "poll without an end: %d", r);
	return NULL;
}

/* So is one that is as long as a time can be. */
static void *longest(void *arg)
{
	struct timespec t = {.tv_sec = INT64_MAX};

	begin();
	while (last == 0)
		check(syscall(SYS_futex, &last, FUTEX_WAIT, 0, &t, NULL, 0) == 0 || errno == EAGAIN,
		      "the longest wait: errno %d", errno);
	return NULL;
}

static void *futex(void *arg)
{
	struct timespec t = {.tv_sec = WAIT_S};
	int word = 5;

	begin();
	check(syscall(SYS_futex, &word, FUTEX_WAIT, 5, &t, NULL, 0) == -1);
	end("futex", errno, ETIMEDOUT);
	return NULL;
}

static void *selecter(void *arg)
{
	struct timeval t = {.tv_sec = WAIT_S};

	begin();
	end("select", select(0, NULL, NULL, NULL, &t), 0);
	return NULL;
}

int main(void)
{
	void *(*const all[])(void *) = {sleeper, sleeper_with_rest, sleeper_in_place, clock_sleeper,
					poller,	 endless,	    longest,	      futex,
					selecter};
	pthread_t t[ARRAY_SIZE(all)], c;
	double on_time;

	check(pipe(late) == 0);
	pthread_barrier_init(&made, NULL, ARRAY_SIZE(all) + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		check(pthread_create(&t[i], NULL, all[i], NULL) == 0);
	gap_begin();
	start = clock_ns(CLOCK_MONOTONIC);
	pthread_barrier_wait(&made);
	while (clock_ns(CLOCK_MONOTONIC) - start < BEFORE_S * 1e9)
		usleep(10000);
	ready();
	check(pthread_create(&c, NULL, control, &on_time) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] == endless)
			check(write(late[1], "x", 1) == 1);
		if (all[i] == longest) {
			last = 1;
			syscall(SYS_futex, &last, FUTEX_WAKE, 1, NULL, NULL, 0);
		}
		pthread_join(t[i], NULL);
	}
	pthread_join(c, NULL);
	for (unsigned i = 0; i < nends; i++)
		check(ends[i].s < on_time + LATE_S + gap_s(), "%s: late, after %.3f s and not %.3f",
		      ends[i].what, ends[i].s, on_time);
	return ok();
}
