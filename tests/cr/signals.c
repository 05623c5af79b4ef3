/* SPDX-License-Identifier: Apache-2.0 */
/* Signal actions with their flags and masks, and what is blocked. */
#include "cr.h"

static volatile sig_atomic_t got;

static void handler(int sig, siginfo_t *si, void *ctx)
{
	got = si->si_value.sival_int;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART}, now;
	struct sigaction once = {.sa_handler = SIG_IGN};
	struct sigaction no_zombies = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	pid_t child;
	union sigval v = {.sival_int = 4711};
	sigset_t block, was;

	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaddset(&sa.sa_mask, SIGRTMAX);
	check(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGPIPE, &once, NULL) == 0);
	sa.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESETHAND | SA_NOCLDSTOP;
	check(sigaction(SIGRTMIN + 5, &sa, NULL) == 0);
	check(sigaction(SIGCHLD, &no_zombies, NULL) == 0);
	sigemptyset(&block);
	sigaddset(&block, SIGHUP);
	sigaddset(&block, SIGRTMIN + 1);
	sigprocmask(SIG_SETMASK, &block, NULL);
	ready();
	sigprocmask(SIG_SETMASK, NULL, &was);
	for (int s = 1; s < SIGRTMAX; s++)
		if (s != 32 && s != 33)
			check(sigismember(&was, s) == (s == SIGHUP || s == SIGRTMIN + 1),
			      "signal %d", s);
	check(sigaction(SIGUSR1, NULL, &now) == 0);
	check(now.sa_sigaction == handler &&
		      (now.sa_flags & ~0x04000000) == (SA_SIGINFO | SA_RESTART),
	      "flags %#x", now.sa_flags);
	check(sigismember(&now.sa_mask, SIGUSR2) && sigismember(&now.sa_mask, SIGRTMAX) &&
	      !sigismember(&now.sa_mask, SIGTERM));
	check(sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
	check(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	check(sigaction(SIGRTMIN + 5, NULL, &now) == 0 && (now.sa_flags & SA_RESETHAND) &&
	      (now.sa_flags & SA_NODEFER));
	check(sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_DFL &&
	      now.sa_flags & SA_NOCLDWAIT);
	child = fork();
	if (child == 0)
		_exit(0);
	check(waitpid(child, NULL, 0) < 0 && errno == ECHILD, "errno %d", errno);
	sigqueue(getpid(), SIGUSR1, v);
	check(got == 4711);
	return ok();
}
