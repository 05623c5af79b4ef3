/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/probe.h"
#include "base/file.h"
#include "kernel/cgroup.h"
#include "kernel/kcmp.h"
#include "kernel/maps.h"
#include "kernel/mount.h"
#include "kernel/ns.h"
#include "kernel/pagemap.h"
#include "kernel/proc.h"
#include "kernel/procmisc.h"
#include "kernel/procstatus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define GET_RSEQ_CONFIGURATION 0x420f	 /* PTRACE_GET_RSEQ_CONFIGURATION, linux/ptrace.h */
#define SUSPEND_SECCOMP	       (1 << 21) /* PTRACE_O_SUSPEND_SECCOMP */

/* The answer of a check that just tries: its failure is a "no" with a reason. */
static int tried(int r)
{
	return r < 0 ? 0 : 1;
}

static int self_dir(void)
{
	return open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int has_cap(int cap)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	autoclose int self = self_dir();
	int r = self < 0 ? err_errno("open /proc/self") : procstatus_read(self, &s);

	if (r < 0)
		return r;
	return s.cap_eff >> cap & 1;
}

/* In a child that may change itself as it likes; FN's story comes back. */
static int in_child(ns_fn fn)
{
	return tried(ns_run(NULL, 0, fn, NULL, NULL));
}

static int check_checkpoint_cap(void)
{
	int r = has_cap(CAP_SYS_ADMIN);

	if (r == 0)
		r = has_cap(40 /* CAP_CHECKPOINT_RESTORE, Linux 5.9 */);
	if (r == 0)
		err_set(EPERM, "we have neither CAP_SYS_ADMIN nor CAP_CHECKPOINT_RESTORE");
	return r;
}

static int check_resource_cap(void)
{
	int r = has_cap(CAP_SYS_RESOURCE);

	if (r == 0)
		err_set(EPERM, "we do not have CAP_SYS_RESOURCE");
	return r;
}

static int check_pidfd(void)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int fd = -1;
	int r = proc_open(getpid(), &p);

	if (r == 0)
		r = proc_getfd(&p, p.dir, &fd);
	return tried(r);
}

static int check_map_files(void)
{
	CLEANUP(maps_clear) struct maps m = {0};
	autoclose int self = self_dir(), fd = -1;
	int r = maps_read(self, &m);

	if (r < 0)
		return r;
	for (size_t i = 0; i < m.n; i++)
		if (m.v[i].ino)
			return tried(vma_open(self, &m.v[i], O_RDONLY, &fd));
	return err_set(ENOENT, "we have no mapped file to try");
}

static int check_kcmp(void)
{
	return tried(kcmp_compare(getpid(), getpid(), KCMP_VM, 0, 0));
}

static int check_pagemap_scan(void)
{
	CLEANUP(pagemap_close) struct pagemap pm = PAGEMAP_NONE;
	autoclose int self = self_dir();
	int r = pagemap_open(&pm, self);

	if (r < 0)
		return 0;
	if (!pm.scan)
		err_set(ENOTTY, "the kernel has no PAGEMAP_SCAN (Linux 6.7)");
	return pm.scan;
}

static int check_uffd_wp_async(void)
{
	autoclose int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC,
	};

	if (fd < 0) {
		err_errno("userfaultfd");
		return 0;
	}
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		err_errno("userfaultfd: asynchronous write-protect (Linux 6.7)");
		return 0;
	}
	return 1;
}

static int new_time_namespace(void *arg, int *ret_fd)
{
	if (unshare(CLONE_NEWTIME) < 0)
		return err_errno("new time namespace");
	return 0;
}

static int check_timens(void)
{
	return in_child(new_time_namespace);
}

/* A number that was somebody's a moment ago. */
static pid_t free_number(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

/*
 * The first process of a new pid namespace, whose number 1 is surely free; or of ours for whoever
 * may choose numbers (CAP_CHECKPOINT_RESTORE), but make no namespaces.
 */
static int clone_with_tid(void *arg, int *ret_fd)
{
	pid_t tid = unshare(CLONE_NEWPID) < 0 ? free_number() : 1;
	struct clone_args a = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&tid, .set_tid_size = 1};
	long pid;

	if (tid < 0)
		return err_errno("fork");
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return err_errno("clone3 with set_tid");
	if (pid == 0)
		_exit(0);
	waitpid((pid_t)pid, NULL, 0);
	return 0;
}

static int check_set_tid(void)
{
	return in_child(clone_with_tid);
}

/* Stops a fresh child of ours with OPTIONS, asks it for REQUEST (or 0), ends it. */
static int try_ptrace(const char *what, unsigned long options, int request)
{
	char answer[64];
	pid_t pid;
	int there[2], r = 1;

	if (pipe2(there, O_CLOEXEC) < 0)
		return err_errno("pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* we are not, if we have capabilities by our file; what is to be saved is */
		prctl(PR_SET_DUMPABLE, 1);
		close(there[1]);
		for (;;)
			pause();
	}
	close(there[1]);
	if (pid < 0 || read(there[0], answer, 1) < 0)
		r = err_errno("fork");
	close(there[0]);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0 ||
	    (request &&
	     (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, NULL, __WALL) < 0 ||
	      ptrace(request, pid, sizeof(answer), answer) < 0))) {
		err_errno("%s", what);
		r = 0;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
	return r;
}

