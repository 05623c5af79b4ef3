/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that userfaultfd(2) watches. */
#include "cr.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

int main(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0)
		skip("the kernel has no userfaultfd, or forbids it");
	range.range.start = (uintptr_t)p;
	range.range.len = 16384;
	check(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0,
	      "errno %d", errno);
	ready();
	check(ioctl(fd, UFFDIO_UNREGISTER, &range.range) == 0, "errno %d", errno);
	return ok();
}
