/* SPDX-License-Identifier: Apache-2.0 */
/* A page that nobody can read, in the middle of much memory. */
#include "cr.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef UFFDIO_POISON /* Linux 6.6 */
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON	    _IOWR(UFFDIO, 8, struct uffdio_poison)
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#define PAGE  4096ul
#define PAGES 4096
#define BAD   1234

int main(void)
{
	int u = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_POISON};
	char *m = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	struct uffdio_register r = {.range = {(uintptr_t)m + BAD * PAGE, PAGE},
				    .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_poison p = {.range = r.range};
	char text[100];

	if (u < 0 || ioctl(u, UFFDIO_API, &api) < 0)
		skip("no UFFDIO_POISON");
	check(ioctl(u, UFFDIO_REGISTER, &r) == 0, "errno %d", errno);
	check(ioctl(u, UFFDIO_POISON, &p) == 0, "errno %d", errno);
	close(u);
	for (unsigned i = 0; i < PAGES; i++)
		if (i != BAD)
			memset(m + i * PAGE, (int)i, PAGE);
	snprintf(text, sizeof(text),
		 "expect: the page of memory at %lx is poisoned (UFFDIO_POISON of userfaultfd\n",
		 (unsigned long)m + BAD * PAGE);
	say(text);
	ready();
	check(write(1, m + BAD * PAGE, 1) < 0 && errno == EFAULT, "errno %d", errno);
	check(m[(BAD + 1) * PAGE] == (char)(BAD + 1));
	return ok();
}
