/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process, held so that it cannot be mistaken for another one, and the lists and links that
 * /proc shows of it.
 *
 * All readers of this room take DIR: a descriptor of /proc/PID, of /proc/PID/task/TID, or of a
 * captured copy of either, so that such copies can serve as test fixtures.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct proc {
	pid_t pid;
	int pidfd; /* pidfd_open(2) */
	int dir;   /* /proc/PID of this very process; reads fail with ESRCH when it is gone */
	int tidfd; /* -1, or of the thread PID: proc_open_through() */
};
#define PROC_NONE ((struct proc){.pid = -1, .pidfd = -1, .dir = -1, .tidfd = -1})

/* -ESRCH when there is no such process.  A zombie can be opened. */
int proc_open(pid_t pid, struct proc *ret) MUST_CHECK;
void proc_close(struct proc *p);

/*
 * The process PID whose first thread has ended: that one has neither memory nor descriptors any
 * more (kernel/exit.c: do_exit()), but /proc/TID of a living one shows them, and threads are listed
 * there, too.  RET->pid is TID; signals go to the process, and it is its end that is waited for.
 * -EOPNOTSUPP without PIDFD_THREAD (6.9).
 */
int proc_open_through(pid_t pid, pid_t tid, struct proc *ret) MUST_CHECK;

/* A living thread other than the first one of the process.  -ESRCH: there is none. */
int proc_living_thread(pid_t pid, pid_t *ret) MUST_CHECK;

/* A second handle of the same process. */
int proc_dup(const struct proc *p, struct proc *ret) MUST_CHECK;

/* 0: sent; -ESRCH when it is gone already (reaped, or a zombie for SIG other than 0). */
int proc_signal(const struct proc *p, int sig) MUST_CHECK;

/* Waits until the process has ended (is a zombie or gone).  1: ended, 0: not within MS (-1: ever).
 */
int proc_wait_end(const struct proc *p, int ms) MUST_CHECK;

/* A duplicate of descriptor TFD of the process (pidfd_getfd(2)), close-on-exec. */
int proc_getfd(const struct proc *p, int tfd, int *ret_fd) MUST_CHECK;

/* The number of the process that PIDFD means, in our pid namespace; -ESRCH when it is gone. */
int proc_of_pidfd(int pidfd, pid_t *ret_pid) MUST_CHECK;

struct pid_list {
	pid_t *v;
	size_t n;
};
void pid_list_clear(struct pid_list *l);
bool pid_list_has(const struct pid_list *l, pid_t pid);

/* Thread ids, ascending. */
int proc_tasks(int dir, struct pid_list *ret) MUST_CHECK;

/*
 * Children of all threads, in the order of their birth (per thread, where those are few).  Only a
 * process that is stopped gives a complete answer (proc(5), task/TID/children,
 * CONFIG_PROC_CHILDREN).
 */
int proc_children(int dir, struct pid_list *ret) MUST_CHECK;
/* Those of one thread. */
int proc_children_of(int dir, pid_t tid, struct pid_list *ret) MUST_CHECK;

/* Open descriptors, ascending (proc(5), fd/). */
int proc_fds(int dir, struct pid_list *ret) MUST_CHECK;

/* Opens task/TID below DIR. */
int proc_open_task(int dir, pid_t tid, int *ret_fd) MUST_CHECK;

/* "exe", "cwd", "root", "fd/3", "ns/net", ...: the link's text, of any length, the caller's. */
int proc_link(int dir, const char *name, char **ret) MUST_CHECK;

/* The thing behind such a link, opened with FLAGS (O_PATH: without side effects). */
int proc_open_link(int dir, const char *name, int flags, int *ret_fd) MUST_CHECK;
