/* SPDX-License-Identifier: Apache-2.0 */
/* Features of processes and files; each is tried. */
#include "kernel/born.h"
#include "kernel/feature.h"
#include "kernel/peek.h"

#include "base/file.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/user.h>
#include <sys/wait.h>

#define ARCH_MAP_VDSO_64_ 0x2003
#define KCMP_EPOLL_TFD_	  7
#define TIMER_IDS	  77 /* PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15 */
#define TIMER_IDS_GET	  2
#define SET_TICKS	  _IOW('T', 0, uint64_t) /* TFD_IOC_SET_TICKS */
#define SET_GROUP	  0x100			 /* MOVE_MOUNT_SET_GROUP */
#define GET_FILTER	  0x420c		 /* PTRACE_SECCOMP_GET_FILTER */
#define GET_DISPATCH	  0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, Linux 6.4 */
#define THREAD		  O_EXCL /* PIDFD_THREAD, Linux 6.9 */
#define INFO_EXIT	  (UINT64_C(1) << 3)

int feature_in_text(const char *path, const char *word)
{
	g_autofree char *text = NULL;
	int r = file_read_at(AT_FDCWD, path, 1u << 20, &text, NULL);

	if (r < 0)
		return 0;
	if (strstr(text, word))
		return 1;
	err_set(ENOENT, "%s has no \"%s\"", path, word);
	return 0;
}

int feature_mnt_id(void)
{
	autoclose int fd = open("/", O_PATH | O_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return feature_in_text(path, "mnt_id:");
}

int feature_ns_pid(void)
{
	return feature_in_text("/proc/self/status", "NSpid:");
}

int feature_timerfd(void)
{
	autoclose int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t ticks = 1;

	return feature_answer(fd < 0 ? fd : ioctl(fd, SET_TICKS, &ticks), "TFD_IOC_SET_TICKS");
}

static int new_namespace(void *arg, int *ret_fd)
{
	return unshare(*(const int *)arg) < 0 ? err_errno("unshare") : 0;
}

static int has_namespace(int flag)
{
	return ns_run(NULL, 0, new_namespace, &flag, NULL) < 0 ? 0 : 1;
}

int feature_userns(void)
{
	return has_namespace(CLONE_NEWUSER);
}

int feature_cgroupns(void)
{
	return has_namespace(CLONE_NEWCGROUP);
}

int feature_fdinfo_lock(void)
{
	autoclose int fd = memfd_create("cryo", MFD_CLOEXEC);
	char path[64];

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return feature_answer(-1, "flock");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return feature_in_text(path, "lock:");
}

/* A child that is stopped, for TRY; it is killed afterwards. */
static int with_tracee(int (*try)(pid_t pid))
{
	pid_t pid = fork();
	int status, r;

	if (pid < 0)
		return err_errno("fork");
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return err_set(EPROTO, "the child did not stop");
	r = try(pid);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return r;
}

static int try_filter(pid_t pid)
{
	/* EINVAL: the task has none (kernel/seccomp.c: get_nth_filter()) */
	if (ptrace(GET_FILTER, pid, NULL, NULL) < 0 && errno != EINVAL)
		return feature_answer(-1, "PTRACE_SECCOMP_GET_FILTER");
	return 1;
}

int feature_seccomp_filters(void)
{
	return with_tracee(try_filter);
}

static int try_dispatch(pid_t pid)
{
	uint64_t config[4];

	return feature_answer(ptrace(GET_DISPATCH, pid, sizeof(config), config),
			      "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG");
}

int feature_dispatch(void)
{
	return with_tracee(try_dispatch);
}

static int try_breakpoint(pid_t pid)
{
	void *at = (void *)offsetof(struct user, u_debugreg[0]);

	return feature_answer(ptrace(PTRACE_POKEUSER, pid, at, (void *)0x10000), "debug register");
}

int feature_breakpoints(void)
{
	return with_tracee(try_breakpoint);
}

int feature_loginuid(void)
{
	autoclose int fd = open("/proc/self/loginuid", O_RDWR | O_CLOEXEC);

	return feature_answer(fd, "/proc/self/loginuid");
}

int feature_autofs(void)
{
	err_set(EOPNOTSUPP, "mounts of autofs are not kept");
	return 0;
}

int feature_compat(void)
{
	err_set(EOPNOTSUPP, "this program knows 64-bit processes only");
	return 0;
}

int feature_map_vdso(void)
{
	/* EEXIST: it could, but there is one (arch/x86/entry/vdso/vma.c: map_vdso_once()) */
	if (syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64_, 0) < 0 && errno != EEXIST)
		return feature_answer(-1, "ARCH_MAP_VDSO_64");
	return 1;
}

