/* SPDX-License-Identifier: Apache-2.0 */
/* Dead children that nobody has waited for keep their status and their users. */
#include "cr.h"

int main(void)
{
	pid_t exited = fork(), killed;
	siginfo_t si;
	int status;

	if (exited == 0)
		_exit(setgid(1235) == 0 && setuid(1234) == 0 ? 42 : 1);
	killed = fork();
	if (killed == 0) {
		pause();
		_exit(1);
	}
	kill(killed, SIGUSR2);
	check(waitid(P_PID, (id_t)exited, &si, WEXITED | WNOWAIT) == 0);
	check(waitid(P_PID, (id_t)killed, &si, WEXITED | WNOWAIT) == 0);
	ready();
	check(waitid(P_PID, (id_t)exited, &si, WEXITED | WNOWAIT) == 0 && si.si_uid == 1234,
	      "user %d", (int)si.si_uid);
	check(waitpid(exited, &status, 0) == exited, "errno %d", errno);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %#x", status);
	check(waitpid(killed, &status, 0) == killed, "errno %d", errno);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2, "status %#x", status);
	return ok();
}
