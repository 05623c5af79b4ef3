/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that are pending: of the process and of a thread, with what came along, in order. */
#include "cr.h"

#include <pthread.h>

static pthread_t thread;
static pthread_barrier_t made, go;

static void queue_to_self(int value)
{
	siginfo_t si = {.si_signo = SIGRTMIN + 3, .si_code = SI_QUEUE};

	si.si_value.sival_int = value;
	check(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN + 3, &si) == 0);
}

static void *work(void *arg)
{
	sigset_t set;
	siginfo_t si;

	for (int i = 0; i < 5; i++)
		queue_to_self(100 + i);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	for (int i = 0; i < 5; i++) {
		check(sigtimedwait(&set, &si, &(struct timespec){0}) == SIGRTMIN + 3, "errno %d",
		      errno);
		check(si.si_value.sival_int == 100 + i && si.si_code == SI_QUEUE);
	}
	return NULL;
}

int main(void)
{
	sigset_t all, set;
	siginfo_t si;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&go, NULL, 2);
	check(pthread_create(&thread, NULL, work, NULL) == 0);
	pthread_barrier_wait(&made);
	kill(getpid(), SIGTERM);
	for (int i = 0; i < 3; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	ready();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	check(sigtimedwait(&set, &si, &(struct timespec){0}) == SIGTERM, "errno %d", errno);
	check(si.si_code == SI_USER && si.si_pid == getpid(), "code %d pid %d", si.si_code,
	      si.si_pid);
	sigaddset(&set, SIGRTMIN);
	for (int i = 0; i < 3; i++) {
		check(sigtimedwait(&set, &si, &(struct timespec){0}) == SIGRTMIN, "errno %d",
		      errno);
		check(si.si_value.sival_int == i);
	}
	check(sigtimedwait(&set, &si, &(struct timespec){0}) == -1 && errno == EAGAIN);
	pthread_barrier_wait(&go);
	pthread_join(thread, NULL);
	return ok();
}
