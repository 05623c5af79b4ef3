/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks in other network, mount, UTS, IPC and cgroup namespaces than the first one's: their
 * devices, mounts, names and objects; what they have open in there; who shares one with whom; one
 * that only a descriptor holds; a thread that has gone to one; who watches files in there.
 */
#include "cr.h"

#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PORT 4711

static int listener, named;

static int up(const char *name)
{
	struct ifreq i = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	snprintf(i.ifr_name, sizeof(i.ifr_name), "%s", name);
	i.ifr_flags = IFF_UP | IFF_RUNNING;
	r = ioctl(fd, SIOCSIFFLAGS, &i);
	close(fd);
	return r;
}

static int listen_at(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 5) == 0, "errno %d",
	      errno);
	return fd;
}

static int connect_to(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int r = connect(fd, (struct sockaddr *)&a, sizeof(a));

	close(fd);
	return r;
}

static int abstract(bool listens)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0cryo-spaces"};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 12;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (listens)
		check(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 5) == 0);
	else
		check(connect(fd, (struct sockaddr *)&a, len) == 0, "errno %d", errno);
	return fd;
}

static int make_net(void)
{
	if (unshare(CLONE_NEWNET) < 0 || up("lo") < 0)
		return -1;
	listener = listen_at(PORT);
	named = abstract(true);
	return 0;
}

static int verify_net(void)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	int fd, c;

	check(connect_to(PORT) == 0, "errno %d", errno);
	check((fd = accept(listener, NULL, NULL)) >= 0);
	check(getsockname(named, (struct sockaddr *)&a, &len) == 0 && a.sun_path[1] == 'c');
	c = abstract(false);
	check((fd = accept(named, NULL, NULL)) >= 0);
	check(write(c, "x", 1) == 1);
	return 0;
}

static int inside, gone, dir;
static char *map;

static int make_mnt(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("inner", "/tmp", "tmpfs", 0, "size=4m,mode=1777") < 0)
		return -1;
	inside = open("/tmp/file", O_RDWR | O_CREAT, 0600);
	check(inside >= 0 && write(inside, "inner\n", 6) == 6);
	gone = open("/tmp/gone", O_RDWR | O_CREAT, 0600);
	check(gone >= 0 && write(gone, "gone\n", 5) == 5 && unlink("/tmp/gone") == 0);
	check(mkdir("/tmp/dir", 0755) == 0 && chdir("/tmp/dir") == 0);
	dir = open(".", O_RDONLY | O_DIRECTORY);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, inside, 0);
	check(map != MAP_FAILED && ftruncate(inside, 4096) == 0);
	return 0;
}

static int verify_mnt(void)
{
	char text[64] = "", cwd[64];
	int fd;

	check(pread(inside, text, 6, 0) == 6 && strcmp(text, "inner\n") == 0);
	memcpy(map, "INNER", 5);
	fd = open("/tmp/file", O_RDONLY);
	check(fd >= 0 && read(fd, text, 6) == 6 && strcmp(text, "INNER\n") == 0, "%s", text);
	check(pread(gone, text, 5, 0) == 5 && memcmp(text, "gone\n", 5) == 0);
	check(access("/tmp/gone", F_OK) < 0);
	check(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/tmp/dir") == 0, "%s", cwd);
	check(openat(dir, "../file", O_RDONLY) >= 0);
	return umount2("/tmp", MNT_DETACH);
}

static int make_uts(void)
{
	return unshare(CLONE_NEWUTS) < 0 || sethostname("inner", 5) < 0 ||
	       setdomainname("of.it", 5) < 0;
}

static int verify_uts(void)
{
	char name[64] = "", domain[65];

	return gethostname(name, sizeof(name)) < 0 || strcmp(name, "inner") != 0 ||
	       getdomainname(domain, sizeof(domain)) < 0 || strcmp(domain, "of.it") != 0;
}

static int segment, queue, semaphores;
static char *attached;

static int make_ipc(void)
{
	unsigned short v[2] = {3, 4};
	struct {
		long type;
		char text[6];
	} m = {5, "hello"};

	if (unshare(CLONE_NEWIPC) < 0)
		return -1;
	segment = shmget(77, 8192, IPC_CREAT | 0600);
	attached = shmat(segment, NULL, 0);
	queue = msgget(78, IPC_CREAT | 0600);
	semaphores = semget(79, 2, IPC_CREAT | 0600);
	check(segment >= 0 && attached != (void *)-1 && queue >= 0 && semaphores >= 0);
	strcpy(attached + 5000, "shared");
	check(msgsnd(queue, &m, 6, 0) == 0 && semctl(semaphores, 0, SETALL, v) == 0);
	return 0;
}

static int verify_ipc(void)
{
	unsigned short v[2];
	struct {
		long type;
		char text[16];
	} m;
	struct shmid_ds s;

	check(strcmp(attached + 5000, "shared") == 0);
	check(shmget(77, 0, 0) == segment && msgget(78, 0) == queue &&
	      semget(79, 0, 0) == semaphores);
	check(shmctl(segment, IPC_STAT, &s) == 0 && s.shm_nattch == 1, "%d", (int)s.shm_nattch);
	check(msgrcv(queue, &m, sizeof(m.text), 5, IPC_NOWAIT) == 6 &&
	      strcmp(m.text, "hello") == 0);
	return semctl(semaphores, 0, GETALL, v) < 0 || v[0] != 3 || v[1] != 4;
}

static int make_cgroup(void)
{
	return unshare(CLONE_NEWCGROUP);
}

static pid_t net_pid, mnt_pid;

static void join(pid_t pid, const char *kind, int flag)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && setns(fd, flag) == 0, "%s", path);
	close(fd);
}

