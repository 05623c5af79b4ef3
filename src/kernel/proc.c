/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/proc.h"
#include "base/file.h"
#include "kernel/procstat.h"
#include "kernel/procstatus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define PIDFD_THREAD_ O_EXCL /* Linux 6.9 */
#define MANY_THREADS  64

static int pidfd_open_(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int pidfd_send_signal_(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int proc_open(pid_t pid, struct proc *ret)
{
	autoclose int pidfd = -1, dir = -1;
	char path[32];

	pidfd = pidfd_open_(pid);
	if (pidfd < 0)
		return err_errno("process %d", pid);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_code(errno == ENOENT ? ESRCH : errno, "process %d", pid);
	/*
	 * Still there after the directory was opened: both mean the same process.  EPERM says so
	 * too; a zombie takes signal 0.
	 */
	if (pidfd_send_signal_(pidfd, 0) < 0 && errno != EPERM)
		return err_errno("process %d", pid);
	*ret = (struct proc){
		.pid = pid, .pidfd = take_fd(&pidfd), .dir = take_fd(&dir), .tidfd = -1};
	return 0;
}

int proc_open_through(pid_t pid, pid_t tid, struct proc *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	char path[48];
	int r = proc_open(pid, &p);

	if (r < 0)
		return r;
	p.tidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD_);
	if (p.tidfd < 0)
		return errno == EINVAL
			       ? err_set(EOPNOTSUPP,
					 "its first thread has ended before the others, which only "
					 "Linux 6.9 lets us look at (PIDFD_THREAD)")
			       : err_errno("thread %d", tid);
	/* of this process, and /proc/TID is nobody else's as long as the thread is there */
	close(take_fd(&p.dir));
	snprintf(path, sizeof(path), "/proc/%d", tid);
	p.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir < 0)
		return err_code(errno == ENOENT ? ESRCH : errno, "thread %d", tid);
	snprintf(path, sizeof(path), "task/%d", pid);
	if (faccessat(p.dir, path, F_OK, 0) < 0)
		return err_set(ESRCH, "thread %d has ended", tid);
	p.pid = tid;
	*ret = p;
	p = PROC_NONE;
	return 0;
}

int proc_living_thread(pid_t pid, pid_t *ret)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(pid, &p);

	if (r == 0)
		r = proc_tasks(p.dir, &tids);
	for (size_t i = 0; r == 0 && i < tids.n; i++) {
		autoclose int dir = -1;
		struct procstat st;

		if (tids.v[i] == pid || proc_open_task(p.dir, tids.v[i], &dir) < 0 ||
		    procstat_read(dir, &st) < 0 || st.state == 'Z' || st.state == 'X')
			continue;
		err_clear();
		*ret = tids.v[i];
		return 0;
	}
	return r < 0 ? r : err_set(ESRCH, "process %d has ended", pid);
}

void proc_close(struct proc *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->dir >= 0)
		close(p->dir);
	if (p->tidfd >= 0)
		close(p->tidfd);
	*p = PROC_NONE;
}

int proc_dup(const struct proc *p, struct proc *ret)
{
	autoclose int pidfd = fcntl(p->pidfd, F_DUPFD_CLOEXEC, 3);
	autoclose int dir = fcntl(p->dir, F_DUPFD_CLOEXEC, 3);

	if (pidfd < 0 || dir < 0)
		return err_errno("process %d: duplicate handle", p->pid);
	*ret = (struct proc){
		.pid = p->pid, .pidfd = take_fd(&pidfd), .dir = take_fd(&dir), .tidfd = -1};
	return 0;
}

int proc_signal(const struct proc *p, int sig)
{
	if (pidfd_send_signal_(p->pidfd, sig) < 0)
		return err_errno("signal %d to process %d", sig, p->pid);
	return 0;
}

int proc_wait_end(const struct proc *p, int ms)
{
	struct pollfd f = {.fd = p->pidfd, .events = POLLIN};
	gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;
	int r;

	for (;;) {
		r = poll(&f, 1, ms);
		if (r >= 0)
			return r > 0;
		if (errno != EINTR)
			return err_errno("wait for process %d", p->pid);
		if (ms >= 0)
			ms = (int)MAX((end - g_get_monotonic_time()) / 1000, 0);
	}
}

int proc_getfd(const struct proc *p, int tfd, int *ret_fd)
{
	int fd = (int)syscall(SYS_pidfd_getfd, p->tidfd >= 0 ? p->tidfd : p->pidfd, tfd, 0);

	if (fd < 0)
		return err_errno("process %d: fd %d", p->pid, tfd);
	*ret_fd = fd;
	return 0;
}

int proc_of_pidfd(int pidfd, pid_t *ret_pid)
{
	g_autofree char *text = NULL;
	char name[48];
	const char *at;
	int r;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", pidfd);
	r = file_read_at(AT_FDCWD, name, 4096, &text, NULL);
	if (r < 0)
		return r;
	at = strstr(text, "\nPid:");
	if (!at)
		return err_set(EINVAL, "descriptor %d is not a pidfd", pidfd);
	*ret_pid = (pid_t)strtol(at + 5, NULL, 10);
	if (*ret_pid <= 0) /* -1: gone;  0: in a pid namespace that we do not see */
		return err_set(ESRCH, "the process is gone or in another pid namespace");
	return 0;
}

void pid_list_clear(struct pid_list *l)
{
	g_free(l->v);
	*l = (struct pid_list){0};
}

bool pid_list_has(const struct pid_list *l, pid_t pid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i] == pid)
			return true;
	return false;
}

