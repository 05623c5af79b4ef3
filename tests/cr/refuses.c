/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be saved: each is refused by name, all at once, and we go on.  Lines before "ready"
 * that begin with "expect: " are what the runner wants to find in the error.
 */
#include "cr.h"

#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>

static void expect(const char *text)
{
	say("expect: ");
	say(text);
	say("\n");
}

/* Whatever the kernel has answered is to be read: nobody else can say it. */
static void refused_answer(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = RTM_GETLINK,
		     .nlmsg_flags = NLM_F_REQUEST},
	       .i = {.ifi_index = 1}};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
		return;
	expect("answers of the kernel wait in this netlink socket (protocol 0)");
}

/* A queue gives back only what it loses; what is mapped may change without a call. */
static void refused_maps(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_QUEUE, .value_size = 4, .max_entries = 4};
	int fd;

	if (syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)) >= 0)
		expect("a BPF map of kind 22 does not give back what it holds; close it first");
	a = (union bpf_attr){.map_type = BPF_MAP_TYPE_ARRAY,
			     .key_size = 4,
			     .value_size = 4096,
			     .max_entries = 1,
			     .map_flags = BPF_F_MMAPABLE};
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
	if (fd >= 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED)
		expect("is a BPF map, which is not saved while it is mapped; unmap it first");
}

/* linux/in6.h, which is not for those who have netinet/in.h */
static void refused_label(void)
{
	struct {
		unsigned char dst[16];
		uint32_t label;
		uint8_t action, share;
		uint16_t flags, expires, linger;
		uint32_t pad;
	} q = {.dst[15] = 1, .share = 255 /* IPV6_FL_S_ANY */, .flags = 1 /* IPV6_FL_F_CREATE */};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (fd >= 0 &&
	    setsockopt(fd, 41 /* IPPROTO_IPV6 */, 32 /* IPV6_FLOWLABEL_MGR */, &q, sizeof(q)) == 0)
		expect("it has leased a flow label (IPV6_FLOWLABEL_MGR), which cannot be saved");
}

static void refused_mounts(void)
{
	int fs = fsopen("proc", FSOPEN_CLOEXEC), mount;

	check(fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
	expect("a file system that is being made (fsopen(2)) cannot be saved; close it first");
	mount = fsmount(fs, 0, 0);
	check(mount >= 0 && openat(mount, "version", O_RDONLY) >= 0);
	expect("/version is in a mount (proc) that is attached nowhere");
}

static void *stay(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *have_own(void *arg)
{
	pthread_t t;

	check(unshare(CLONE_FS) == 0 && pthread_create(&t, NULL, stay, NULL) == 0);
	*(volatile bool *)arg = true;
	return stay(arg);
}

static void *have_lock(void *arg)
{
	char name[] = "/tmp/refuses.XXXXXX";
	struct flock l = {.l_type = F_WRLCK};
	int fd;

	check(unshare(CLONE_FILES) == 0);
	fd = mkstemp(name);
	check(fd >= 0 && unlink(name) == 0 && fcntl(fd, F_SETLK, &l) == 0);
	*(volatile bool *)arg = true;
	return stay(arg);
}

static void refused_threads(void)
{
	static volatile bool made[2];
	pthread_t t;

	check(pthread_create(&t, NULL, have_own, (void *)&made[0]) == 0);
	check(pthread_create(&t, NULL, have_lock, (void *)&made[1]) == 0);
	while (!made[0] || !made[1])
		usleep(1000);
	expect("share directories that are not those of their process; let each have its own");
	expect("it has a lock of a thread's own (fcntl(2)), which cannot be saved; give it up");
}

int main(void)
{
	char lock[] = "/tmp/refuses.XXXXXX";
	int fd;

	if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0)
		expect("vsock sockets cannot be saved");
	fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd >= 0 && ftruncate(fd, 4096) == 0 &&
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED)
		expect("is secret memory, which cannot be saved");
	if (socket(AF_XDP, SOCK_RAW, 0) >= 0)
		expect("XDP sockets cannot be saved");
	refused_answer();
	refused_maps();
	refused_mounts();
	refused_label();
	refused_threads();
	fd = mkstemp(lock);
	check(fd >= 0 && flock(fd, LOCK_EX) == 0 && unlink(lock) == 0);
	expect("is locked; use --file-locks to keep file locks");

	ready();

	check(flock(fd, LOCK_UN) == 0);
	return ok();
}
