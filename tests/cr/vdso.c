/* SPDX-License-Identifier: Apache-2.0 */
/* The vdso works, in threads too, and time goes on where it was. */
#include "cr.h"

#include <pthread.h>
#include <sys/time.h>

static void *look(void *arg)
{
	struct timeval tv;

	check(gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1000000000);
	return NULL;
}

int main(void)
{
	uint64_t mono = clock_ns(CLOCK_MONOTONIC), boot = clock_ns(CLOCK_BOOTTIME),
		 real = clock_ns(CLOCK_REALTIME), raw = clock_ns(CLOCK_MONOTONIC_RAW);
	struct timespec t;
	pthread_t th;

	ready();
	uint64_t mono2 = clock_ns(CLOCK_MONOTONIC), boot2 = clock_ns(CLOCK_BOOTTIME);

	check(mono2 >= mono && mono2 - mono < 60000000000u, "monotonic %ld", (long)(mono2 - mono));
	check(boot2 >= boot && boot2 - boot < 60000000000u, "boottime %ld", (long)(boot2 - boot));
	check(clock_ns(CLOCK_REALTIME) > real && clock_ns(CLOCK_MONOTONIC_RAW) >= raw);
	check(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
	uint64_t kernel = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;

	check(kernel >= mono2 && kernel - mono2 < 60000000000u, "vdso and kernel agree");
	check(pthread_create(&th, NULL, look, NULL) == 0 && pthread_join(th, NULL) == 0);
	return ok();
}