static int check_ptrace(void)
{
	return try_ptrace("ptrace", 0, 0);
}

static int check_suspend_seccomp(void)
{
	return try_ptrace("ptrace: suspend seccomp", SUSPEND_SECCOMP, 0);
}

static int check_rseq(void)
{
	return try_ptrace("ptrace: rseq configuration (Linux 5.13)", 0, GET_RSEQ_CONFIGURATION);
}

static int check_mm_map(void)
{
	unsigned size;

	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0) {
		err_errno("prctl PR_SET_MM_MAP (CONFIG_CHECKPOINT_RESTORE)");
		return 0;
	}
	return 1;
}

static int check_children(void)
{
	CLEANUP(pid_list_clear) struct pid_list l = {0};
	autoclose int self = self_dir();

	return tried(proc_children(self, &l));
}

static int check_timers(void)
{
	g_autofree struct proc_timer *t = NULL;
	autoclose int self = self_dir();
	size_t n;

	return tried(proc_timers(self, &t, &n));
}

static int check_mount_api(void)
{
	autoclose int fd = -1;

	return tried(mount_make("tmpfs", NULL, 0, &fd));
}

static int check_lower_plus(void)
{
	autoclose int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", "/", 0) < 0) {
		err_errno("overlay: lowerdir+");
		return 0;
	}
	return 1;
}

static int check_freezer(void)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	int r = cgroup_host_ours(&h);

	if (r < 0)
		return r;
	for (size_t i = 0; i < h.n; i++)
		if (!strcmp(h.v[i].controllers, "freezer") || !*h.v[i].controllers)
			return 1;
	err_set(ENOENT, "neither the version 1 freezer nor version 2 is mounted");
	return 0;
}

static int check_sock_diag(void)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 4 /* NETLINK_SOCK_DIAG */);

	if (fd < 0)
		err_errno("netlink sock_diag");
	return fd >= 0;
}

const struct probe probes[] = {
	{"checkpoint-capability", "opening what processes have mapped, choosing process ids",
	 "nothing can be saved or restored", true, check_checkpoint_cap},
	{"ptrace", "holding processes still", "nothing can be saved or restored", true,
	 check_ptrace},
	{"pidfd", "holding on to a process, taking copies of its descriptors",
	 "nothing can be saved or restored", true, check_pidfd},
	{"map-files", "mapped files, shared memory, the agent's mailbox",
	 "nothing can be saved or restored", true, check_map_files},
	{"kcmp", "finding out what processes share", "nothing can be saved", true, check_kcmp},
	{"children", "walking the process tree", "nothing can be saved", true, check_children},
	{"clone3-set-tid", "giving processes their old ids", "nothing can be restored", true,
	 check_set_tid},
	{"prctl-mm-map", "giving processes their old memory layout", "nothing can be restored",
	 true, check_mm_map},
	{"mount-api", "root file systems of containers", "no container can be started", true,
	 check_mount_api},
	{"suspend-seccomp", "saving processes with seccomp filters",
	 "a filter that kills is hit by our own system calls: such processes are refused", false,
	 check_suspend_seccomp},
	{"rseq-configuration", "saving restartable sequences (glibc 2.35 and later)",
	 "processes that use them are refused", false, check_rseq},
	{"freezer", "stopping a whole container at one instant",
	 "processes are stopped one by one, until no new one appears", false, check_freezer},
	{"time-namespace", "a monotonic clock that goes on where it was",
	 "clocks jump when restored after a reboot or on another host", false, check_timens},
	{"pagemap-scan", "finding the pages to save", "pagemap is read entry by entry, slower",
	 false, check_pagemap_scan},
	{"uffd-wp-async", "tracking memory changes between pre-dumps",
	 "pre-dumps are refused, a dump saves all memory", false, check_uffd_wp_async},
	{"posix-timers", "saving timer_create(2) timers", "processes with such timers are refused",
	 false, check_timers},
	{"sock-diag", "saving sockets", "processes with sockets are refused", false,
	 check_sock_diag},
	{"overlay-lowerdir-plus", "images with many layers",
	 "the paths of all layers have to fit into one page", false, check_lower_plus},
	{"sys-resource", "raising limits (CAP_SYS_RESOURCE)",
	 "limits are restored only as far as ours allow", false, check_resource_cap},
};
const size_t probe_count = ARRAY_SIZE(probes);

const struct probe *probe_find(const char *name)
{
	for (size_t i = 0; i < probe_count; i++)
		if (!strcmp(probes[i].name, name))
			return &probes[i];
	return NULL;
}

int probe_has(const struct probe *p)
{
	static _Thread_local struct {
		bool known;
		int answer;
		char story[256];
	} memory[ARRAY_SIZE(probes)];
	size_t i = (size_t)(p - probes);

	if (!memory[i].known) {
		memory[i].answer = p->check();
		memory[i].known = true;
		if (memory[i].answer <= 0)
			g_strlcpy(memory[i].story, err_message(), sizeof(memory[i].story));
		return memory[i].answer;
	}
	if (memory[i].answer <= 0)
		err_set(memory[i].answer, "%s", memory[i].story);
	return memory[i].answer;
}

int probe_has_name(const char *name)
{
	const struct probe *p = probe_find(name);

	if (!p)
		return err_set(EINVAL, "there is no kernel feature named %s", name);
	return probe_has(p);
}
