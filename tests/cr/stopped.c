/* SPDX-License-Identifier: Apache-2.0 */
/* A stopped child stays stopped until it is continued. */
#include "cr.h"

int main(void)
{
	pid_t c = fork();
	int status;

	if (c == 0) {
		raise(SIGSTOP);
		_exit(5);
	}
	check(waitpid(c, &status, WUNTRACED) == c && WIFSTOPPED(status));
	ready();
	check(waitpid(c, &status, WNOHANG) == 0, "it is not gone");
	check(kill(c, SIGCONT) == 0);
	check(waitpid(c, &status, 0) == c && WIFEXITED(status) && WEXITSTATUS(status) == 5, "%#x",
	      status);
	return ok();
}