static int make_both(void)
{
	join(net_pid, "net", CLONE_NEWNET);
	join(mnt_pid, "mnt", CLONE_NEWNS);
	return chdir("/tmp");
}

static int verify_both(void)
{
	check(connect_to(PORT) == 0);
	return access("file", R_OK) < 0 || access("/tmp/dir", F_OK) < 0;
}

static bool same(pid_t a, pid_t b, const char *kind)
{
	char path[64];
	struct stat x, y;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", a, kind);
	check(stat(path, &x) == 0, "%s", path);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", b, kind);
	check(stat(path, &y) == 0, "%s", path);
	return x.st_ino == y.st_ino;
}

static int in, fan;

/* Files of the other mount namespace, by no name of our own. */
static const char *there(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root/tmp/%s", mnt_pid, name);
	return path;
}

static void watch_there(void)
{
	in = inotify_init1(IN_NONBLOCK);
	check(inotify_add_watch(in, there("file"), IN_MODIFY) == 1, "errno %d", errno);
	check(inotify_add_watch(in, there("dir"), IN_CREATE) == 2, "errno %d", errno);
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	check(fan < 0 || fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, there("file")) == 0,
	      "errno %d", errno);
}

static void check_watched(void)
{
	struct {
		struct inotify_event e;
		char name[NAME_MAX + 1];
	} got = {0};
	struct fanotify_event_metadata m = {0};
	int fd = open(there("file"), O_WRONLY);

	check(fd >= 0 && read(in, &got, sizeof(got)) < 0 && errno == EAGAIN);
	check(pwrite(fd, "x", 1, 100) == 1);
	check(read(in, &got, sizeof(got)) > 0 && got.e.wd == 1 && got.e.mask == IN_MODIFY);
	check(fan < 0 || (read(fan, &m, sizeof(m)) == sizeof(m) && m.mask == FAN_MODIFY));
	check(mknod(there("dir/new"), S_IFREG | 0600, 0) == 0);
	check(read(in, &got, sizeof(got)) > 0 && got.e.wd == 2 && got.e.mask == IN_CREATE);
}

static pthread_barrier_t barrier;
static int held, told = -1;

static void *other(void *arg)
{
	check(setns(held, CLONE_NEWNET) == 0, "errno %d", errno);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	told = connect_to(PORT + 1);
	return NULL;
}

int main(void)
{
	struct child net, mnt, uts, both, ipc, cgroup;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), pair[2], far;
	struct stat a, b;
	pthread_t thread;
	char c;

	net = child_start(make_net, verify_net);
	mnt = child_start(make_mnt, verify_mnt);
	uts = child_start(make_uts, verify_uts);
	ipc = child_start(make_ipc, verify_ipc);
	cgroup = child_start(make_cgroup, NULL);
	net_pid = net.pid;
	mnt_pid = mnt.pid;
	both = child_start(make_both, verify_both);
	watch_there();
	check(unshare(CLONE_NEWNET) == 0 && up("lo") == 0);
	held = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	far = listen_at(PORT + 1);
	check(setns(home, CLONE_NEWNET) == 0 && up("lo") == 0);
	named = abstract(true);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "y", 1) == 1);
	pthread_barrier_init(&barrier, NULL, 2);
	check(pthread_create(&thread, NULL, other, NULL) == 0);
	pthread_barrier_wait(&barrier);

	ready();

	check(same(net.pid, both.pid, "net") && same(mnt.pid, both.pid, "mnt"));
	check(!same(net.pid, getpid(), "net") && same(net.pid, getpid(), "mnt"));
	check(!same(mnt.pid, getpid(), "mnt") && same(mnt.pid, getpid(), "net"));
	check(!same(uts.pid, getpid(), "uts") && same(uts.pid, getpid(), "mnt"));
	check(!same(ipc.pid, getpid(), "ipc") && !same(cgroup.pid, getpid(), "cgroup"));
	check(shmget(77, 0, 0) < 0 && errno == ENOENT);
	check(connect_to(PORT) < 0 && connect_to(PORT + 1) < 0);
	close(abstract(false));
	check(fstat(home, &a) == 0 && stat("/proc/self/ns/net", &b) == 0 && a.st_ino == b.st_ino);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	check(told == 0, "the thread is elsewhere");
	check(setns(held, CLONE_NEWNET) == 0 && connect_to(PORT + 1) == 0);
	check(accept(far, NULL, NULL) >= 0);
	check(read(pair[1], &c, 1) == 1 && c == 'y');
	check_watched();
	child_go(&both);
	child_go(&net);
	child_go(&mnt);
	child_go(&uts);
	child_go(&ipc);
	child_go(&cgroup);
	return ok();
}
