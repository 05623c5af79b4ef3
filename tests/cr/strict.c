/* SPDX-License-Identifier: Apache-2.0 */
/* Seccomp's strict mode: nothing but read, write, _exit and sigreturn. */
#include "cr.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

int main(void)
{
	int go[2], back[2], status;
	pid_t pid;
	char c;

	check(pipe(go) == 0 && pipe(back) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		for (;;) {
			if (write(back[1], "r", 1) != 1 || read(go[0], &c, 1) != 1 || c == 'x')
				syscall(SYS_exit, 7);
			if (c == 'k')
				syscall(SYS_getpid);
		}
	}
	check(read(back[0], &c, 1) == 1);
	ready();
	check(write(go[1], "g", 1) == 1 && read(back[0], &c, 1) == 1);
	check(waitpid(pid, &status, WNOHANG) == 0);
	check(write(go[1], "k", 1) == 1);
	check(waitpid(pid, &status, 0) == pid);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", status);
	return ok();
}
