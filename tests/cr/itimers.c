/* SPDX-License-Identifier: Apache-2.0 */
/* Interval timers that run on. */
#include "cr.h"

#include <sys/time.h>

int main(void)
{
	struct itimerval real = {{7, 500000}, {1000, 0}}, prof = {{3, 0}, {500, 0}}, now;
	sigset_t set;

	check(setitimer(ITIMER_REAL, &real, NULL) == 0);
	check(setitimer(ITIMER_PROF, &prof, NULL) == 0);
	ready();
	check(getitimer(ITIMER_REAL, &now) == 0);
	check(now.it_interval.tv_sec == 7 && now.it_interval.tv_usec == 500000);
	check(now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000, "%ld", now.it_value.tv_sec);
	check(getitimer(ITIMER_PROF, &now) == 0);
	check(now.it_interval.tv_sec == 3 && now.it_value.tv_sec > 400);
	check(getitimer(ITIMER_VIRTUAL, &now) == 0 && now.it_value.tv_sec == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	real = (struct itimerval){{0, 0}, {0, 1000}};
	check(setitimer(ITIMER_REAL, &real, NULL) == 0);
	check(sigtimedwait(&set, NULL, &(struct timespec){10, 0}) == SIGALRM);
	return ok();
}
