/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of many kinds that come and go all the time: whoever looks at them sees ends of them
 * everywhere, and none of that is a reason to refuse.  Those that stay are whole.
 */
#include "cr.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define THREADS 3
#define EACH	24

static atomic_ulong turns[THREADS];

static int make(int kind)
{
	int pair[2] = {-1, -1};

	switch (kind % 8) {
	case 0:
		return socket(AF_INET, SOCK_DGRAM, 0);
	case 1:
		return socket(AF_INET6, SOCK_STREAM, 0);
	case 2:
		return socket(AF_UNIX, SOCK_STREAM, 0);
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
	default:
		return open("/", O_TMPFILE | O_RDWR, 0600);
	}
}

static void *churn(void *arg)
{
	int me = *(int *)arg, fds[EACH];

	for (;;) {
		for (int i = 0; i < EACH; i++)
			check((fds[i] = make(i)) >= 0 || i % 8 == 7, "errno %d", errno);
		for (int i = 0; i < EACH; i++)
			close(fds[i]);
		turns[me]++;
	}
	return NULL;
}

int main(void)
{
	int me[THREADS], pair[2];
	pthread_t t;
	char c = 0;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	for (int i = 0; i < THREADS; i++) {
		me[i] = i;
		check(pthread_create(&t, NULL, churn, &me[i]) == 0);
	}
	ready();
	for (int i = 0; i < THREADS; i++)
		for (unsigned long was = turns[i]; turns[i] < was + 3;)
			usleep(1000);
	check(write(pair[0], "x", 1) == 1 && read(pair[1], &c, 1) == 1 && c == 'x');
	return ok();
}
