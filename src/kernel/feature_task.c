/* SPDX-License-Identifier: Apache-2.0 */
/* Features of processes, memory and files; each is tried. */
#include "kernel/feature.h"
#include "kernel/peek.h"

#include "base/file.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/openat2.h>
#include <linux/userfaultfd.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/user.h>
#include <sys/wait.h>

#define PAGE		  4096u
#define ARCH_MAP_VDSO_64_ 0x2003
#define KCMP_EPOLL_TFD_	  7
#define TIMER_IDS	  77 /* PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15 */
#define TIMER_IDS_GET	  2
#define SET_TICKS	  _IOW('T', 0, uint64_t) /* TFD_IOC_SET_TICKS */
#define SET_GROUP	  0x100			 /* MOVE_MOUNT_SET_GROUP */
#define GET_FILTER	  0x420c		 /* PTRACE_SECCOMP_GET_FILTER */

/* The answer of a system call that was only tried. */
static int answer(long r, const char *what)
{
	if (r >= 0)
		return 1;
	err_errno("%s", what);
	return 0;
}

static int in_text(const char *path, const char *word)
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
	return in_text(path, "mnt_id:");
}

int feature_ns_pid(void)
{
	return in_text("/proc/self/status", "NSpid:");
}

int feature_mem_dirty_track(void)
{
	int r = probe_has_name("uffd-wp-async");

	return r == 1 ? probe_has_name("pagemap-scan") : r;
}

/* The ring is a mapping that follows mremap(2): fs/aio.c, aio_ring_mremap(). */
int feature_aio_remap(void)
{
	aio_context_t ctx = 0;
	struct io_event e;
	struct timespec none = {0};
	uint32_t events;
	size_t bytes;
	void *at;
	int r;

	if (syscall(SYS_io_setup, 1, &ctx) < 0)
		return answer(-1, "io_setup");
	memcpy(&events, (char *)(uintptr_t)ctx + 4, sizeof(events)); /* struct aio_ring.nr */
	bytes = ROUND_UP(32 + (size_t)events * sizeof(e), PAGE);
	at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || mremap((void *)(uintptr_t)ctx, bytes, bytes,
				       MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
		r = answer(-1, "mremap of the ring");
		syscall(SYS_io_destroy, ctx);
		return r;
	}
	ctx = (aio_context_t)(uintptr_t)at;
	r = answer(syscall(SYS_io_getevents, ctx, 0, 1, &e, &none), "io_getevents");
	syscall(SYS_io_destroy, ctx);
	return r;
}

int feature_timerfd(void)
{
	autoclose int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t ticks = 1;

	return answer(fd < 0 ? fd : ioctl(fd, SET_TICKS, &ticks), "TFD_IOC_SET_TICKS");
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
		return answer(-1, "flock");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return in_text(path, "lock:");
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
		return answer(-1, "PTRACE_SECCOMP_GET_FILTER");
	return 1;
}

int feature_seccomp_filters(void)
{
	return with_tracee(try_filter);
}

static int try_breakpoint(pid_t pid)
{
	void *at = (void *)offsetof(struct user, u_debugreg[0]);

	return answer(ptrace(PTRACE_POKEUSER, pid, at, (void *)0x10000), "debug register");
}

int feature_breakpoints(void)
{
	return with_tracee(try_breakpoint);
}

int feature_loginuid(void)
{
	autoclose int fd = open("/proc/self/loginuid", O_RDWR | O_CLOEXEC);

	return answer(fd, "/proc/self/loginuid");
}

int feature_autofs(void)
{
	autoclose int fd = fsopen("autofs", FSOPEN_CLOEXEC);

	return answer(fd, "autofs");
}

int feature_compat(void)
{
	err_set(EOPNOTSUPP, "this program knows 64-bit processes only");
	return 0;
}

static int uffd_with(uint64_t wanted)
{
	autoclose int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API, .features = wanted};

	return answer(fd < 0 ? fd : ioctl(fd, UFFDIO_API, &api), "userfaultfd");
}

