/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A statically linked program with musl: threads, a timer, a forked child behind a socket pair.  A
 * line at port 8000 is answered by the steps of all threads and how often was asked.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6

static _Thread_local unsigned mine;
static struct {
	pthread_mutex_t lock;
	unsigned n, sum;
} state[THREADS];
static atomic_uint ticks;
static sem_t turns;

static void tick(int sig)
{
	ticks++;
}

/* A sum that anybody can compute anew, also from what is thread-local. */
static void *work(void *arg)
{
	unsigned i = (unsigned)(size_t)arg;

	for (;;) {
		struct timespec t = {.tv_nsec = 1000000};

		sem_wait(&turns);
		pthread_mutex_lock(&state[i].lock);
		state[i].n++;
		state[i].sum = state[i].sum * 31 + ++mine;
		if (mine != state[i].n)
			abort();
		pthread_mutex_unlock(&state[i].lock);
		sem_post(&turns);
		nanosleep(&t, NULL);
	}
	return NULL;
}

static unsigned check(void)
{
	unsigned total = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		unsigned want = 0;

		pthread_mutex_lock(&state[i].lock);
		for (unsigned k = 1; k <= state[i].n; k++)
			want = want * 31 + k;
		if (want != state[i].sum)
			abort();
		total += state[i].n;
		pthread_mutex_unlock(&state[i].lock);
	}
	return total;
}

static void child(int fd)
{
	unsigned n = 0, m;

	while (read(fd, &m, sizeof(m)) == sizeof(m))
		if (++n != m || write(fd, &n, sizeof(n)) != sizeof(n))
			abort();
	_exit(0);
}

int main(void)
{
	struct itimerval every = {{0, 10000}, {0, 10000}};
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(8000)};
	int on = 1, sv[2], s = socket(AF_INET, SOCK_STREAM, 0);
	struct sigaction sa = {.sa_handler = tick, .sa_flags = SA_RESTART};
	unsigned asked = 0, m;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		return 1;
	if (fork() == 0)
		child(sv[0]);
	sigaction(SIGALRM, &sa, NULL);
	sem_init(&turns, 0, 2);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_t t;

		pthread_mutex_init(&state[i].lock, NULL);
		pthread_create(&t, NULL, work, (void *)i);
	}
	setitimer(ITIMER_REAL, &every, NULL);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(s, 5) < 0)
		return 1;
	for (;;) {
		FILE *f = fdopen(accept(s, NULL, NULL), "r+");
		char line[100];

		while (f && fgets(line, sizeof(line), f)) {
			unsigned before = ticks;
			struct timespec t = {.tv_nsec = 50000000};

			if (strncmp(line, "ping", 4) == 0) {
				fseek(f, 0, SEEK_CUR);
				fputs("pong\n", f);
				fflush(f);
				continue;
			}
			m = ++asked;
			if (write(sv[1], &m, sizeof(m)) != sizeof(m) ||
			    read(sv[1], &m, sizeof(m)) != sizeof(m) || m != asked)
				abort();
			while (nanosleep(&t, &t) < 0)
				;
			if (ticks == before)
				abort();
			fseek(f, 0, SEEK_CUR);
			fprintf(f, "%u %u\n", check(), asked);
			fflush(f);
		}
		if (f)
			fclose(f);
	}
}
