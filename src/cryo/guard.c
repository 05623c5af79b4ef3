/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static struct {
	pthread_t thread;
	pthread_mutex_t lock; /* held by whoever decides how it ends */
	bool over, begun;
	int64_t timeout_s;
	void (*undo)(void *arg);
	void *arg;
} guard = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_of(sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(ret, signals[i]);
}

static void *watch(void *unused)
{
	const struct timespec limit = {.tv_sec = guard.timeout_s};
	sigset_t set;
	int sig;

	set_of(&set);
	do
		sig = sigtimedwait(&set, NULL, guard.timeout_s ? &limit : NULL);
	while (sig < 0 && errno == EINTR);
	pthread_mutex_lock(&guard.lock);
	if (!guard.over) {
		if (sig > 0)
			err_set(EINTR, "interrupted by signal %d (%s)", sig, strsignal(sig));
		else
			err_set(ETIMEDOUT, "not done within %d seconds", (int)guard.timeout_s);
		guard.undo(guard.arg);
		_exit(1);
	}
	pthread_mutex_unlock(&guard.lock);
	return NULL;
}

int guard_begin(int64_t timeout_s, void (*undo)(void *arg), void *arg)
{
	sigset_t set;
	int e;

	set_of(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	guard.timeout_s = timeout_s;
	guard.undo = undo;
	guard.arg = arg;
	guard.over = false;
	e = pthread_create(&guard.thread, NULL, watch, NULL);
	guard.begun = e == 0;
	return e ? err_code(e, "make a thread") : 0;
}

void guard_end(void)
{
	pthread_mutex_lock(&guard.lock);
	guard.over = true;
	pthread_mutex_unlock(&guard.lock);
	if (guard.begun) { /* another one may be begun */
		pthread_cancel(guard.thread);
		pthread_join(guard.thread, NULL);
		guard.begun = false;
	}
}

static void leave(int sig)
{
	static const char text[] = "Error: interrupted\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

void guard_restore(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], leave);
}

void guard_restore_end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL);
}