int feature_kcmp_epoll(void)
{
	autoclose int ep = epoll_create1(EPOLL_CLOEXEC), fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct epoll_event e = {.events = EPOLLIN};
	struct {
		uint32_t efd, tfd, toff;
	} slot = {(uint32_t)ep, (uint32_t)fd, 0};
	pid_t me = getpid();

	if (ep < 0 || fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		return feature_answer(-1, "epoll");
	return feature_answer(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD_, fd, &slot), "kcmp");
}

int feature_apparmor_stacking(void)
{
	return feature_in_text("/sys/kernel/security/apparmor/features/domain/stack", "yes");
}

int feature_move_mount_set_group(void)
{
	/* flags are looked at first: fs/namespace.c, SYSCALL_DEFINE5(move_mount) */
	if (syscall(SYS_move_mount, -1, "x", -1, "x", SET_GROUP) < 0 && errno == EBADF)
		return 1;
	return feature_answer(-1, "move_mount");
}

int feature_openat2(void)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	autoclose int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	return feature_answer(fd, "openat2");
}

int feature_timer_ids(void)
{
	return feature_answer(prctl(TIMER_IDS, TIMER_IDS_GET, 0, 0, 0),
			      "PR_TIMER_CREATE_RESTORE_IDS");
}

int feature_peek(void)
{
	CLEANUP(peek_close) struct peek *k = NULL;
	int r = peek_open(&k);

	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

int feature_unaccepted(void)
{
	CLEANUP(btf_close) struct btf *types = NULL;
	CLEANUP(born_close) struct born *b = NULL;
	int r = btf_open(&types);

	if (r == 0)
		r = born_open(types, -1, &b);
	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

int feature_pidfd_thread(void)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, syscall(SYS_gettid), THREAD);

	return feature_answer(fd, "pidfd_open of a thread");
}

/* fs/pidfs.c: pidfd_info(); before Linux 6.15 nothing is told of a process that is gone. */
int feature_pidfd_exit(void)
{
	struct {
		uint64_t mask, rest[7]; /* struct pidfd_info, as far as Linux 6.15 */
	} info = {.mask = INFO_EXIT};
	pid_t pid = fork();
	autoclose int fd = -1;
	long r;

	if (pid < 0)
		return err_errno("fork");
	if (pid == 0)
		_exit(0);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (waitpid(pid, NULL, 0) != pid)
		return err_errno("wait for a child");
	r = fd < 0 ? fd : ioctl(fd, _IOWR(0xFF, 11, info), &info);
	if (r == 0 && info.mask & INFO_EXIT)
		return 1;
	return r < 0 ? feature_answer(r, "PIDFD_GET_INFO")
		     : feature_answer((errno = ENODATA, -1), "PIDFD_GET_INFO");
}

int feature_last_pid(void)
{
	autoclose int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	return feature_answer(fd, "/proc/sys/kernel/ns_last_pid");
}

int feature_proc_sched(void)
{
	return feature_in_text("/proc/self/sched", "se.exec_start");
}

int feature_robust_list(void)
{
	void *head;
	size_t len;

	return feature_answer(syscall(SYS_get_robust_list, 0, &head, &len), "get_robust_list");
}

int feature_latency(void)
{
	return feature_answer(access("/dev/cpu_dma_latency", W_OK), "/dev/cpu_dma_latency");
}
