/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/ns.h"
#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define PIDFD_THREAD_ O_EXCL	    /* Linux 6.9 */
#define PIDFD_GET(nr) _IO(0xff, nr) /* PIDFD_GET_*_NAMESPACE, Linux 6.11 */

const struct ns_info ns_infos[NS_COUNT] = {
	[NS_USER] = {"user", NULL, CLONE_NEWUSER, PIDFD_GET(9)},
	[NS_MNT] = {"mnt", NULL, CLONE_NEWNS, PIDFD_GET(3)},
	[NS_UTS] = {"uts", NULL, CLONE_NEWUTS, PIDFD_GET(10)},
	[NS_IPC] = {"ipc", NULL, CLONE_NEWIPC, PIDFD_GET(2)},
	[NS_PID] = {"pid", "pid_for_children", CLONE_NEWPID, PIDFD_GET(5)},
	[NS_NET] = {"net", NULL, CLONE_NEWNET, PIDFD_GET(4)},
	[NS_CGROUP] = {"cgroup", NULL, CLONE_NEWCGROUP, PIDFD_GET(1)},
	[NS_TIME] = {"time", "time_for_children", CLONE_NEWTIME, PIDFD_GET(7)},
};

/* The link reads "net:[4026531840]"; a fixture has plain links with the same text. */
static int link_id(int dir, const char *name, uint64_t *ret)
{
	g_autofree char *parent = NULL;
	char text[64];
	const char *open;
	ssize_t n;

	n = readlinkat(dir, name, text, sizeof(text) - 1);
	if (n < 0 && errno == ENOENT) {
		parent = g_path_get_dirname(name);
		errno = ENOENT;
	}
	if (parent && faccessat(dir, parent, F_OK, 0) == 0) {
		*ret = 0; /* a kernel without this kind, or no such namespace yet */
		return 0;
	}
	if (n < 0)
		return err_errno("read link %s", name);
	text[n] = 0;
	open = strchr(text, '[');
	if (!open)
		return err_set(EBADMSG, "%s: unexpected text %s", name, text);
	*ret = strtoull(open + 1, NULL, 10);
	return 0;
}

int ns_id(int dir, enum ns_kind kind, uint64_t *ret)
{
	char name[40];

	snprintf(name, sizeof(name), "ns/%s", ns_infos[kind].name);
	return link_id(dir, name, ret);
}

/* False where a pidfd does not tell. */
static bool ask_pidfd(pid_t tid, const enum ns_kind *kinds, unsigned n, const uint64_t *ids,
		      bool *ret_same)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD_);

	*ret_same = true;
	for (unsigned i = 0; fd >= 0 && i < n; i++) {
		autoclose int ns = ioctl(fd, ns_infos[kinds[i]].pidfd_get, 0);
		struct stat st;

		if (ns < 0 || fstat(ns, &st) < 0)
			return false;
		*ret_same = *ret_same && st.st_ino == ids[kinds[i]];
	}
	return fd >= 0;
}

int ns_thread_is_in(int dir, pid_t tid, const enum ns_kind *kinds, unsigned n, const uint64_t *ids)
{
	bool same;

	if (ask_pidfd(tid, kinds, n, ids, &same))
		return same;
	same = true;
	for (unsigned i = 0; same && i < n; i++) {
		uint64_t id;
		char name[56];
		int r;

		snprintf(name, sizeof(name), "task/%d/ns/%s", tid, ns_infos[kinds[i]].name);
		r = link_id(dir, name, &id);
		if (r < 0)
			return r;
		same = id == ids[kinds[i]];
	}
	return same;
}

int ns_child_id(int dir, enum ns_kind kind, uint64_t *ret)
{
	char name[40];

	snprintf(name, sizeof(name), "ns/%s", ns_infos[kind].for_children);
	return link_id(dir, name, ret);
}

int ns_ids(int dir, uint64_t ret[NS_COUNT])
{
	for (int k = 0; k < NS_COUNT; k++) {
		int r = ns_id(dir, k, &ret[k]);

		if (r < 0)
			return r;
	}
	return 0;
}

int ns_open(int dir, enum ns_kind kind, int *ret_fd)
{
	char name[40];
	int fd;

	snprintf(name, sizeof(name), "ns/%s", ns_infos[kind].name);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", name);
	*ret_fd = fd;
	return 0;
}

int ns_owner(int ns, int *ret_fd)
{
	autoclose int owner = ioctl(ns, NS_GET_USERNS);
	struct stat its, ours;

	if (owner < 0 || fstat(owner, &its) < 0 || stat("/proc/self/ns/user", &ours) < 0)
		return err_errno("owner of a namespace");
	*ret_fd = its.st_ino == ours.st_ino && its.st_dev == ours.st_dev ? -1 : take_fd(&owner);
	return 0;
}

