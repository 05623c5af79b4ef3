/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals that come and go all the time: none is taken for one whose master is somebody else's
 * because it was not there a moment before.  They are looked for when the first terminal is met;
 * the other descriptors of its process take their time until it is the turn of those that come and
 * go.
 */
#include "cr.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define PAIRS  24
#define OTHERS 2000

static _Noreturn void comes_and_goes(void)
{
	for (int n = 1;; n = n % PAIRS + 1) {
		int fds[2 * PAIRS];

		for (int i = 0; i < n; i++) {
			int m = fds[2 * i] = posix_openpt(O_RDWR | O_NOCTTY);

			if (m < 0 || unlockpt(m) < 0)
				_exit(1);
			fds[2 * i + 1] = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
		}
		for (int i = 0; i < 2 * n; i++)
			close(fds[i]);
	}
}

int main(void)
{
	pid_t pid = fork();
	int status, first;

	if (pid == 0)
		comes_and_goes();
	check(pid > 0);
	first = posix_openpt(O_RDWR | O_NOCTTY);
	check(first >= 0);
	for (int i = 0; i < OTHERS; i++)
		check(eventfd(0, 0) > first, "errno %d", errno);
	usleep(20000);
	ready();
	check(waitpid(pid, &status, WNOHANG) == 0, "status %#x", status);
	check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	return ok();
}
