/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pid namespaces of users inside, as sandboxes have them: made together by clone(2), by unshare(2);
 * with a /proc of their own, threads, children of other users, one that has ended; with users one
 * level further in; a pid namespace in another one of the same users.
 */
#include "users.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

static volatile pid_t tid;
static pthread_barrier_t barrier;

static void *run(void *arg)
{
	tid = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	return NULL;
}

static uint64_t own_users(void)
{
	struct stat st = {0};

	stat("/proc/self/ns/user", &st);
	return st.st_ino;
}

static pid_t mine;
static uid_t uid;

static int make_other(void)
{
	check(syscall(SYS_setresgid, 3, 3, 3) == 0 && syscall(SYS_setresuid, 2, 2, 2) == 0);
	mine = getpid();
	return 0;
}

static int verify_other(void)
{
	check(getpid() == mine && getuid() == 2 && getgid() == 3, "%d of %d:%d", getpid(),
	      (int)getuid(), (int)getgid());
	return 0;
}

static int make_deeper(void)
{
	check(unshare(CLONE_NEWUSER) == 0, "errno %d", errno);
	mine = getpid();
	uid = getuid();
	return 0;
}

static int verify_deeper(void)
{
	check(getpid() == mine && getuid() == uid && owner_of("/proc/self/ns/pid") != own_users());
	return 0;
}

static struct child other, deeper, inner;
static pthread_t thread;
static pid_t zombie, told;
static int pair[2];

static int verify_inner(void)
{
	check(getpid() == 1 && owner_of("/proc/1/ns/pid") == own_users());
	return 0;
}

/* The first process of a pid namespace below the caller's. */
static struct child start_first(int flags, int (*make)(void), int (*verify)(void), const char *uids)
{
	struct clone_args a = {.flags = (unsigned)flags, .exit_signal = SIGCHLD};
	int to[2], from[2], maps[2];
	struct child c;
	char b, path[64];

	check(pipe(to) == 0 && pipe(from) == 0 && pipe(maps) == 0);
	c.pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	check(c.pid >= 0, "errno %d", errno);
	if (c.pid == 0) {
		close(to[1]);
		close(from[0]);
		check(read(maps[0], &b, 1) == 1);
		if (make() != 0)
			_exit(2);
		if (write(from[1], "r", 1) != 1 || read(to[0], &b, 1) != 1)
			_exit(3);
		_exit(verify());
	}
	snprintf(path, sizeof(path), "/proc/%d/uid_map", c.pid);
	check(!uids || poke(path, uids) == 0, "errno %d", errno);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", c.pid);
	check(!uids || poke(path, uids) == 0, "errno %d", errno);
	check(write(maps[1], "m", 1) == 1);
	close(to[0]);
	close(from[1]);
	close(maps[0]);
	close(maps[1]);
	c.to = to[1];
	c.from = from[0];
	check(read(c.from, &b, 1) == 1, "child did not get ready");
	return c;
}

static int make_nothing(void)
{
	return getpid() != 1;
}

static int make_first(void)
{
	check(getpid() == 1 && getuid() == 0);
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0,
	      "errno %d", errno);
	check(sethostname("sandbox", 7) == 0);
	other = child_start(make_other, verify_other);
	zombie = fork();
	if (zombie == 0)
		_exit(9);
	deeper = child_start(make_deeper, verify_deeper);
	inner = start_first(CLONE_NEWPID, make_nothing, verify_inner, NULL);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0);
	check(pthread_create(&thread, NULL, run, &told) == 0);
	pthread_barrier_wait(&barrier);
	return 0;
}

static int verify_first(void)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	char name[64] = "", self[16] = "";
	int status;

	check(getpid() == 1 && getppid() == 0 && getuid() == 0);
	check(owner_of("/proc/self/ns/pid") == own_users() &&
	      owner_of("/proc/self/ns/net") == own_users() &&
	      owner_of("/proc/self/ns/mnt") == own_users());
	check(readlink("/proc/self", self, sizeof(self) - 1) > 0 && strcmp(self, "1") == 0, "%s",
	      self);
	check(gethostname(name, sizeof(name)) == 0 && strcmp(name, "sandbox") == 0);
	check(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == 1 &&
		      peer.uid == 0,
	      "peer is %d of %d", peer.pid, (int)peer.uid);
	pthread_barrier_wait(&barrier);
	check(pthread_join(thread, NULL) == 0 && told == tid, "thread %d was %d", told, tid);
	check(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 9);
	child_go(&other);
	child_go(&deeper);
	child_go(&inner);
	check(sethostname("other", 5) == 0);
	return 0;
}

static struct child second;

static int make_second(void)
{
	return getpid() != 1 || getuid() != 65534;
}

static int verify_second(void)
{
	check(getpid() == 1 && getuid() == 65534 && owner_of("/proc/self/ns/pid") == own_users());
	return 0;
}

/* Without maps; its /proc is that of those above. */
static int make_unshared(void)
{
	check(syscall(SYS_setresgid, 1000, 1000, 1000) == 0 &&
	      syscall(SYS_setresuid, 1000, 1000, 1000) == 0);
	check(unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0, "errno %d", errno);
	second = child_start(make_second, verify_second);
	return 0;
}

static int verify_unshared(void)
{
	check(getuid() == 65534);
	child_go(&second);
	return 0;
}

int main(void)
{
	struct child first, unshared;

	check(chdir("/") == 0);
	first = start_first(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
				    CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP,
			    make_first, verify_first, "0 0 1\n1 1000 10\n");
	unshared = child_start(make_unshared, verify_unshared);
	ready();
	child_go(&unshared);
	child_go(&first);
	return ok();
}