int feature_uffd(void)
{
	return uffd_with(0);
}

int feature_uffd_noncoop(void)
{
	return uffd_with(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
			 UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE);
}

int feature_map_vdso(void)
{
	/* EEXIST: it could, but there is one (arch/x86/entry/vdso/vma.c: map_vdso_once()) */
	if (syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64_, 0) < 0 && errno != EEXIST)
		return answer(-1, "ARCH_MAP_VDSO_64");
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
		return answer(-1, "epoll");
	return answer(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD_, fd, &slot), "kcmp");
}

int feature_apparmor_stacking(void)
{
	return in_text("/sys/kernel/security/apparmor/features/domain/stack", "yes");
}

int feature_memfd_hugetlb(void)
{
	autoclose int fd = memfd_create("cryo", MFD_CLOEXEC | MFD_HUGETLB);

	return answer(fd, "memfd_create");
}

int feature_move_mount_set_group(void)
{
	/* flags are looked at first: fs/namespace.c, SYSCALL_DEFINE5(move_mount) */
	if (syscall(SYS_move_mount, -1, "x", -1, "x", SET_GROUP) < 0 && errno == EBADF)
		return 1;
	return answer(-1, "move_mount");
}

int feature_openat2(void)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	autoclose int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	return answer(fd, "openat2");
}

int feature_timer_ids(void)
{
	return answer(prctl(TIMER_IDS, TIMER_IDS_GET, 0, 0, 0), "PR_TIMER_CREATE_RESTORE_IDS");
}

/* In a mount namespace of its own: does /proc/PID/maps show what fstat(2) does? */
static int map_overlay(void *arg, int *ret_fd)
{
	g_autofree char *maps = NULL, *line = NULL;
	autoclose int fd = -1;
	struct stat st;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir("/tmp/l", 0700) < 0 ||
	    mkdir("/tmp/u", 0700) < 0 || mkdir("/tmp/w", 0700) < 0 || mkdir("/tmp/m", 0700) < 0 ||
	    mknod("/tmp/l/f", S_IFREG | 0600, 0) < 0 ||
	    mount("none", "/tmp/m", "overlay", 0,
		  "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w") < 0)
		return err_errno("overlay");
	fd = open("/tmp/m/f", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 ||
	    mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		return err_errno("mapped file");
	line = g_strdup_printf(" %lu ", (unsigned long)st.st_ino);
	if (file_read_at(AT_FDCWD, "/proc/self/maps", 1u << 20, &maps, NULL) < 0)
		return err_errno("maps");
	return strstr(maps, line) ? 0 : err_set(ENOENT, "maps show another inode");
}

int feature_overlay_maps(void)
{
	return ns_run(NULL, 0, map_overlay, NULL, NULL) < 0 ? 0 : 1;
}

/* struct pm_scan_arg of linux/fs.h */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
		category_mask, category_anyof_mask, return_mask;
};
#define SCAN	   _IOWR('f', 16, struct scan)
#define SCAN_GUARD (1u << 8) /* PAGE_IS_GUARD, Linux 6.15 */

int feature_scan_guards(void)
{
	autoclose int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct {
		uint64_t start, end, categories;
	} region;
	struct scan s = {.size = sizeof(s),
			 .vec = (uintptr_t)&region,
			 .vec_len = 1,
			 .category_mask = SCAN_GUARD,
			 .return_mask = SCAN_GUARD};
	void *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	s.start = (uintptr_t)at;
	s.end = s.start + PAGE;
	r = answer(fd < 0 || at == MAP_FAILED ? -1 : ioctl(fd, SCAN, &s), "PAGEMAP_SCAN");
	if (at != MAP_FAILED)
		munmap(at, PAGE);
	return r;
}

int feature_peek(void)
{
	CLEANUP(peek_close) struct peek *k = NULL;
	int r = peek_open(&k);

	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}
