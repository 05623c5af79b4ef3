/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits. */
#include "cr.h"

#include <sys/param.h>
#include <sys/resource.h>

int main(void)
{
	struct rlimit was[RLIMIT_NLIMITS], now;

	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		check(getrlimit(i, &was[i]) == 0);
	/* each is its own */
	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		rlim_t some = i == RLIMIT_RTPRIO || i == RLIMIT_NICE ? 0 : (rlim_t)1 << (40 + i);

		was[i].rlim_max = MIN(was[i].rlim_max, some) - (was[i].rlim_max > 1000);
		was[i].rlim_cur = MIN(was[i].rlim_cur, was[i].rlim_max - (was[i].rlim_max > 1000));
	}
	was[RLIMIT_NOFILE].rlim_cur = 777;
	was[RLIMIT_CORE].rlim_cur = 0;
	was[RLIMIT_CORE].rlim_max = 4096;
	was[RLIMIT_STACK].rlim_cur = 1 << 20;
	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		check(setrlimit(i, &was[i]) == 0, "limit %d", i);
	ready();
	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		check(getrlimit(i, &now) == 0);
		check(now.rlim_cur == was[i].rlim_cur && now.rlim_max == was[i].rlim_max,
		      "limit %d: %ld %ld", i, (long)now.rlim_cur, (long)now.rlim_max);
	}
	return ok();
}
