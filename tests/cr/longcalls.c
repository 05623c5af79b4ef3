/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait without an end, or until a moment, or with the time of a socket: nobody notices
 * that they were interrupted, and each goes on to what it waited for.
 */
#include "cr.h"

#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define PATIENCE_S 60

static char dir[] = "/tmp/longcalls.XXXXXX", fifo[64], file[64], stream_name[64];
static int event, polled, timer, sigfd, watch, queue = -1, from[2], to[2], teed[2], full[2],
					       pair[2];
static int listener, full_listener, locked, ofd_locked;
static _Atomic unsigned word[5];
static _Atomic unsigned pi;

static struct timespec in_time(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += PATIENCE_S;
	return t;
}

static void fills(int fd)
{
	static const char zeros[4096];
	int flags = fcntl(fd, F_GETFL);

	check(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	while (write(fd, zeros, 1) > 0)
		;
	check(errno == EAGAIN && fcntl(fd, F_SETFL, flags) == 0);
}

static void drains(int fd)
{
	char buf[65536];
	int flags = fcntl(fd, F_GETFL);

	check(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	check(fcntl(fd, F_SETFL, flags) == 0);
}

static void wakes(unsigned i)
{
	word[i] = 1;
	syscall(SYS_futex, &word[i], FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Each waits; its partner ends that.  1: there is no such call here. */

/* Begun anew, it may find that the word is another by now. */
static long changed(long r)
{
	return r >= 0 || errno == EAGAIN ? 0 : errno == ENOSYS ? 1 : -1;
}

static long wait_futex(void)
{
	return changed(syscall(SYS_futex, &word[0], FUTEX_WAIT, 0, NULL, NULL, 0));
}
static void end_futex(void)
{
	wakes(0);
}

static long wait_futex_waitv(void)
{
	struct {
		uint64_t val, uaddr;
		uint32_t flags, reserved;
	} w[2] = {{0, (uint64_t)&word[1], 2, 0}, {0, (uint64_t)&word[2], 2, 0}};
	struct timespec t = in_time(CLOCK_MONOTONIC);

	return changed(syscall(449, w, 2, 0, &t, CLOCK_MONOTONIC));
}
static void end_futex_waitv(void)
{
	wakes(2);
}

/* futex_wait(2) of Linux 6.7 */
static long wait_futex2(void)
{
	struct timespec t = in_time(CLOCK_MONOTONIC);

	return changed(syscall(455, &word[3], 0, ~0u, 2, &t, CLOCK_MONOTONIC));
}
static void end_futex2(void)
{
	wakes(3);
}

static long wait_futex_pi(void)
{
	struct timespec t = in_time(CLOCK_REALTIME);
	long r = syscall(SYS_futex, &pi, FUTEX_LOCK_PI, 0, &t, NULL, 0);

	return r < 0 ? r : syscall(SYS_futex, &pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}
static void end_futex_pi(void)
{
	check(syscall(SYS_futex, &pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0, "errno %d", errno);
}

static long reads(int fd)
{
	char buf[4096];

	return read(fd, buf, sizeof(buf)) > 0 ? 0 : -1;
}
static long wait_event(void)
{
	return reads(event);
}
static void end_event(void)
{
	check(eventfd_write(event, 1) == 0);
}

static long wait_timer(void)
{
	return reads(timer);
}
static void end_timer(void)
{
	const struct itimerspec soon = {.it_value = {.tv_nsec = 1}};

	check(timerfd_settime(timer, 0, &soon, NULL) == 0);
}

static long wait_sigfd(void)
{
	return reads(sigfd);
}
static void end_sigfd(void)
{
	check(kill(getpid(), SIGUSR1) == 0);
}

static long wait_watch(void)
{
	return reads(watch);
}
static void end_watch(void)
{
	char name[80];

	snprintf(name, sizeof(name), "%s/new", dir);
	check(mkdir(name, 0700) == 0 && rmdir(name) == 0);
}

static long wait_queue(void)
{
	struct {
		long type;
		char c;
	} m;

	return queue < 0 ? 1 : msgrcv(queue, &m, 1, 7, 0) == 1 ? 0 : -1;
}
static void end_queue(void)
{
	struct {
		long type;
		char c;
	} m = {7, 'x'};

	check(queue < 0 || msgsnd(queue, &m, 1, 0) == 0);
}

static long wait_splice(void)
{
	return splice(from[0], NULL, to[1], NULL, 100, 0) == 1 ? 0 : -1;
}
static void end_splice(void)
{
	check(write(from[1], "x", 1) == 1);
}

static long wait_tee(void)
{
	return tee(teed[0], to[1], 100, 0) == 1 ? 0 : -1;
}
static void end_tee(void)
{
	check(write(teed[1], "x", 1) == 1);
}

static long wait_write(void)
{
	return write(full[1], "x", 1) == 1 ? 0 : -1;
}
static void end_write(void)
{
	drains(full[0]);
}

static long wait_fifo(void)
{
	int fd = open(fifo, O_RDONLY);

	close(fd);
	return fd >= 0 ? 0 : -1;
}
static void end_fifo(void)
{
	int fd = open(fifo, O_WRONLY);

	check(fd >= 0);
	close(fd);
}

static long wait_flock(void)
{
	int fd = open(file, O_RDWR);
	long r = flock(fd, LOCK_EX);

	close(fd);
	return r;
}
static void end_flock(void)
{
	check(flock(locked, LOCK_UN) == 0);
}

static long wait_ofd(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(file, O_RDWR);
	long r = fcntl(fd, F_OFD_SETLKW, &l);

	close(fd);
	return r;
}
static void end_ofd(void)
{
	struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	check(fcntl(ofd_locked, F_OFD_SETLK, &l) == 0);
}

static long wait_recvmmsg(void)
{
	char buf[16];
	struct iovec v = {buf, sizeof(buf)};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
	struct timespec t = {.tv_sec = PATIENCE_S};

	return recvmmsg(pair[0], &m, 1, 0, &t) == 1 ? 0 : -1;
}
static void end_recvmmsg(void)
{
	check(send(pair[1], "x", 1, 0) == 1);
}

/* SO_RCVTIMEO and SO_SNDTIMEO: of these any interruption is told. */
static long wait_accept(void)
{
	const struct timeval t = {.tv_sec = PATIENCE_S};
	int fd;

	check(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	fd = accept4(listener, NULL, NULL, 0);
	close(fd);
	return fd >= 0 ? 0 : -1;
}
static void end_accept(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(getsockname(listener, (struct sockaddr *)&a, &len) == 0 &&
	      connect(fd, (struct sockaddr *)&a, len) == 0);
	close(fd);
}

static void name_of(struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(a->sun_path, stream_name);
}

/* The queue of those who want to be accepted is full. */
static long wait_connect(void)
{
	const struct timeval t = {.tv_sec = PATIENCE_S};
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long r;

	name_of(&a);
	check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
	r = connect(fd, (struct sockaddr *)&a, sizeof(a));
	close(fd);
	return r;
}
static void end_connect(void)
{
	int fd = accept(full_listener, NULL, NULL);

	check(fd >= 0);
	close(fd);
}

static long wait_sendto(void)
{
	const struct timeval t = {.tv_sec = PATIENCE_S};

	check(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
	return send(pair[0], "x", 1, 0) == 1 ? 0 : -1;
}
static void end_sendto(void)
{
	drains(pair[1]);
}

/* What is left of the time cannot be stored: fs/select.c, poll_select_finish(). */
static struct timespec *constant;

static long wait_ppoll(void)
{
	struct pollfd f = {.fd = polled, .events = POLLIN};

	return syscall(SYS_ppoll, &f, 1, constant, NULL, 8) == 1 ? 0 : -1;
}

static void end_ppoll(void)
{
	check(eventfd_write(polled, 1) == 0);
}

static const struct call {
	const char *name;
	long (*wait)(void);
	void (*end)(void);
} calls[] = {
	{"futex", wait_futex, end_futex},
	{"futex_waitv", wait_futex_waitv, end_futex_waitv},
	{"futex_wait", wait_futex2, end_futex2},
	{"futex with priorities", wait_futex_pi, end_futex_pi},
	{"ppoll with a constant", wait_ppoll, end_ppoll},
	{"read of an eventfd", wait_event, end_event},
	{"read of a timerfd", wait_timer, end_timer},
	{"read of a signalfd", wait_sigfd, end_sigfd},
	{"read of an inotify", wait_watch, end_watch},
	{"msgrcv", wait_queue, end_queue},
	{"splice", wait_splice, end_splice},
	{"tee", wait_tee, end_tee},
	{"write to a full pipe", wait_write, end_write},
	{"open of a FIFO", wait_fifo, end_fifo},
	{"flock", wait_flock, end_flock},
	{"fcntl F_OFD_SETLKW", wait_ofd, end_ofd},
	{"recvmmsg", wait_recvmmsg, end_recvmmsg},
	{"accept with a time", wait_accept, end_accept},
	{"connect with a time", wait_connect, end_connect},
	{"send with a time", wait_sendto, end_sendto},
};
#define CALLS ARRAY_SIZE(calls)

static _Atomic pid_t tids[CALLS];

static void *waiter(void *arg)
{
	const struct call *c = arg;
	long r;

	tids[c - calls] = gettid(); /* what is between this and the call never sleeps */
	r = c->wait();
	check(r >= 0, "%s: errno %d", c->name, errno);
	return (void *)r;
}

static bool sleeps(pid_t tid)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return true; /* there is no such call */
	check(fgets(text, sizeof(text), f) != NULL);
	fclose(f);
	return strrchr(text, ')')[2] == 'S';
}

static void make_sockets(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(listener, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	name_of(&un);
	full_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(full_listener, (struct sockaddr *)&un, sizeof(un)) == 0 &&
	      listen(full_listener, 0) == 0);
	check(connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
}

static void make_files(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	check(mkdtemp(dir) != NULL);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(stream_name, sizeof(stream_name), "%s/socket", dir);
	check(mkfifo(fifo, 0600) == 0);
	locked = open(file, O_RDWR | O_CREAT, 0600);
	ofd_locked = open(file, O_RDWR);
	check(flock(locked, LOCK_EX) == 0 && fcntl(ofd_locked, F_OFD_SETLK, &l) == 0);
	watch = inotify_init1(0);
	check(inotify_add_watch(watch, dir, IN_CREATE) >= 0);
	check(pipe(from) == 0 && pipe(to) == 0 && pipe(teed) == 0 && pipe(full) == 0);
	fills(full[1]);
	event = eventfd(0, 0);
	polled = eventfd(0, 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	queue = msgget(IPC_PRIVATE, 0600);
}

static void make_signals(void)
{
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	sigfd = signalfd(-1, &usr1, 0);
	check(sigfd >= 0);
}

static void make_constant(void)
{
	constant = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(constant != MAP_FAILED);
	constant->tv_sec = PATIENCE_S;
	check(mprotect(constant, 4096, PROT_READ) == 0);
}

static void remove_all(void)
{
	if (queue >= 0)
		msgctl(queue, IPC_RMID, NULL);
	check(unlink(fifo) == 0 && unlink(file) == 0 && unlink(stream_name) == 0 &&
	      rmdir(dir) == 0);
}

int main(void)
{
	pthread_t t[CALLS];

	make_signals();
	make_files();
	make_sockets();
	fills(pair[0]);
	make_constant();
	check(syscall(SYS_futex, &pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0);
	for (unsigned i = 0; i < CALLS; i++)
		check(pthread_create(&t[i], NULL, waiter, (void *)&calls[i]) == 0);
	for (unsigned i = 0; i < CALLS; i++)
		while (!tids[i] || !sleeps(tids[i]))
			usleep(1000);

	ready();

	for (unsigned i = 0; i < CALLS; i++) {
		calls[i].end();
		check(pthread_join(t[i], NULL) == 0);
	}
	remove_all();
	return ok();
}
