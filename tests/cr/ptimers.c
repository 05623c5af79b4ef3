/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX timers keep their numbers, clocks, notification and time. */
#include "cr.h"

int main(void)
{
	timer_t mono, real, gap, none;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
	struct itimerspec its = {{5, 678}, {1000, 0}}, now;
	sigset_t set;
	siginfo_t si;
	int ids[3];

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ev.sigev_value.sival_int = 31337;
	check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &ids[0]) == 0);
	check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &ids[1]) == 0);
	check(syscall(SYS_timer_create, CLOCK_REALTIME, &ev, &ids[2]) == 0);
	check(syscall(SYS_timer_delete, ids[1]) == 0);
	ev.sigev_notify = SIGEV_NONE;
	check(timer_create(CLOCK_MONOTONIC, &ev, &none) == 0);
	mono = (timer_t)(intptr_t)ids[0];
	gap = (timer_t)(intptr_t)ids[1];
	real = (timer_t)(intptr_t)ids[2];
	check(syscall(SYS_timer_settime, mono, 0, &its, NULL) == 0);
	check(syscall(SYS_timer_settime, real, 0, &its, NULL) == 0);
	ready();
	check(syscall(SYS_timer_gettime, mono, &now) == 0, "errno %d", errno);
	check(now.it_interval.tv_sec == 5 && now.it_interval.tv_nsec == 678 &&
		      now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000,
	      "%ld", now.it_value.tv_sec);
	check(syscall(SYS_timer_gettime, gap, &now) == -1 && errno == EINVAL);
	check(syscall(SYS_timer_gettime, real, &now) == 0 && now.it_value.tv_sec > 900);
	check(timer_gettime(none, &now) == 0 && now.it_value.tv_sec == 0);
	its = (struct itimerspec){{0, 0}, {0, 1000000}};
	check(syscall(SYS_timer_settime, mono, 0, &its, NULL) == 0);
	check(sigtimedwait(&set, &si, &(struct timespec){10, 0}) == SIGRTMIN + 2);
	check(si.si_code == SI_TIMER && si.si_value.sival_int == 31337 && si.si_timerid == ids[0]);
	return ok();
}