static void pid_list_take(struct pid_list *l, GArray *a)
{
	l->n = a->len;
	l->v = (pid_t *)(void *)g_array_free(a, FALSE);
}

static int by_number(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The entries of a directory that are numbers, ascending. */
static int numbers(int dir, const char *name, struct pid_list *ret)
{
	CLEANUP(close_dir) DIR *d = NULL;
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(pid_t));
	autoclose int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;

	if (fd < 0)
		return err_code(errno == ENOENT ? ESRCH : errno, "open %s", name);
	d = fdopendir(fd);
	if (!d)
		return err_errno("read %s", name);
	take_fd(&fd);
	while ((errno = 0, e = readdir(d))) {
		char *end;
		long v = strtol(e->d_name, &end, 10);
		pid_t n = (pid_t)v;

		if (!*end && v >= 0 && v <= INT_MAX && e->d_name[0] != '.')
			g_array_append_val(all, n);
	}
	if (errno)
		return err_errno("read %s", name);
	g_array_sort(all, by_number);
	pid_list_take(ret, g_steal_pointer(&all));
	return 0;
}

int proc_tasks(int dir, struct pid_list *ret)
{
	return numbers(dir, "task", ret);
}

int proc_fds(int dir, struct pid_list *ret)
{
	return numbers(dir, "fd", ret);
}

/* 1: the thread has ended meanwhile. */
static int add_children(int dir, pid_t tid, GArray *all)
{
	g_autofree char *text = NULL;
	char name[48], *at, *end;
	int r;

	snprintf(name, sizeof(name), "task/%d/children", tid);
	r = file_read_at(dir, name, 64 << 20, &text, NULL);
	if (r == -ENOENT || r == -ESRCH) {
		/* Only a thread that ended meanwhile is fine, a missing file is not. */
		snprintf(name, sizeof(name), "task/%d", tid);
		if (faccessat(dir, name, F_OK, 0) < 0)
			return 1;
	}
	for (at = text; r == 0; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		g_array_append_val(all, pid);
	}
	return r;
}

struct born {
	pid_t pid;
	uint64_t ticks;
};

static int by_birth(const void *a, const void *b)
{
	const struct born *x = a, *y = b;

	if (x->ticks != y->ticks)
		return x->ticks < y->ticks ? -1 : 1;
	return by_number(&x->pid, &y->pid);
}

/* Of PIDS, whose parent is TGID (fs/proc/array.c: do_task_stat() tells real_parent's process). */
static void add_by_parent(int dir, const struct pid_list *pids, pid_t tgid, GArray *all)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct born));

	for (size_t i = 0; i < pids->n; i++) {
		struct procstat st;
		char name[32];
		autoclose int other = -1;

		snprintf(name, sizeof(name), "../%d", pids->v[i]);
		other = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (other < 0 || procstat_read(other, &st) < 0)
			err_clear(); /* has ended meanwhile */
		else if (st.ppid == tgid)
			g_array_append_vals(found, &(struct born){st.pid, st.start_ticks}, 1);
	}
	g_array_sort(found, by_birth);
	for (unsigned i = 0; i < found->len; i++)
		g_array_append_val(all, g_array_index(found, struct born, i).pid);
}

/*
 * A thread's files are dear twice: when they are made, and when the thread ends.  Where there are
 * fewer processes than threads, each process is asked for its parent instead.
 */
static int add_children_of_many(int dir, const struct pid_list *tids, GArray *all)
{
	CLEANUP(pid_list_clear) struct pid_list pids = {0};
	CLEANUP(procstatus_clear) struct procstatus own = {0};
	int r = tids->n < MANY_THREADS ? 0 : numbers(dir, "..", &pids);

	if (r == 0 && tids->n >= MANY_THREADS && pids.n < tids->n) {
		r = procstatus_read(dir, &own);
		if (r == 0)
			add_by_parent(dir, &pids, own.tgid, all);
		return r;
	}
	for (size_t i = 0; r >= 0 && i < tids->n; i++)
		r = add_children(dir, tids->v[i], all);
	return MIN(r, 0);
}

int proc_children(int dir, struct pid_list *ret)
{
	CLEANUP(pid_list_clear) struct pid_list tasks = {0};
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int r = proc_tasks(dir, &tasks);

	if (r == 0)
		r = add_children_of_many(dir, &tasks, all);
	if (r < 0)
		return r;
	pid_list_take(ret, g_steal_pointer(&all));
	return 0;
}

int proc_children_of(int dir, pid_t tid, struct pid_list *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int r = add_children(dir, tid, all);

	if (r < 0)
		return r;
	pid_list_take(ret, g_steal_pointer(&all));
	return 0;
}

int proc_open_task(int dir, pid_t tid, int *ret_fd)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "task/%d", tid);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_code(errno == ENOENT ? ESRCH : errno, "thread %d", tid);
	*ret_fd = fd;
	return 0;
}

int proc_link(int dir, const char *name, char **ret)
{
	size_t size = 256;

	for (;;) {
		g_autofree char *buf = g_malloc(size);
		ssize_t n = readlinkat(dir, name, buf, size);

		if (n < 0)
			return err_errno("read link %s", name);
		if ((size_t)n < size) {
			buf[n] = 0;
			*ret = g_steal_pointer(&buf);
			return 0;
		}
		size *= 2; /* d_path() gives up at a page: ENAMETOOLONG */
	}
}

int proc_open_link(int dir, const char *name, int flags, int *ret_fd)
{
	int fd = openat(dir, name, flags | O_CLOEXEC);

	if (fd < 0)
		return err_errno("open %s", name);
	*ret_fd = fd;
	return 0;
}
