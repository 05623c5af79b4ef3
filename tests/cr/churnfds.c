/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of many kinds that come and go all the time: whoever looks at them sees ends of them
 * everywhere, and none of that is a reason to refuse.  Those that stay are whole.
 */
#include "cr.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define CHILDREN 8
#define EACH	 100

static atomic_ulong *turns;

static int make(int kind)
{
	int pair[2] = {-1, -1};

	switch (kind % 16) {
	case 3:
		check(pipe(pair) == 0);
		close(pair[1]);
		return pair[0];
	case 4:
		return eventfd(3, 0);
	case 5:
		return timerfd_create(CLOCK_MONOTONIC, 0);
	case 6:
		return epoll_create1(0);
	case 7:
		return open("/", O_TMPFILE | O_RDWR, 0600);
	default:
		return socket(kind % 2 ? AF_INET : AF_UNIX, SOCK_DGRAM, 0);
	}
}

static void churn(int me)
{
	int fds[EACH];

	for (;; turns[me]++) {
		for (int i = 0; i < EACH; i++)
			check((fds[i] = make(i)) >= 0 || errno == EOPNOTSUPP, "errno %d", errno);
		for (int i = 0; i < EACH; i++)
			close(fds[i]);
	}
}

int main(void)
{
	pid_t pids[CHILDREN];
	int pair[2];
	char c = 0;

	turns = mmap(NULL, CHILDREN * sizeof(*turns), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(turns != MAP_FAILED && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			churn(i);
	}
	ready();
	for (int i = 0; i < CHILDREN; i++)
		for (unsigned long was = turns[i]; turns[i] < was + 3;) {
			check(waitpid(pids[i], NULL, WNOHANG) == 0);
			usleep(1000);
		}
	check(write(pair[0], "x", 1) == 1 && read(pair[1], &c, 1) == 1 && c == 'x');
	for (int i = 0; i < CHILDREN; i++)
		check(kill(pids[i], SIGKILL) == 0 && waitpid(pids[i], NULL, 0) == pids[i]);
	return ok();
}
