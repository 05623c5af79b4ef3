/* SPDX-License-Identifier: Apache-2.0 */
/* Features of memory; each is tried. */
#include "kernel/feature.h"

#include "base/file.h"
#include "kernel/ns.h"
#include "kernel/ptrace.h"
#include "kernel/touch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PAGE 4096u

int feature_process_vm(void)
{
	uint64_t from = 1, to = 0;
	int r = task_read_memory(getpid(), (uintptr_t)&from, &to, sizeof(to));

	if (r == 0)
		r = task_write_memory(getpid(), (uintptr_t)&to, &from, sizeof(from));
	return r < 0 ? 0 : 1;
}

int feature_populate_write(void)
{
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (p == MAP_FAILED)
		return feature_answer(-1, "mmap");
	r = feature_answer(madvise(p, PAGE, MADV_POPULATE_WRITE), "madvise");
	munmap(p, PAGE);
	return r;
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
		return feature_answer(-1, "io_setup");
	memcpy(&events, (char *)(uintptr_t)ctx + 4, sizeof(events)); /* struct aio_ring.nr */
	bytes = ROUND_UP(32 + (size_t)events * sizeof(e), PAGE);
	at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || mremap((void *)(uintptr_t)ctx, bytes, bytes,
				       MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
		r = feature_answer(-1, "mremap of the ring");
		syscall(SYS_io_destroy, ctx);
		return r;
	}
	ctx = (aio_context_t)(uintptr_t)at;
	r = feature_answer(syscall(SYS_io_getevents, ctx, 0, 1, &e, &none), "io_getevents");
	syscall(SYS_io_destroy, ctx);
	return r;
}

static int uffd_with(uint64_t wanted)
{
	autoclose int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API, .features = wanted};

	return feature_answer(fd < 0 ? fd : ioctl(fd, UFFDIO_API, &api), "userfaultfd");
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

int feature_memfd_hugetlb(void)
{
	autoclose int fd = memfd_create("cryo", MFD_CLOEXEC | MFD_HUGETLB);

	return feature_answer(fd, "memfd_create");
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
	r = feature_answer(fd < 0 || at == MAP_FAILED ? -1 : ioctl(fd, SCAN, &s), "PAGEMAP_SCAN");
	if (at != MAP_FAILED)
		munmap(at, PAGE);
	return r;
}

/* As lazy.c: before Linux 6.1 user namespaces get none (userfaultfd_syscall_allowed()). */
int feature_dev_uffd(void)
{
	autoclose int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	return feature_answer(fd, "/dev/userfaultfd");
}
