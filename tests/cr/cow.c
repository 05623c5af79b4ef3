/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that processes have in common since fork(2) stay one page, and each sees its own. */
#include "cr.h"

#define P 4096
#define N 512

static char *all, *moved;

static uint64_t frame(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	check(pread(fd, &e, 8, (off_t)((uintptr_t)at / P * 8)) == 8);
	close(fd);
	return e >> 63 ? e & ((UINT64_C(1) << 55) - 1) : 0;
}

static uint64_t *frames; /* what the parent has; shared */

static int grandchild_make(void)
{
	all[7 * P] = 'g';
	return 0;
}

static int grandchild_verify(void)
{
	return all[7 * P] == 'g' && all[8 * P] == 'c' && all[20 * P] == 20 &&
			       frame(all + 20 * P) == frames[20] && all[6 * P] == 6
		       ? 0
		       : 10;
}

static struct child grandchild;

static int child_make(void)
{
	for (int i = 0; i < 4; i++)
		all[i * P] = 'c'; /* a copy of one's own */
	all[8 * P] = 'c';
	check(madvise(all + 16 * P, 2 * P, MADV_DONTNEED) == 0);
	check(munmap(all + 30 * P, P) == 0);
	check(mprotect(all + 40 * P, P, PROT_READ) == 0);
	grandchild = child_start(grandchild_make, grandchild_verify);
	return 0;
}

static int child_verify(void)
{
	unsigned same = 0;
	char vec;

	for (int i = 0; i < N; i++) {
		if (i == 30)
			continue;
		if (i < 4 || i == 8) {
			if (all[i * P] != 'c')
				return 20;
		} else if (i == 16 || i == 17) {
			if (all[i * P] != 0)
				return 21;
		} else {
			if (all[i * P] != (char)i)
				return 22;
			same += frame(all + i * P) == frames[i];
		}
	}
	if (mincore(all + 30 * P, P, (unsigned char *)&vec) != -1)
		return 23;
	/* those that the parent has written since are not the same any more */
	if (all[50 * P] != 50 || moved[P] != 'm')
		return 24;
	child_go(&grandchild);
	return same >= N - 80 ? 0 : 25;
}

int main(void)
{
	struct child child;

	frames = mmap(NULL, N * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	all = mmap(NULL, N * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(madvise(all, N * P, MADV_NOHUGEPAGE) == 0);
	for (int i = 0; i < N; i++)
		all[i * P] = (char)i;
	moved[P] = 'm';
	child = child_start(child_make, child_verify);
	all[50 * P] = 'p';
	check(munmap(moved, 4 * P) == 0);
	check(madvise(all + 61 * P, P, MADV_DONTNEED) == 0);
	for (int i = 0; i < N; i++)
		frames[i] = frame(all + i * P);
	ready();
	check(all[50 * P] == 'p' && all[20 * P] == 20 && all[3 * P] == 3 && all[61 * P] == 0);
	for (int i = 0; i < N; i++)
		frames[i] = frame(all + i * P);
	child_go(&child);
	return ok();
}
