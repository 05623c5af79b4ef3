/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX timers that notify in every way: a thread, the process, nobody; overruns; CPU clocks. */
#include "cr.h"

#include <pthread.h>

#define MS 1000000L

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static timer_t to_thread, to_process, to_nobody, cpu;
static pthread_barrier_t barrier;
static pid_t tid;

static timer_t make(clockid_t clock, int notify, int sig, int value)
{
	struct sigevent e = {.sigev_notify = notify, .sigev_signo = sig};
	timer_t t;

	e.sigev_value.sival_int = value;
	e.sigev_notify_thread_id = notify == SIGEV_THREAD_ID ? tid : 0;
	check(timer_create(clock, &e, &t) == 0, "errno %d", errno);
	return t;
}

static void arm(timer_t t, long ms, long interval_ms)
{
	struct itimerspec v = {.it_value = {ms / 1000, ms % 1000 * MS},
			       .it_interval = {interval_ms / 1000, interval_ms % 1000 * MS}};

	check(timer_settime(t, 0, &v, NULL) == 0);
}

static void *thread(void *arg)
{
	siginfo_t info;
	sigset_t set;

	tid = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	check(sigwaitinfo(&set, &info) == SIGRTMIN + 1, "errno %d", errno);
	check(info.si_code == SI_TIMER && info.si_value.sival_int == 11, "code %d", info.si_code);
	return NULL;
}

int main(void)
{
	struct itimerspec v;
	sigset_t set;
	siginfo_t info;
	pthread_t t;
	int over;

	sigemptyset(&set);
	for (int i = 1; i < 5; i++)
		sigaddset(&set, SIGRTMIN + i);
	sigprocmask(SIG_BLOCK, &set, NULL);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0);
	check(pthread_create(&t, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&barrier);
	to_thread = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 11);
	to_process = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 12);
	to_nobody = make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 0);
	cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 3, 13);
	arm(to_thread, 300, 0);
	arm(to_process, 1, 1);
	arm(to_nobody, 100000, 7000);
	arm(cpu, 30000, 0);
	/* it is pending, and goes on without being taken */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	do
		sigpending(&set);
	while (!sigismember(&set, SIGRTMIN + 2));
	ready();

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	check(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	check(info.si_code == SI_TIMER && info.si_value.sival_int == 12);
	over = timer_getoverrun(to_process);
	check(over >= 0, "%d", over);
	/* it goes on ticking */
	check(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	check(timer_gettime(to_nobody, &v) == 0 && v.it_value.tv_sec >= 40 &&
		      v.it_value.tv_sec < 100 && v.it_interval.tv_sec == 7,
	      "%ld", v.it_value.tv_sec);
	check(timer_gettime(cpu, &v) == 0 && v.it_value.tv_sec >= 25 && v.it_value.tv_sec < 30);
	pthread_barrier_wait(&barrier);
	check(pthread_join(t, NULL) == 0);
	return ok();
}
