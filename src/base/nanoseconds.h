/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds that end where an int64_t does, as the kernel's do: TIME_MAX seconds are "never"
 * (include/linux/ktime.h: ktime_set(), kernel/time/hrtimer.c: ktime_add_safe()).
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define NANOSECONDS INT64_C(1000000000)

static inline int64_t ns_add(int64_t a, int64_t b)
{
	int64_t sum;

	return !__builtin_add_overflow(a, b, &sum) ? sum : b < 0 ? INT64_MIN : INT64_MAX;
}

static inline int64_t ns_of(int64_t s, int64_t ns)
{
	int64_t all;

	if (__builtin_mul_overflow(s, NANOSECONDS, &all))
		return s < 0 ? INT64_MIN : INT64_MAX;
	return ns_add(all, ns);
}
