/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What wait(2) has still to tell of stopped children: each stop and each continuation once, with
 * its signal, also of a process with threads.
 */
#include "cr.h"

#include <pthread.h>

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static pid_t stopped_by(int sig, bool threads)
{
	pid_t c = fork();
	pthread_t t;

	check(c >= 0);
	if (c > 0)
		return c;
	setpgid(0, 0); /* not in the orphaned group of the session's leader */
	for (int i = 0; threads && i < 3; i++)
		pthread_create(&t, NULL, idle, NULL);
	kill(getpid(), sig);
	for (;;)
		pause();
}

static void tells(pid_t pid, int flags, int code, int sig)
{
	siginfo_t si = {0};

	check(waitid(P_PID, (id_t)pid, &si, flags | WNOHANG) == 0, "errno %d", errno);
	check(si.si_pid == (code ? pid : 0), "child %d: told of %d", pid, si.si_pid);
	check(!code || (si.si_code == code && si.si_status == sig), "child %d: code %d signal %d",
	      pid, si.si_code, si.si_status);
}

int main(void)
{
	pid_t seen = stopped_by(SIGSTOP, true), unseen = stopped_by(SIGTSTP, false),
	      threads = stopped_by(SIGTTIN, true), went = stopped_by(SIGSTOP, false);
	siginfo_t si;
	int status;

	check(waitpid(seen, &status, WUNTRACED) == seen && WSTOPSIG(status) == SIGSTOP);
	check(waitid(P_PID, (id_t)unseen, &si, WSTOPPED | WNOWAIT) == 0);
	check(waitid(P_PID, (id_t)threads, &si, WSTOPPED | WNOWAIT) == 0);
	check(waitpid(went, &status, WUNTRACED) == went && kill(went, SIGCONT) == 0);
	check(waitid(P_PID, (id_t)went, &si, WCONTINUED | WNOWAIT) == 0);
	ready();
	tells(seen, WSTOPPED, 0, 0);
	tells(unseen, WSTOPPED, CLD_STOPPED, SIGTSTP);
	tells(unseen, WSTOPPED, 0, 0);
	tells(threads, WSTOPPED, CLD_STOPPED, SIGTTIN);
	tells(went, WCONTINUED, CLD_CONTINUED, SIGCONT);
	tells(went, WCONTINUED, 0, 0);
	check(kill(seen, SIGCONT) == 0);
	check(waitpid(seen, &status, WCONTINUED) == seen && WIFCONTINUED(status));
	check(kill(seen, SIGKILL) == 0 && kill(threads, SIGKILL) == 0);
	check(kill(unseen, SIGKILL) == 0 && kill(went, SIGKILL) == 0);
	return ok();
}
