/* SPDX-License-Identifier: Apache-2.0 */
/* pidfds of ourselves, of a living child, of a zombie, of one that is gone. */
#include "cr.h"

#include <poll.h>
#include <sys/ioctl.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int open_pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	check(fd >= 0, "errno %d", errno);
	return fd;
}

/* Linux 6.9 has inodes of processes; it had one for all. */
static bool same_process(int a, int b)
{
	struct stat x, y;

	check(fstat(a, &x) == 0 && fstat(b, &y) == 0);
	return x.st_ino == y.st_ino;
}

static bool is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	check(poll(&p, 1, 0) >= 0);
	return p.revents & POLLIN;
}

/* linux/pidfd.h; Linux 6.15 tells how a process ended that is gone, -1: an older one. */
static int exit_of(int fd)
{
	struct {
		uint64_t mask, group;
		uint32_t numbers[11];
		int32_t exit;
	} info = {.mask = 8};

	return ioctl(fd, _IOWR(0xff, 11, info), &info) == 0 && info.mask & 8 ? info.exit : -1;
}

int main(void)
{
	struct child c = child_start(NULL, NULL);
	int self = open_pidfd(getpid(), 0), alive = open_pidfd(c.pid, O_NONBLOCK), zombie, gone,
	    gone_again, gone_other, how;
	bool apart;
	siginfo_t si = {0};
	pid_t z, g;

	z = fork();
	if (z == 0)
		_exit(42);
	zombie = open_pidfd(z, 0);
	g = fork();
	if (g == 0)
		_exit(7);
	gone = open_pidfd(g, 0);
	gone_again = open_pidfd(g, O_NONBLOCK);
	check(waitpid(g, NULL, 0) == g);
	g = fork();
	if (g == 0)
		_exit(8);
	gone_other = open_pidfd(g, 0);
	check(waitpid(g, NULL, 0) == g);
	apart = !same_process(gone, gone_other);
	check(waitid(P_PID, (id_t)z, &si, WEXITED | WNOWAIT) == 0);

	how = exit_of(gone);
	check(how == -1 || how == 7 << 8, "%#x", how);

	ready();

	check(exit_of(gone) == how, "%#x was %#x", exit_of(gone), how);
	check(!is_over(self) && !is_over(alive) && is_over(zombie) && is_over(gone));
	check(same_process(gone, gone_again) && same_process(gone, gone_other) == !apart);
	check(is_over(gone_again) && fcntl(gone_again, F_GETFL) & O_NONBLOCK);
	check(fcntl(alive, F_GETFL) & O_NONBLOCK && !(fcntl(self, F_GETFL) & O_NONBLOCK));
	check(syscall(SYS_pidfd_send_signal, self, 0, NULL, 0) == 0);
	check(syscall(SYS_pidfd_send_signal, gone, 0, NULL, 0) < 0 && errno == ESRCH);
	check(waitid(P_PIDFD, (id_t)zombie, &si, WEXITED) == 0 && si.si_pid == z &&
		      si.si_status == 42,
	      "pid %d status %d", si.si_pid, si.si_status);
	check(waitid(P_PIDFD, (id_t)alive, &si, WEXITED | WNOHANG) < 0 || si.si_pid != c.pid);
	check(write(c.to, "g", 1) == 1);
	while (waitid(P_PIDFD, (id_t)alive, &si, WEXITED) < 0)
		check(errno == EAGAIN, "errno %d", errno);
	check(si.si_pid == c.pid && si.si_status == 0);
	check(is_over(alive));
	return ok();
}
