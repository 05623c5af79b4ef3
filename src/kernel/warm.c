/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/warm.h"

#include "base/background.h"
#include "base/err.h"
#include "base/fd.h"
#include "kernel/cgroup.h"
#include "kernel/procmisc.h"
#include "kernel/touch.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIN_BYTES (UINT64_C(8) << 20)
#define PART	  4 /* of what is available */
#define HUGE	  (UINT64_C(2) << 20)
#define HYPERVISOR_BIT                                                                             \
	(1u << 31) /* of ECX, leaf 1: left to hypervisors by the processor's makers */

static bool is_virtual(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & HYPERVISOR_BIT;
}

static void go_first(void)
{
	static const char most[] = "1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, most, sizeof(most) - 1) < 0)
		_exit(1);
}

/* In the child; what is touched goes when it ends. */
static void touch(void *arg)
{
	uint64_t bytes = *(uint64_t *)arg;
	uint8_t *p;

	go_first();
	p = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	p = (uint8_t *)ROUND_UP((uintptr_t)p, HUGE);
	madvise(p, bytes, MADV_HUGEPAGE);
	madvise(p, bytes, MADV_POPULATE_WRITE);
}

/* 0 when that cannot be told. */
static uint64_t available(void)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int self = openat(proc, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t there;
	ERR_KEEP;

	if (self < 0 || proc_memory_available(proc, &there) < 0 || cgroup_host_ours(&h) < 0)
		return 0;
	return MIN(there, cgroup_memory_left(&h, self));
}

int warm_begin(uint64_t bytes)
{
	int ends[2], r;

	if (bytes < MIN_BYTES || !is_virtual())
		return -1;
	bytes = MIN(bytes, available() / PART) & ~(HUGE - 1);
	if (bytes < MIN_BYTES || pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	r = background_run(&ends[1], 1, touch, &bytes);
	close(ends[1]);
	if (r < 0)
		close(ends[0]);
	return r < 0 ? -1 : ends[0];
}

void warm_end(int *warming)
{
	char c;

	if (*warming < 0)
		return;
	while (read(*warming, &c, 1) < 0 && errno == EINTR)
		;
	close(*warming);
	*warming = -1;
}
