/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pid namespaces inside: made by clone(2), by unshare(2); two levels; with a /proc of their own;
 * with threads, sessions, groups, a child that has ended; a process that has joined one; one that
 * is yet to be born in.
 */
#include "cr.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

static void *wait_for_ever(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static pid_t zombie, grandchild, tid;
static int gone = -1; /* pidfd of a process that is */
static volatile sig_atomic_t got;

static void on_signal(int sig)
{
	got = 1;
}

static bool is_there(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return access(path, F_OK) == 0;
}

/* The first process of a namespace. */
static int make_init(void)
{
	pthread_t thread;

	check(getpid() == 1 && getppid() == 0);
	check(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	check(mount("proc", "/proc", "proc", 0, NULL) == 0, "errno %d", errno);
	check(setsid() == 1);
	zombie = fork();
	if (zombie == 0)
		_exit(7);
	for (int i = 0; i < 5; i++) { /* numbers without a process */
		pid_t p = fork();

		if (p == 0)
			_exit(0);
		if (gone < 0)
			gone = (int)syscall(SYS_pidfd_open, p, 0);
		waitpid(p, NULL, 0);
	}
	grandchild = fork();
	if (grandchild == 0) {
		signal(SIGUSR1, on_signal);
		setpgid(0, 0);
		for (;;) {
			pause();
			if (got)
				_exit(getpid() == getpgrp() && getsid(0) == 1 ? 9 : 8);
		}
	}
	check(pthread_create(&thread, NULL, wait_for_ever, &tid) == 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE) || getpgid(grandchild) != grandchild)
		usleep(1000);
	return 0;
}

static int verify_init(void)
{
	char self[16] = "";
	int status;
	pid_t next;

	check(getpid() == 1 && getppid() == 0 && getsid(0) == 1 && getpgrp() == 1);
	check(readlink("/proc/self", self, sizeof(self) - 1) > 0 && strcmp(self, "1") == 0, "%s",
	      self);
	check(is_there(grandchild) && !is_there(grandchild + 50));
	check(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 7);
	check(syscall(SYS_pidfd_send_signal, gone, 0, NULL, 0) == -1 && errno == ESRCH, "errno %d",
	      errno);
	check(syscall(SYS_tgkill, 1, tid, 0) == 0, "errno %d", errno);
	check(getpgid(grandchild) == grandchild && kill(grandchild, SIGUSR1) == 0);
	check(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 9, "%#x",
	      status);
	next = fork();
	if (next == 0)
		_exit(0);
	check(next > 1 && waitpid(next, NULL, 0) == next);
	return 0;
}

static struct child inner;

/* Has another namespace below its own, made by unshare(2). */
static int make_two(void)
{
	check(unshare(CLONE_NEWPID) == 0);
	inner = child_start(make_init, verify_init);
	check(inner.pid > 0);
	return 0;
}

static int verify_two(void)
{
	check(getpid() == 1);
	child_go(&inner);
	return 0;
}

/* As child_start(), in a new pid namespace by clone(2). */
static struct child child_clone(int (*make)(void), int (*verify)(void))
{
	struct clone_args a = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
	struct child c;
	int to[2], from[2];
	char b;

	check(pipe(to) == 0 && pipe(from) == 0);
	c.pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	check(c.pid >= 0);
	if (c.pid == 0) {
		close(to[1]);
		close(from[0]);
		if (make() != 0 || write(from[1], "r", 1) != 1 || read(to[0], &b, 1) != 1)
			_exit(3);
		_exit(verify());
	}
	close(to[0]);
	close(from[1]);
	c.to = to[1];
	c.from = from[0];
	check(read(c.from, &b, 1) == 1, "child did not get ready");
	return c;
}

static int make_unborn(void)
{
	return unshare(CLONE_NEWPID);
}

static int verify_unborn(void)
{
	int status;
	pid_t p = fork();

	if (p == 0)
		_exit(getpid() == 1 ? 4 : 5);
	return waitpid(p, &status, 0) != p || WEXITSTATUS(status) != 4;
}

static pid_t joined;

static int make_joiner(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", joined);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && setns(fd, CLONE_NEWPID) == 0, "errno %d", errno);
	close(fd);
	inner = child_start(NULL, NULL);
	return 0;
}

static int verify_joiner(void)
{
	char path[64], one[64] = "", two[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", inner.pid);
	check(readlink(path, one, sizeof(one) - 1) > 0);
	check(readlink("/proc/self/ns/pid_for_children", two, sizeof(two) - 1) > 0);
	check(strcmp(one, two) == 0, "%s %s", one, two);
	child_go(&inner);
	return 0;
}

int main(void)
{
	struct child one, two, unborn, joiner;

	one = child_clone(make_init, verify_init);
	joined = one.pid;
	two = child_clone(make_two, verify_two);
	unborn = child_start(make_unborn, verify_unborn);
	joiner = child_start(make_joiner, verify_joiner);

	ready();

	check(is_there(one.pid) && is_there(two.pid));
	child_go(&joiner);
	child_go(&unborn);
	child_go(&one);
	child_go(&two);
	return ok();
}
