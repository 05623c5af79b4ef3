/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User namespaces inside: without maps; with maps of several pieces, without setgroups(2); with a
 * network, host name, IPC and control groups of their own; two levels and two siblings; held by a
 * descriptor only, and by that of a network that belongs to one.
 */
#include "users.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>

static char before[8192];

static void add_file(char *to, const char *path)
{
	size_t len = strlen(to);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	check(fd >= 0, "%s", path);
	n = read(fd, to + len, sizeof(before) - 1 - len);
	check(n >= 0, "%s", path);
	to[len + (size_t)n] = 0;
	close(fd);
}

static void add(char *to, const char *format, ...)
{
	size_t len = strlen(to);
	va_list ap;

	va_start(ap, format);
	vsnprintf(to + len, sizeof(before) - len, format, ap);
	va_end(ap);
}

static void look(char *to)
{
	static const char *const lines[] = {"Uid",    "Gid",	"Groups", "CapInh",    "CapPrm",
					    "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"};
	int users = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	uid_t owner = 0;
	struct stat st;

	to[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		add(to, "%s %s\n", lines[i], status_line(lines[i]));
	add(to, "securebits %d dumpable %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE));
	add_file(to, "/proc/self/uid_map");
	add_file(to, "/proc/self/gid_map");
	add_file(to, "/proc/self/setgroups");
	check(stat("/proc/self/status", &st) == 0);
	check(ioctl(users, NS_GET_OWNER_UID, &owner) == 0);
	add(to, "of %d:%d, owner %u\n", (int)st.st_uid, (int)st.st_gid, owner);
	close(users);
}

static int verify(void)
{
	char after[sizeof(before)];

	look(after);
	check(strcmp(before, after) == 0, "%s became %s", before, after);
	return 0;
}

static void become(uid_t uid)
{
	gid_t groups[] = {uid, 33};

	check(syscall(SYS_setgroups, 2, groups) == 0);
	check(syscall(SYS_setresgid, uid, uid, uid) == 0);
	check(syscall(SYS_setresuid, uid, uid, uid) == 0);
}

static int make_unmapped(void)
{
	become(1000);
	check(unshare(CLONE_NEWUSER) == 0 && getuid() == 65534);
	look(before);
	return 0;
}

static int verify_unmapped(void)
{
	check(open("/proc/self/uid_map", O_WRONLY) >= 0 || errno == EACCES);
	return verify();
}

static int make_mapped(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = 1 << CAP_CHOWN | 1 << CAP_SETPCAP,
		 .permitted = 1 << CAP_CHOWN | 1 << CAP_SETPCAP | 1 << CAP_KILL,
		 .inheritable = 1 << CAP_CHOWN}};

	check(syscall(SYS_setgroups, 0, NULL) == 0);
	enter(0, "0 1000 5\n7 2000 1\n100 0 1\n", "100 0 1\n0 3000 70\n", "deny");
	check(getuid() == 100 && syscall(SYS_setresuid, 3, 3, 3) == 0);
	check(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME) == 0);
	check(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP) == 0 ||
	      errno == EPERM);
	check(syscall(SYS_capset, &head, data) == 0 || errno == EPERM);
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	look(before);
	return 0;
}

static int segment;

static int make_all(void)
{
	enter(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP, "0 0 1\n", "0 0 1\n",
	      NULL);
	check(sethostname("sandbox", 7) == 0);
	segment = shmget(5, 4096, IPC_CREAT | 0600);
	check(segment >= 0);
	look(before);
	return 0;
}

static uint64_t number(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static int verify_all(void)
{
	static const char *const kinds[] = {"net", "uts", "ipc", "cgroup"};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	char name[64] = "", path[64];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		check(owner_of(path) == number("/proc/self/ns/user"), "%s", kinds[i]);
	}
	check(gethostname(name, sizeof(name)) == 0 && strcmp(name, "sandbox") == 0, "%s", name);
	check(sethostname("changed", 7) == 0 && ioctl(sock, SIOCSIFFLAGS, &up) == 0);
	check(shmget(5, 0, 0) == segment && shmctl(segment, IPC_RMID, NULL) == 0);
	close(sock);
	return verify();
}

static pid_t *deep_pid; /* shared with main() */
static struct child deep;

static int make_deep(void)
{
	enter(0, "10 10 10\n", "10 10 10\n", "deny");
	check(syscall(SYS_setresuid, 12, 13, 14) == 0);
	look(before);
	return 0;
}

static int make_outer(void)
{
	enter(0, "0 0 1000\n", "0 0 1000\n", NULL);
	deep = child_start(make_deep, verify);
	*deep_pid = deep.pid;
	become(20);
	look(before);
	return 0;
}

static int verify_outer(void)
{
	verify();
	child_go(&deep);
	return 0;
}

static int users = -1, net = -1;

/* Nobody is in them when their maker has gone. */
static void make_held(void)
{
	struct child c = child_start(make_all, NULL);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", c.pid);
	users = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", c.pid);
	net = open(path, O_RDONLY | O_CLOEXEC);
	check(users >= 0 && net >= 0);
	child_go(&c);
}

static int use_held(void)
{
	check(setns(users, CLONE_NEWUSER) == 0 && setns(net, CLONE_NEWNET) == 0, "errno %d", errno);
	check(getuid() == 0 && owner_of("/proc/self/ns/net") == number("/proc/self/ns/user"));
	return 0;
}

static const char *users_of(pid_t pid)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	return path;
}

int main(void)
{
	struct child unmapped, mapped, all, outer, c;
	uint64_t mine;

	deep_pid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unmapped = child_start(make_unmapped, verify_unmapped);
	mapped = child_start(make_mapped, verify);
	all = child_start(make_all, verify_all);
	outer = child_start(make_outer, verify_outer);
	make_held();
	ready();
	mine = number("/proc/self/ns/user");
	check(number(users_of(mapped.pid)) != mine && number(users_of(outer.pid)) != mine);
	check(owner_of(users_of(mapped.pid)) == mine && owner_of(users_of(outer.pid)) == mine);
	check(owner_of(users_of(*deep_pid)) == number(users_of(outer.pid)));
	c = child_start(use_held, NULL);
	child_go(&c);
	child_go(&unmapped);
	child_go(&mapped);
	child_go(&all);
	child_go(&outer);
	return ok();
}
