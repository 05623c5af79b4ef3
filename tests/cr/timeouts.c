/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for so long or until then: each ends when it would have ended, after any number
 * of freezes, and with what it tells when its time is over.  The clock that all are compared with
 * is a wait until a moment, in the same process: on a busy machine all are late.
 */
#include "gap.h"

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>

#define WAIT_MS	  2000
#define BEFORE_MS 1200
#define LATE_MS	  600 /* the whole time again would be 1200 */

static const struct timespec span = {.tv_sec = WAIT_MS / 1000};
static int ep, sem, empty[2];
static aio_context_t aio;
static sigset_t usr1;
static uint64_t start;

static long do_epoll_wait(void)
{
	struct epoll_event e;

	return syscall(SYS_epoll_wait, ep, &e, 1, WAIT_MS);
}

static long do_epoll_pwait(void)
{
	struct epoll_event e;

	return syscall(SYS_epoll_pwait, ep, &e, 1, WAIT_MS, NULL, 8);
}

static long do_epoll_pwait2(void)
{
	struct epoll_event e;

	return syscall(441, ep, &e, 1, &span, NULL, 8);
}

static long do_sigtimedwait(void)
{
	return sigtimedwait(&usr1, NULL, &span);
}

static long do_poll(void)
{
	struct pollfd f = {.fd = empty[0], .events = POLLIN};

	return poll(&f, 1, WAIT_MS);
}

static long do_nanosleep(void)
{
	return nanosleep(&span, NULL);
}

static long do_futex(void)
{
	int word = 5;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 5, &span, NULL, 0);
}

static long do_ppoll(void)
{
	struct pollfd f = {.fd = empty[0], .events = POLLIN};
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&f, 1, &span, &none);
}

static long do_select(void)
{
	struct timeval t = {.tv_sec = WAIT_MS / 1000};
	fd_set r;

	FD_ZERO(&r);
	FD_SET(empty[0], &r);
	return select(empty[0] + 1, &r, NULL, NULL, &t);
}

static long do_pselect(void)
{
	return pselect(0, NULL, NULL, NULL, &span, NULL);
}

static long do_semtimedop(void)
{
	struct sembuf op = {.sem_op = -1};

	return semtimedop(sem, &op, 1, &span);
}

static long do_io_getevents(void)
{
	struct io_event e;

	return syscall(SYS_io_getevents, aio, 1, 1, &e, &span);
}

static long do_io_pgetevents(void)
{
	struct io_event e;

	return syscall(333, aio, 1, 1, &e, &span, NULL);
}

static long do_futex_until(void)
{
	struct timespec t;
	int word = 5;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += WAIT_MS / 1000;
	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 5, &t, NULL, ~0);
}

static long do_cond(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&m);
	errno = pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &t);
	return -1;
}

static const struct call {
	const char *name;
	long (*wait)(void);
	int error; /* when the time is over; 0: the call returns 0 */
} calls[] = {
	{"epoll_wait", do_epoll_wait, 0},
	{"epoll_pwait", do_epoll_pwait, 0},
	{"epoll_pwait2", do_epoll_pwait2, 0},
	{"sigtimedwait", do_sigtimedwait, EAGAIN},
	{"poll", do_poll, 0},
	{"nanosleep", do_nanosleep, 0},
	{"futex", do_futex, ETIMEDOUT},
	{"ppoll", do_ppoll, 0},
	{"select", do_select, 0},
	{"pselect", do_pselect, 0},
	{"semtimedop", do_semtimedop, EAGAIN},
	{"io_getevents", do_io_getevents, 0},
	{"io_pgetevents", do_io_pgetevents, 0},
	{"futex until", do_futex_until, ETIMEDOUT},
	{"pthread_cond_clockwait", do_cond, ETIMEDOUT},
};
static uint64_t ended[ARRAY_SIZE(calls)];

static void *waiter(void *arg)
{
	const struct call *c = arg;
	long r;

	errno = 0;
	r = c->wait();
	ended[c - calls] = clock_ns(CLOCK_MONOTONIC);
	if (errno == ENOSYS)
		ended[c - calls] = 0;
	else
		check(r == (c->error ? -1 : 0) && errno == c->error, "%s: %ld, errno %d", c->name,
		      r, errno);
	return NULL;
}

/* Until then, however often it is interrupted. */
static uint64_t until_end(void)
{
	uint64_t at = start + WAIT_MS * 1000000ULL;
	struct timespec t = {(time_t)(at / 1000000000), (long)(at % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
	return clock_ns(CLOCK_MONOTONIC);
}

static void check_call(unsigned i, uint64_t control)
{
	const struct call *c = &calls[i];
	double early = ((double)start + WAIT_MS * 1e6 - (double)ended[i]) / 1e6;
	double late = ((double)ended[i] - (double)control) / 1e6;

	if (!ended[i])
		return;
	check(early < 5, "%s: %.1f ms early", c->name, early);
	check(late < LATE_MS + gap_s() * 1e3, "%s: %.1f ms late, away for %.1f", c->name, late,
	      gap_s() * 1e3);
}

int main(void)
{
	pthread_t t[ARRAY_SIZE(calls)];
	unsigned n = ARRAY_SIZE(calls);
	uint64_t control;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	ep = epoll_create1(0);
	sem = semget(IPC_PRIVATE, 1, 0600);
	check(ep >= 0 && sem >= 0 && pipe(empty) == 0);
	check(syscall(SYS_io_setup, 4, &aio) == 0, "errno %d", errno);
	gap_begin();
	start = clock_ns(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < n; i++)
		check(pthread_create(&t[i], NULL, waiter, (void *)&calls[i]) == 0);
	while (clock_ns(CLOCK_MONOTONIC) - start < BEFORE_MS * 1000000ULL)
		usleep(10000);
	ready();
	control = until_end();
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < n; i++)
		check_call(i, control);
	semctl(sem, 0, IPC_RMID);
	return ok();
}
