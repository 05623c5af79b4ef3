/* SPDX-License-Identifier: Apache-2.0 */
/* An interval timer whose SIGALRM is pending while it is dumped: it goes on when that is taken. */
#include "cr.h"

#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

int main(void)
{
	struct itimerval v = {{0, 20000}, {0, 20000}}, now;
	sigset_t set, pending;

	signal(SIGALRM, on_alarm);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	check(setitimer(ITIMER_REAL, &v, NULL) == 0, "setitimer");
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
	ready();
	sigpending(&pending);
	check(sigismember(&pending, SIGALRM), "no alarm is pending");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	while (alarms < 4)
		pause();
	check(getitimer(ITIMER_REAL, &now) == 0 && now.it_interval.tv_usec == 20000, "interval");
	return ok();
}
