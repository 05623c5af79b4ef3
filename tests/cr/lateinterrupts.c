/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals that have come for stopped processes, each in a call that waits: when they go on the
 * handler runs first, and then the call ends with EINTR, as it would have; but where SA_RESTART has
 * it begun anew.
 */
#include "cr.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>

#define LONG_S 1000

static const struct timespec span = {.tv_sec = LONG_S};
static volatile sig_atomic_t handled;
static int empty[2], socks[2], queue = -1, locked = -1;

static void handler(int sig)
{
	handled++;
}

static long do_pause(void)
{
	return pause();
}

static long do_sigsuspend(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}

static long do_read(void)
{
	char c;

	return read(empty[0], &c, 1);
}

static long do_nanosleep(void)
{
	return nanosleep(&span, NULL);
}

/* The rest is told. */
static long do_nanosleep_rest(void)
{
	struct timespec rest = {0};
	long r = nanosleep(&span, &rest);

	check(r == 0 || (rest.tv_sec > LONG_S - 300 && rest.tv_sec <= LONG_S), "%ld s are left",
	      (long)rest.tv_sec);
	return r;
}

static long do_clock_nanosleep(void)
{
	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
	return errno ? -1 : 0;
}

static long do_poll(void)
{
	struct pollfd f = {.fd = empty[0], .events = POLLIN};

	return poll(&f, 1, LONG_S * 1000);
}

static long do_ppoll(void)
{
	struct pollfd f = {.fd = empty[0], .events = POLLIN};
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&f, 1, &span, &none);
}

static long do_select(void)
{
	struct timeval t = {.tv_sec = LONG_S};

	return select(0, NULL, NULL, NULL, &t);
}

static long do_epoll(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, LONG_S * 1000);
}

static long do_futex(void)
{
	int word = 5;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 5, &span, NULL, 0);
}

static long do_sigtimedwait(void)
{
	sigset_t usr2;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	return sigtimedwait(&usr2, NULL, &span);
}

static long do_recv(void)
{
	char c;

	return recv(socks[0], &c, 1, 0);
}

static long do_msgrcv(void)
{
	struct {
		long type;
		char c;
	} m;

	return msgrcv(queue, &m, 1, 0, 0);
}

static long do_flock(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", locked);
	fd = open(path, O_RDWR);
	return flock(fd, LOCK_EX);
}

static long do_wait(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	long r = waitpid(child, NULL, 0);

	check(kill(child, SIGKILL) == 0);
	return r;
}

static const struct call {
	const char *name;
	long (*wait)(void);
	bool anew; /* SA_RESTART has an effect */
} calls[] = {
	{"pause", do_pause},
	{"sigsuspend", do_sigsuspend},
	{"read", do_read, true},
	{"nanosleep", do_nanosleep},
	{"nanosleep with a place for the rest", do_nanosleep_rest},
	{"clock_nanosleep", do_clock_nanosleep},
	{"poll", do_poll},
	{"ppoll", do_ppoll},
	{"select", do_select},
	{"epoll_wait", do_epoll},
	{"futex", do_futex},
	{"sigtimedwait", do_sigtimedwait},
	{"recv", do_recv, true},
	{"msgrcv", do_msgrcv},
	{"flock", do_flock, true},
	{"wait4", do_wait, true},
};
#define CALLS ARRAY_SIZE(calls)

static struct {
	pid_t pid;
	bool again;
	const struct call *call;
	int told; /* of what the call said */
} children[2 * CALLS];

static void child(const struct call *c, bool again, int tell)
{
	struct sigaction a = {.sa_handler = handler, .sa_flags = again ? SA_RESTART : 0};
	char result;
	long r;

	sigaction(SIGUSR1, &a, NULL);
	r = c->wait();
	result = r < 0 && errno == EINTR ? 'i' : 'n';
	check(handled == 1, "%s: the handler has run %d times", c->name, handled);
	check(write(tell, &result, 1) == 1);
	_exit(0);
}

static bool waits(pid_t pid)
{
	char path[64], text[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	check(f && fgets(text, sizeof(text), f));
	fclose(f);
	return strrchr(text, ')')[2] == 'S';
}

/* Waits, is stopped, and has a signal that nobody takes. */
static void start(unsigned i, const struct call *c, bool again)
{
	int p[2], status;

	check(pipe(p) == 0);
	children[i].call = c;
	children[i].again = again;
	children[i].told = p[0];
	children[i].pid = fork();
	if (children[i].pid == 0)
		child(c, again, p[1]);
	close(p[1]);
	/* what it does before it waits for that is short, and never sleeps */
	while (!waits(children[i].pid))
		usleep(1000);
	check(kill(children[i].pid, SIGSTOP) == 0);
	check(waitpid(children[i].pid, &status, WUNTRACED) == children[i].pid &&
	      WIFSTOPPED(status));
	check(kill(children[i].pid, SIGUSR1) == 0);
}

static void finish(unsigned i)
{
	const struct call *c = children[i].call;
	bool anew = children[i].again && c->anew;
	struct pollfd f = {.fd = children[i].told, .events = POLLIN};
	char result = 0;
	int n;

	check(kill(children[i].pid, SIGCONT) == 0);
	if (anew) { /* nothing comes: it waits on, and its signal is gone */
		char path[64], line[128];
		bool pending = true;

		snprintf(path, sizeof(path), "/proc/%d/status", children[i].pid);
		while (pending || !waits(children[i].pid)) {
			FILE *s = fopen(path, "re");

			check(s != NULL);
			while (fgets(line, sizeof(line), s))
				if (strncmp(line, "ShdPnd:", 7) == 0)
					pending = strtoul(line + 7, NULL, 16) != 0;
			fclose(s);
			usleep(1000);
		}
		check(poll(&f, 1, 0) == 0, "%s: it has ended", c->name);
		check(kill(children[i].pid, SIGKILL) == 0);
	} else {
		n = poll(&f, 1, 15000);
		check(n == 1, "%s: it waits on", c->name);
		check(read(f.fd, &result, 1) == 1 && result == 'i', "%s: result '%c'", c->name,
		      result);
	}
	check(waitpid(children[i].pid, NULL, 0) == children[i].pid);
}

int main(void)
{
	char name[] = "/tmp/lateinterrupts.XXXXXX";
	unsigned n = 0;

	check(pipe(empty) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
	queue = msgget(IPC_PRIVATE, 0600);
	locked = mkstemp(name);
	check(queue >= 0 && locked >= 0 && flock(locked, LOCK_EX) == 0);
	for (unsigned i = 0; i < CALLS; i++)
		for (int again = 0; again < 2; again++)
			start(n++, &calls[i], again);

	ready();

	for (unsigned i = 0; i < n; i++)
		finish(i);
	check(msgctl(queue, IPC_RMID, NULL) == 0 && unlink(name) == 0);
	return ok();
}
