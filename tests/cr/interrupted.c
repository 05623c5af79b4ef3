/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that tell EINTR after any stop (signal(7)), not only when a handler has run: none of
 * them notices that we were frozen.
 */
#include "cr.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/socket.h>

static int event, sem, pair[2];
static sigset_t usr1;
static pthread_barrier_t made;

static void *epoller(void *arg)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 5}, out = {0};
	int ep = epoll_create1(0), n;

	check(epoll_ctl(ep, EPOLL_CTL_ADD, event, &e) == 0);
	pthread_barrier_wait(&made);
	n = epoll_wait(ep, &out, 1, 20000);
	check(n == 1 && out.data.u64 == 5, "epoll_wait: %d, errno %d", n, errno);
	return NULL;
}

static void *receiver(void *arg)
{
	struct timeval t = {.tv_sec = 20};
	char c;

	check(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	pthread_barrier_wait(&made);
	check(recv(pair[0], &c, 1, 0) == 1, "recv: errno %d", errno);
	return NULL;
}

static void *waiter(void *arg)
{
	struct timespec t = {.tv_sec = 20};

	pthread_barrier_wait(&made);
	check(sigtimedwait(&usr1, NULL, &t) == SIGUSR1, "sigtimedwait: errno %d", errno);
	return NULL;
}

static void *taker(void *arg)
{
	struct sembuf op = {.sem_op = -1};

	pthread_barrier_wait(&made);
	check(semop(sem, &op, 1) == 0, "semop: errno %d", errno);
	return NULL;
}

int main(void)
{
	void *(*const all[])(void *) = {epoller, receiver, waiter, taker};
	struct sembuf give = {.sem_op = 1};
	pthread_t t[ARRAY_SIZE(all)];
	unsigned n = ARRAY_SIZE(all);
	uint64_t one = 1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	event = eventfd(0, 0);
	sem = semget(IPC_PRIVATE, 1, 0600);
	if (sem < 0)
		n--;
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	pthread_barrier_init(&made, NULL, n + 1);
	for (unsigned i = 0; i < n; i++)
		check(pthread_create(&t[i], NULL, all[i], NULL) == 0);
	pthread_barrier_wait(&made);

	ready();

	check(write(event, &one, 8) == 8 && send(pair[1], "x", 1, 0) == 1);
	check(pthread_kill(t[2], SIGUSR1) == 0);
	check(sem < 0 || semop(sem, &give, 1) == 0, "errno %d", errno);
	for (unsigned i = 0; i < n; i++)
		check(pthread_join(t[i], NULL) == 0);
	if (sem >= 0)
		semctl(sem, 0, IPC_RMID);
	return ok();
}
