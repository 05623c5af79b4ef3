/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd: every clock that can be had, relative and to a moment, with ticks pending, with an
 * interval, disarmed, and those that are set to never, as systemd's that waits for
 * clock_settime(2).
 */
#include "cr.h"

#include <poll.h>
#include <sys/timerfd.h>

#define NS_PER_S 1000000000LL

static int make(clockid_t clock, int flags, int64_t value_ns, int64_t interval_ns)
{
	struct itimerspec t = {.it_value = {value_ns / NS_PER_S, value_ns % NS_PER_S},
			       .it_interval = {interval_ns / NS_PER_S, interval_ns % NS_PER_S}};
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	if (fd < 0)
		return -1;
	check(timerfd_settime(fd, flags, &t, NULL) == 0, "errno %d", errno);
	return fd;
}

static int64_t left(int fd)
{
	struct itimerspec t;

	check(timerfd_gettime(fd, &t) == 0);
	return t.it_value.tv_sec * NS_PER_S + t.it_value.tv_nsec;
}

static int64_t interval(int fd)
{
	struct itimerspec t;

	check(timerfd_gettime(fd, &t) == 0);
	return t.it_interval.tv_sec * NS_PER_S + t.it_interval.tv_nsec;
}

static int make_never(clockid_t clock, int flags)
{
	struct itimerspec t = {.it_value.tv_sec = INT64_MAX};
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	check(fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME | flags, &t, NULL) == 0);
	return fd;
}

int main(void)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					   CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM};
	const int64_t far = 1000 * NS_PER_S;
	const int64_t long_time = INT64_MAX / 4;
	int rel[5], abs[5], never[3], ticked, ticked_abs, once, idle, soon, due, cancel;
	int64_t at[5], soon_at, before, is, after;
	clockid_t read_by;
	uint64_t n;
	struct pollfd p;

	for (int i = 0; i < 5; i++) {
		read_by = i == 3 ? CLOCK_REALTIME : i == 4 ? CLOCK_BOOTTIME : clocks[i];
		rel[i] = make(clocks[i], 0, far, 7);
		at[i] = (int64_t)clock_ns(read_by) + far;
		abs[i] = make(clocks[i], TFD_TIMER_ABSTIME, at[i], 0);
	}
	ticked = make(CLOCK_MONOTONIC, 0, 1000000, 3600 * NS_PER_S);
	once = make(CLOCK_MONOTONIC, 0, 1000000, 0);
	idle = make(CLOCK_MONOTONIC, 0, 0, 0);
	ticked_abs = make(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME,
			  (int64_t)clock_ns(CLOCK_MONOTONIC) + 1000000, 3600 * NS_PER_S);
	for (int i = 0; i < 3; i++) {
		p = (struct pollfd){.fd = i == 0   ? ticked
					  : i == 1 ? ticked_abs
						   : once,
				    .events = POLLIN};
		check(poll(&p, 1, 15000) == 1);
	}
	cancel = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
		      (int64_t)clock_ns(CLOCK_REALTIME) + far, 0);
	for (int i = 0; i < 3; i++)
		never[i] = make_never(clocks[i], i == 0 ? TFD_TIMER_CANCEL_ON_SET : 0);
	/* the wall clock goes on while we are frozen, the monotonic one does not */
	due = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME,
		   (int64_t)clock_ns(CLOCK_REALTIME) + NS_PER_S / 5, 0);
	soon_at = (int64_t)clock_ns(CLOCK_MONOTONIC) + NS_PER_S / 2;
	soon = make(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, soon_at, NS_PER_S / 10);

	ready();

	for (int i = 0; i < 5; i++) {
		if (rel[i] < 0)
			continue;
		check(interval(rel[i]) == 7 && interval(abs[i]) == 0);
		check(left(rel[i]) <= far && left(rel[i]) > far - 30 * NS_PER_S, "clock %d", i);
		read_by = i == 3 ? CLOCK_REALTIME : i == 4 ? CLOCK_BOOTTIME : clocks[i];
		before = at[i] - (int64_t)clock_ns(read_by);
		is = left(abs[i]);
		after = at[i] - (int64_t)clock_ns(read_by);
		check(is < before + NS_PER_S / 10 && is > after - NS_PER_S / 10,
		      "clock %d: %lld, not from %lld to %lld", i, (long long)is, (long long)after,
		      (long long)before);
	}
	check(read(ticked, &n, 8) == 8 && n == 1);
	check(read(ticked_abs, &n, 8) == 8 && n == 1);
	check(interval(ticked_abs) == 3600 * NS_PER_S && left(ticked_abs) > 3500 * NS_PER_S);
	check(left(ticked) > 3500 * NS_PER_S);
	check(read(ticked, &n, 8) < 0 && errno == EAGAIN);
	check(read(once, &n, 8) == 8 && n == 1 && left(once) == 0);
	check(left(idle) == 0 && read(idle, &n, 8) < 0 && errno == EAGAIN);
	check(left(cancel) > 900 * NS_PER_S);
	for (int i = 0; i < 3; i++)
		check(left(never[i]) > long_time && read(never[i], &n, 8) < 0 && errno == EAGAIN,
		      "never, clock %d: errno %d", i, errno);
	p = (struct pollfd){.fd = soon, .events = POLLIN};
	check(poll(&p, 1, 15000) == 1 && read(soon, &n, 8) == 8);
	check((int64_t)clock_ns(CLOCK_MONOTONIC) >= soon_at, "early");
	check(interval(soon) == NS_PER_S / 10);
	p = (struct pollfd){.fd = due, .events = POLLIN};
	check(poll(&p, 1, 15000) == 1 && read(due, &n, 8) == 8 && n == 1);
	return ok();
}
