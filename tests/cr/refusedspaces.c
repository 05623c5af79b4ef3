/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces inside that cannot be made again: clocks; users, with what is in their way. */
#include "cr.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static pid_t other;

/* Who shares directories enters none. */
static int make_sharer(void)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return -1;
	other = (pid_t)syscall(SYS_clone, CLONE_FS | SIGCHLD, NULL, NULL, NULL, NULL);
	while (other == 0)
		pause();
	return other < 0;
}

static int end_sharer(void)
{
	return kill(other, SIGKILL) < 0 || waitpid(other, NULL, 0) != other;
}

static int make_mounts(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	       mount(NULL, "/", NULL, MS_SHARED, NULL) < 0;
}

static int make_clocks(void)
{
	int fd;

	if (unshare(CLONE_NEWTIME) < 0)
		return -1;
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	return setns(fd, CLONE_NEWTIME) < 0 ? -1 : close(fd);
}

static int make_clocks_of_children(void)
{
	return unshare(CLONE_NEWTIME);
}

static int make_queue(void)
{
	if (unshare(CLONE_NEWIPC) < 0)
		return -1;
	return syscall(SYS_mq_open, "refused", O_RDWR | O_CREAT, 0600, NULL) < 0;
}

/* Linux 6.7 */
static int make_formats(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	       mount("formats", "/mnt", "binfmt_misc", 0, NULL) < 0;
}

static bool has_formats(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(make_formats());
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* A multicast router, in a network namespace where nobody else is one. */
static int make_router(void)
{
	int fd, one = 1;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_RAW, 2 /* IPPROTO_IGMP */);
	return fd < 0 || setsockopt(fd, 0, 200 /* MRT_INIT */, &one, sizeof(one)) < 0;
}

static bool has_router(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(make_router());
	return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
	bool formats = has_formats();
	bool routes = has_router();
	struct child router = child_start(routes ? make_router : NULL, NULL);
	struct child other_formats = child_start(formats ? make_formats : NULL, NULL);
	struct child sharer = child_start(make_sharer, end_sharer),
		     mounts = child_start(make_mounts, NULL);
	struct child clocks = child_start(make_clocks, NULL);
	struct child later = child_start(make_clocks_of_children, NULL);
	struct child queue = child_start(make_queue, NULL);

	say("expect: and is in a user namespace of its own\n");
	say("expect: it shares what is mounted below it, in a namespace of other users\n");
	say("expect: it is in another time namespace than the first task\n");
	say("expect: message queue /refused is of an IPC namespace inside\n");
	say("expect: its children go to another time namespace\n");
	if (formats)
		say("expect: mount /mnt (binfmt_misc): it belongs to a user namespace inside\n");
	if (routes)
		say("expect: its network namespace routes multicast (MRT_INIT), which may be by "
		    "this\n");
	ready();
	child_go(&router);
	child_go(&other_formats);
	child_go(&sharer);
	child_go(&mounts);
	child_go(&clocks);
	child_go(&later);
	child_go(&queue);
	return ok();
}
