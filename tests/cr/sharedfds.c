/* SPDX-License-Identifier: Apache-2.0 */
/* One table of descriptors for two processes (CLONE_FILES), and for the child of one of them. */
#include "cr.h"

#include <sched.h>
#include <sys/eventfd.h>

static char stack[65536], deeper[65536];
static int to, from, third;

static int grandchild(void *arg)
{
	uint64_t n;

	for (;;) {
		if (read(third, &n, 8) != 8)
			_exit(5);
		if (n == 2)
			_exit(0);
	}
}

static int child(void *arg)
{
	pid_t pid = clone(grandchild, deeper + sizeof(deeper), CLONE_FILES | SIGCHLD, NULL);
	uint64_t n, one = 1, two = 2;
	int fd, status;

	if (pid < 0 || write(from, &one, 8) != 8 || read(to, &n, 8) != 8)
		_exit(2);
	/* what the parent has opened meanwhile is here, and what we open is there */
	if (fcntl(77, F_GETFD) < 0)
		_exit(3);
	fd = eventfd(7, 0);
	if (dup2(fd, 88) != 88 || write(third, &two, 8) != 8 || write(from, &one, 8) != 8)
		_exit(4);
	if (waitpid(pid, &status, 0) != pid)
		_exit(6);
	_exit(WEXITSTATUS(status));
}

int main(void)
{
	uint64_t n, one = 1;
	int status;
	pid_t pid;

	to = eventfd(0, 0);
	from = eventfd(0, 0);
	third = eventfd(0, 0);
	pid = clone(child, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
	check(pid > 0 && read(from, &n, 8) == 8);

	ready();

	check(dup2(to, 77) == 77 && write(to, &one, 8) == 8);
	check(read(from, &n, 8) == 8 && read(88, &n, 8) == 8 && n == 7, "errno %d", errno);
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "status %#x", status);
	check(WEXITSTATUS(status) == 0, "status %d", WEXITSTATUS(status));
	return ok();
}
