/* SPDX-License-Identifier: Apache-2.0 */
/* Threads with a table of descriptors of their own (CLONE_FILES). */
#include "cr.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define BOTH  200 /* the process and a thread have something else there */
#define ONE   201 /* only the process has it */
#define DUP   202 /* only a thread: what the process has as ONE */
#define EVENT 203
#define PIPE  204 /* and 205 */
#define EPOLL 206
#define PAIR  207 /* and 208 */
#define PLAIN 209 /* opened with O_CLOEXEC, but dup2(2) */

static char name[] = "/tmp/threadtables.XXXXXX";
static pthread_barrier_t made, restored, verified;

static void names_of(const char *dir, char *buf, size_t size)
{
	unsigned all[64], n = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	check(d != NULL, "%s", dir);
	while ((e = readdir(d)) && n < ARRAY_SIZE(all))
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
			all[n++] = (unsigned)atoi(e->d_name);
	closedir(d);
	*buf = 0;
	for (unsigned fd = 0; fd < 4096; fd++)
		for (unsigned i = 0; i < n; i++)
			if (all[i] == fd)
				snprintf(buf + strlen(buf), size - strlen(buf), "%u ", fd);
}

static void move(int from, int to)
{
	check(dup2(from, to) == to && close(from) == 0);
}

static char before[2][256], after[2][256], process[256];
static const char *volatile wrong;

#define verify(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			wrong = #cond;                                                             \
	} while (0)

static void make_many(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 17};
	int p[2], fd;

	check(close(BOTH) == 0 && close(ONE) == 0);
	fd = open(name, O_RDWR);
	check(fd >= 0 && lseek(fd, 5, SEEK_SET) == 5);
	move(fd, BOTH);
	check(dup2(DUP + 100, DUP) == DUP && close(DUP + 100) == 0);
	move(eventfd(41, 0), EVENT);
	check(pipe(p) == 0);
	move(p[0], PIPE);
	move(p[1], PIPE + 1);
	move(epoll_create1(0), EPOLL);
	check(epoll_ctl(EPOLL, EPOLL_CTL_ADD, PIPE, &ev) == 0);
	check(write(PIPE + 1, "queued", 6) == 6);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	move(p[0], PAIR);
	move(p[1], PAIR + 1);
	check(write(PAIR, "x", 1) == 1);
	move(open("/dev/null", O_RDONLY | O_CLOEXEC), PLAIN);
	check(fcntl(PAIR, F_SETFD, FD_CLOEXEC) == 0);
}

static void verify_many(void)
{
	struct epoll_event ev;
	uint64_t value;
	char buf[8];

	verify(lseek(BOTH, 0, SEEK_CUR) == 5 && read(BOTH, buf, 5) == 5 &&
	       !memcmp(buf, "56789", 5));
	verify(fcntl(ONE, F_GETFD) < 0);
	verify(lseek(DUP, 0, SEEK_CUR) == 3); /* to where the process has moved it by now */
	verify(read(EVENT, &value, 8) == 8 && value == 41);
	verify(epoll_wait(EPOLL, &ev, 1, 0) == 1 && ev.data.u32 == 17);
	verify(read(PIPE, buf, 8) == 6 && !memcmp(buf, "queued", 6));
	verify(epoll_wait(EPOLL, &ev, 1, 0) == 0);
	verify(write(PIPE + 1, "y", 1) == 1 && epoll_wait(EPOLL, &ev, 1, 0) == 1);
	verify(read(PAIR + 1, buf, 8) == 1 && write(PAIR + 1, "z", 1) == 1 &&
	       read(PAIR, buf, 8) == 1);
	verify(fcntl(PLAIN, F_GETFD) == 0 && fcntl(PAIR, F_GETFD) == FD_CLOEXEC);
}

static void *many(void *arg)
{
	check(unshare(CLONE_FILES) == 0);
	make_many();
	names_of("/proc/thread-self/fd", before[0], sizeof(before[0]));
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	names_of("/proc/thread-self/fd", after[0], sizeof(after[0]));
	verify_many();
	pthread_barrier_wait(&verified);
	return arg;
}

static void *few(void *arg)
{
	check(unshare(CLONE_FILES) == 0 && close_range(3, ~0u, 0) == 0);
	names_of("/proc/thread-self/fd", before[1], sizeof(before[1]));
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&restored);
	names_of("/proc/thread-self/fd", after[1], sizeof(after[1]));
	pthread_barrier_wait(&verified);
	return arg;
}

/* A process that shares the table of the first one, with such a thread of its own. */
static int to_sharer[2];
static char stack[262144] __attribute__((aligned(16)));
static volatile bool *sharer_ready;

static void *of_sharer(void *arg)
{
	char c, now[256];
	int p[2];

	check(unshare(CLONE_FILES) == 0 && pipe(p) == 0);
	move(p[0], ONE);
	check(write(p[1], "!", 1) == 1 && close(p[1]) == 0);
	names_of("/proc/thread-self/fd", before[0], sizeof(before[0]));
	*sharer_ready = true;
	while (read(to_sharer[0], &c, 1) != 1)
		;
	names_of("/proc/thread-self/fd", now, sizeof(now));
	return strcmp(now, before[0]) == 0 && read(ONE, &c, 1) == 1 && c == '!' ? arg : NULL;
}

static int sharer(void *arg)
{
	pthread_t t;
	void *ret;

	return pthread_create(&t, NULL, of_sharer, stack) || pthread_join(t, &ret) || !ret ||
	       lseek(ONE, 0, SEEK_CUR) < 0;
}

static pid_t start_sharer(void)
{
	pid_t pid;

	sharer_ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(sharer_ready != MAP_FAILED && pipe(to_sharer) == 0);
	pid = clone(sharer, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
	check(pid > 0);
	while (!*sharer_ready)
		usleep(1000);
	return pid;
}

int main(void)
{
	int fd = mkstemp(name), file, status;
	pid_t pid;
	pthread_t threads[2];
	char buf[256];

	check(fd >= 0 && write(fd, "0123456789", 10) == 10 && lseek(fd, 1, SEEK_SET) == 1);
	move(fd, ONE);
	check(dup2(ONE, DUP + 100) == DUP + 100);
	file = open("/proc/self/maps", O_RDONLY); /* any other file */
	check(file >= 0);
	move(file, BOTH);
	pid = start_sharer();
	pthread_barrier_init(&made, NULL, 3);
	pthread_barrier_init(&restored, NULL, 3);
	pthread_barrier_init(&verified, NULL, 3);
	check(pthread_create(&threads[0], NULL, many, NULL) == 0);
	check(pthread_create(&threads[1], NULL, few, NULL) == 0);
	pthread_barrier_wait(&made);
	names_of("/proc/self/fd", process, sizeof(process));
	ready();
	names_of("/proc/self/fd", buf, sizeof(buf));
	check(strcmp(buf, process) == 0, "%s, not %s", buf, process);
	check(lseek(ONE, 3, SEEK_SET) == 3 && read(BOTH, buf, 1) == 1);
	pthread_barrier_wait(&restored);
	pthread_barrier_wait(&verified);
	for (unsigned i = 0; i < 2; i++)
		check(strcmp(before[i], after[i]) == 0, "thread %u: %s, not %s", i, after[i],
		      before[i]);
	check(!wrong, "%s", wrong);
	check(write(to_sharer[1], "g", 1) == 1);
	check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
	check(unlink(name) == 0);
	return ok();
}
