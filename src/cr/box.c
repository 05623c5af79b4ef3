/* SPDX-License-Identifier: Apache-2.0 */
/* A box without an OCI runtime: a forked root task that becomes the stub. */
#include "cr/cryo.h"

#include "agent/agent.h"
#include "agent/stub.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

int cryo_stub_open(void)
{
	int fd, r = stub_memfd(&fd);

	return r < 0 ? r : fd;
}

/* Mounts made in the box stay there. */
static int enter(const struct cryo_box_options *o)
{
	if (o->namespaces & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (o->root && (chdir(o->root) < 0 || chroot(".") < 0))
		return -1;
	if (o->mount_proc &&
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -1;
	return setsid() < 0 ? -1 : 0;
}

static void child(const struct cryo_box_options *o, int stub, int sock)
{
	if (enter(o) < 0)
		_exit(110);
	for (int i = 0; o->stdio && i < 3; i++)
		if (dup2(o->stdio[i], i) < 0)
			_exit(111);
	stub_exec(stub, sock);
	_exit(112);
}

int cryo_box_fork(const struct cryo_box_options *o, struct cryo_box *ret)
{
	struct clone_args a = {.flags = o->namespaces, .exit_signal = SIGCHLD};
	autoclose int stub = -1, ours = -1, low = -1, theirs = -1;
	int r;
	long pid;

	r = stub_memfd(&stub);
	if (r < 0)
		return r;
	r = stub_socketpair(&ours, &low);
	if (r < 0)
		return r;
	/* beyond what dup2() to 0-2 may overwrite */
	theirs = fd_dup_above(low, 10);
	if (theirs < 0)
		return theirs;
	if (o->pid) {
		a.set_tid = (uint64_t)(uintptr_t)&o->pid;
		a.set_tid_size = 1;
	}
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return err_errno("fork of the first task%s", o->pid ? " with its number" : "");
	if (pid == 0)
		child(o, stub, theirs);
	*ret = (struct cryo_box){.pid = (pid_t)pid, .sock = take_fd(&ours), .child = true};
	return 0;
}
