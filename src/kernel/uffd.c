/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/uffd.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15) /* not in every distribution's headers yet */
#endif

int uffd_begin(int fd)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC};

	return ioctl(fd, UFFDIO_API, &api) < 0
		       ? err_errno("userfaultfd: asynchronous write-protection (Linux 6.7)")
		       : 0;
}

/*
 * EINVAL: special mappings (mm/userfaultfd.c: vma_can_userfault()); EPERM: of a file that may not
 * be written; EBUSY: watched by somebody else; ENOENT: gone.
 */
int uffd_watch(int fd, uint64_t start, uint64_t end)
{
	struct uffdio_register r = {.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (ioctl(fd, UFFDIO_REGISTER, &r) == 0)
		return 0;
	if (errno == EINVAL || errno == EPERM || errno == EBUSY || errno == ENOENT)
		return 1;
	return err_errno("watch memory at %llx", (unsigned long long)start);
}

int uffd_serve_begin(int fd)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
			    UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP,
	};

	return ioctl(fd, UFFDIO_API, &api) < 0 ? err_errno("userfaultfd: events of the process")
					       : 0;
}

int uffd_serve(int fd, uint64_t start, uint64_t end)
{
	struct uffdio_register r = {.range = {start, end - start},
				    .mode = UFFDIO_REGISTER_MODE_MISSING};

	return ioctl(fd, UFFDIO_REGISTER, &r) < 0
		       ? err_errno("watch memory at %llx", (unsigned long long)start)
		       : 0;
}

void uffd_unwatch(int fd, uint64_t start, uint64_t end)
{
	struct uffdio_range range = {start, end - start};

	if (ioctl(fd, UFFDIO_UNREGISTER, &range) < 0)
		return; /* it was not, or is gone */
}