int ns_ino(int ns, uint64_t *ret)
{
	struct stat st;

	if (fstat(ns, &st) < 0)
		return err_errno("namespace file");
	*ret = st.st_ino;
	return 0;
}

/* kernel/nscommon.c, fs/nsfs.c: ns_get_owner(): EPERM of what is not below ours. */
int ns_above(int ns, int *ret_fd)
{
	int fd = ioctl(ns, NS_GET_USERNS);

	if (fd < 0 && errno == EPERM)
		return 1;
	if (fd < 0)
		return err_errno("owner of a namespace");
	*ret_fd = fd;
	return 0;
}

int ns_parent(int ns)
{
	return ioctl(ns, NS_GET_PARENT);
}

int ns_is_within(int users, uint64_t ino)
{
	autoclose int at = -1;
	uint64_t its;
	int r = ns_ino(users, &its);

	while (r == 0 && its != ino) {
		int above = -1;

		r = ns_above(at < 0 ? users : at, &above);
		if (r != 0)
			break;
		cleanup_close(&at);
		at = above;
		r = ns_ino(at, &its);
	}
	return r < 0 ? r : r == 0;
}

/* What the child of ns_run() tells at its end. */
struct report {
	int result;
	bool has_fd;
	char story[2048];
};

static bool is_ours(int ns)
{
	struct stat that, own;

	if (fstat(ns, &that) < 0)
		return false;
	for (unsigned k = 0; k < NS_COUNT; k++) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_infos[k].name);
		if (stat(path, &own) == 0 && own.st_dev == that.st_dev && own.st_ino == that.st_ino)
			return true;
	}
	return false;
}

/* One's own needs no rights, but to say so. */
static int enter(int ns)
{
	int e = setns(ns, 0) < 0 ? errno : 0;

	return e == 0 || (e == EPERM && is_ours(ns)) ? 0 : err_code(-e, "enter namespace");
}

static _Noreturn void child(const int *ns, unsigned n, ns_fn fn, void *arg, int sock, bool wants_fd)
{
	struct report rep = {0};
	int fd = -1;

	for (unsigned i = 0; i < n && rep.result == 0; i++)
		if (ns[i] >= 0)
			rep.result = enter(ns[i]);
	if (rep.result == 0)
		rep.result = fn(arg, &fd);
	if (rep.result < 0)
		g_strlcpy(rep.story, err_message(), sizeof(rep.story));
	rep.has_fd = wants_fd && rep.result >= 0 && fd >= 0;
	if (fd_send(sock, &rep, sizeof(rep), &fd, rep.has_fd) < 0)
		_exit(1);
	_exit(0);
}

int ns_run(const int *ns, unsigned n, ns_fn fn, void *arg, int *ret_fd)
{
	autoclose int ours = -1, theirs = -1;
	struct report rep = {0};
	int sv[2], status, fd = -1;
	unsigned nfds = 0;
	ssize_t got;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno("create a socket pair");
	ours = sv[0];
	theirs = sv[1];
	pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid == 0)
		child(ns, n, fn, arg, theirs, ret_fd != NULL);
	close(take_fd(&theirs));
	got = fd_recv(ours, &rep, sizeof(rep), &fd, 1, &nfds);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno("wait for the child in the namespace");
	if (got < 0)
		return (int)got;
	if (got != sizeof(rep))
		return err_set(EIO, "the child in the namespace died, status 0x%x", status);
	if (rep.result < 0)
		return err_adopt(rep.result, rep.story);
	if (ret_fd)
		*ret_fd = nfds ? fd : -1;
	return rep.result;
}

/* "monotonic           0         0", "boottime ..."; also with clock numbers when written. */
int timens_read(int dir, struct timens *ret)
{
	g_autofree char *text = NULL;
	struct timens t = {0};
	long long s[2];
	long ns[2];
	int r = file_read_at(dir, "timens_offsets", 4096, &text, NULL);

	if (r < 0)
		return r;
	if (sscanf(text, "monotonic %lld %ld boottime %lld %ld", &s[0], &ns[0], &s[1], &ns[1]) != 4)
		return err_set(EBADMSG, "timens_offsets: unexpected text %s", text);
	t.monotonic_s = s[0];
	t.monotonic_ns = (int32_t)ns[0];
	t.boottime_s = s[1];
	t.boottime_ns = (int32_t)ns[1];
	*ret = t;
	return 0;
}

int timens_text(const struct timens *t, char *buf, size_t len)
{
	return snprintf(buf, len, "monotonic %lld %d\nboottime %lld %d\n",
			(long long)t->monotonic_s, t->monotonic_ns, (long long)t->boottime_s,
			t->boottime_ns);
}
