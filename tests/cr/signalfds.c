/* SPDX-License-Identifier: Apache-2.0 */
/* signalfd: its set, non-blocking or not, and a signal that was pending for it all the time. */
#include "cr.h"

#include <poll.h>
#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo si;
	struct pollfd p;
	sigset_t set, others;
	int a, b;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	sigemptyset(&others);
	sigaddset(&others, SIGUSR2);
	b = signalfd(-1, &others, 0);
	check(a >= 0 && b >= 0);
	check(sigqueue(getpid(), SIGRTMAX, (union sigval){.sival_int = 77}) == 0);

	ready();

	p = (struct pollfd){.fd = a, .events = POLLIN};
	check(poll(&p, 1, 15000) == 1 && p.revents == POLLIN);
	check(read(a, &si, sizeof(si)) == sizeof(si));
	check(si.ssi_signo == (unsigned)SIGRTMAX && si.ssi_int == 77, "%u", si.ssi_signo);
	check(read(a, &si, sizeof(si)) < 0 && errno == EAGAIN);
	kill(getpid(), SIGUSR1);
	check(read(a, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1);
	check(fcntl(a, F_GETFD) == FD_CLOEXEC && fcntl(b, F_GETFD) == 0);
	check(fcntl(b, F_GETFL) == O_RDWR, "%#x", fcntl(b, F_GETFL));
	sigprocmask(SIG_BLOCK, &others, NULL);
	kill(getpid(), SIGUSR2);
	check(read(b, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR2);
	return ok();
}
