/* SPDX-License-Identifier: Apache-2.0 */
/* SO_PEERCRED of those who have become somebody else since, and of those who are gone. */
#include "cr.h"

#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PAIR = 50, CLIENT };

static struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "cr-creds"};

static int call(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -1 : fd;
}

static void become(uid_t uid, gid_t gid)
{
	if (setgid(gid) < 0 || setuid(uid) < 0)
		_exit(2);
}

static void ends_well(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
}

/* Shares our descriptors: what it opens stays. */
static pid_t helper(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	int fds[2], fd;

	check(pid >= 0);
	if (pid)
		return pid;
	fd = call();
	become(66, 77);
	if (fd < 0 || dup2(fd, CLIENT) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) < 0 ||
	    dup2(fds[0], PAIR) < 0 || close(fd) < 0 || close(fds[0]) < 0 || close(fds[1]) < 0)
		_exit(3);
	_exit(0);
}

static int other_child(void)
{
	become(67, 78);
	return call() < 0;
}

static pid_t dead_caller(void)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0)
		_exit(other_child());
	return pid;
}

static void is_of(int fd, pid_t pid, uid_t uid, gid_t gid)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0, "errno %d", errno);
	check(u.pid == pid && u.uid == uid && u.gid == gid, "%d, user %d, group %d instead of %d",
	      u.pid, (int)u.uid, (int)u.gid, pid);
}

int main(void)
{
	char dir[] = "/tmp/cr-unixcreds-XXXXXX", b;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), of_helper, of_dead, of_child;
	pid_t first, dead;
	struct child c;

	check(mkdtemp(dir) && chmod(dir, 0755) == 0 && chdir(dir) == 0);
	check(bind(l, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(l, 5) == 0);
	check(chmod(addr.sun_path, 0666) == 0);
	first = helper();
	ends_well(first);
	of_helper = accept(l, NULL, NULL);
	dead = dead_caller();
	ends_well(dead);
	of_dead = accept(l, NULL, NULL);
	c = child_start(other_child, NULL);
	of_child = accept(l, NULL, NULL);
	check(of_helper >= 0 && of_dead >= 0 && of_child >= 0);
	check(chmod(addr.sun_path, 0600) == 0); /* none of them could now */
	ready();
	is_of(PAIR, first, 66, 77);
	is_of(of_helper, first, 0, 0);
	is_of(CLIENT, getpid(), 0, 0);
	is_of(of_dead, dead, 67, 78);
	is_of(of_child, c.pid, 67, 78);
	check(write(CLIENT, "x", 1) == 1 && read(of_helper, &b, 1) == 1);
	check(read(of_dead, &b, 1) == 0, "it has hung up");
	child_go(&c);
	check(unlink(addr.sun_path) == 0 && chdir("/") == 0 && rmdir(dir) == 0);
	return ok();
}
