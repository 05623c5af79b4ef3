/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of processes that are gone, which SO_PEERCRED still names by their number
 * (net/unix/af_unix.c: init_peercred()): a child of ours has that number for the time of the call.
 */
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/sock.h"

#include "base/fd.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct work {
	const struct sock_maker *m;
	const struct sock_call *c;
	uid_t uid;
	gid_t gid;
	int channel;
};

static int call(const struct work *w)
{
	const struct sock_call *c = w->c;
	int fds[2];

	if (c->dir && chdir(c->dir) < 0)
		return -errno;
	if (sock_call_has_root(c) && chroot(".") < 0)
		return -errno;
	/* who it is, but with the rights of root in the file system */
	if (setresgid((gid_t)-1, w->gid, (gid_t)-1) < 0 ||
	    setresuid((uid_t)-1, w->uid, (uid_t)-1) < 0)
		return -errno;
	setfsuid(0);
	setfsgid(0);
	if (c->nr != SYS_socketpair)
		return syscall(c->nr, c->fd, c->addr ? (long)(uintptr_t)c->addr : c->arg, c->len) <
				       0
			       ? -errno
			       : 0;
	if (socketpair(AF_UNIX, (int)c->arg | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	return fd_send(w->channel, "", 1, fds, 2);
}

/* In a child of ours whose children are in the tree's pid namespace. */
static int call_as(void *arg, int *ret_fd)
{
	const struct work *w = arg;
	struct clone_args a = {.exit_signal = SIGCHLD,
			       .set_tid = (uint64_t)(uintptr_t)&w->m->gone,
			       .set_tid_size = 1};
	long pid = syscall(SYS_clone3, &a, sizeof(a));
	int status = 0;

	if (pid < 0)
		return err_errno("process %d for a moment", w->m->gone);
	if (pid == 0)
		_exit(-call(w));
	while (waitpid((pid_t)pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for process %d", w->m->gone);
	return status ? err_code(-WEXITSTATUS(status), "call of process %d", w->m->gone) : 0;
}

int sock_call_gone(const struct sock_maker *m, const struct sock_call *c, int ret_fds[2])
{
	struct restore *r = m->task->restore;
	struct work w = {.m = m,
			 .c = c,
			 .uid = users_outer_uid(r, m->uid),
			 .gid = users_outer_gid(r, m->gid),
			 .channel = -1};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int mine = -1, theirs = -1, pids = -1;
	int sv[2], ns[3], ret = proc_open(r->stub.pid, &p);
	unsigned n = 0;
	char byte;

	if (ret == 0)
		ret = ns_open(p.dir, NS_PID, &pids);
	if (ret == 0)
		ret = spaces_fd(r, NS_NET, m->net, &ns[0]);
	if (ret == 0)
		ret = spaces_fd(r, NS_MNT, spaces_of_mount(r, m->mnt_id), &ns[1]);
	if (ret < 0)
		return ret;
	if (m->mounts)
		ns[1] = *m->mounts;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno("create a socket pair");
	mine = sv[0];
	w.channel = theirs = sv[1];
	ns[2] = pids;
	ret = ns_run(ns, 3, call_as, &w, NULL);
	if (ret < 0 || c->nr != SYS_socketpair)
		return ret;
	ret = (int)fd_recv(mine, &byte, 1, ret_fds, 2, &n);
	return ret < 0 ? ret : n == 2 ? 0 : err_set(EIO, "a pair of sockets did not come");
}
