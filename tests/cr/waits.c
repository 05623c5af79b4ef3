/* SPDX-License-Identifier: Apache-2.0 */
/* A parent in wait4, a child in sigsuspend and one in pause go on as they were. */
#include "cr.h"

static volatile sig_atomic_t seen;

static void handler(int sig)
{
	seen = sig;
}

int main(void)
{
	pid_t suspended, waiter, grand;
	sigset_t block, wait;
	int status, p[2];
	char c;

	check(pipe(p) == 0);
	signal(SIGUSR1, handler);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	suspended = fork();
	if (suspended == 0) {
		sigset_t now;

		sigfillset(&wait);
		sigdelset(&wait, SIGUSR1);
		check(write(p[1], "s", 1) == 1);
		sigsuspend(&wait);
		sigprocmask(SIG_BLOCK, NULL, &now);
		_exit(seen == SIGUSR1 && sigismember(&now, SIGUSR1) && !sigismember(&now, SIGTERM)
			      ? 0
			      : 10);
	}
	waiter = fork();
	if (waiter == 0) {
		grand = fork();
		if (grand == 0) {
			check(write(p[1], "g", 1) == 1);
			sigprocmask(SIG_UNBLOCK, &block, NULL);
			while (!seen)
				usleep(1000);
			_exit(33);
		}
		check(write(p[1], (char *)&grand, sizeof(grand)) == sizeof(grand));
		_exit(waitpid(grand, &status, 0) == grand && WEXITSTATUS(status) == 33 ? 0 : 11);
	}
	/* 's', 'g' and the number come in any order: the number is looked for in /proc instead */
	for (int i = 0; i < 2 + (int)sizeof(grand); i++)
		check(read(p[0], &c, 1) == 1);
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", waiter, waiter);
	f = fopen(path, "re");
	check(f && fscanf(f, "%d", &grand) == 1);
	fclose(f);
	ready();
	check(kill(suspended, SIGUSR1) == 0 && kill(grand, SIGUSR1) == 0);
	check(waitpid(suspended, &status, 0) == suspended && status == 0, "status %#x", status);
	check(waitpid(waiter, &status, 0) == waiter && status == 0, "status %#x", status);
	return ok();
}
