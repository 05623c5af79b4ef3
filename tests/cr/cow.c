/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that processes have in common since fork(2) stay one page, and each sees its own. */
#include "cr.h"

#define P 4096
#define N 512

#define F 16

static char *all, *moved, *file; /* of a file: 0-7 written before the fork, the others never */

static uint64_t frame(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	check(pread(fd, &e, 8, (off_t)((uintptr_t)at / P * 8)) == 8);
	close(fd);
	return e >> 63 ? e & ((UINT64_C(1) << 55) - 1) : 0;
}

static uint64_t *frames; /* what the parent has; shared: first of all, then of the file's */

static void note_frames(void)
{
	for (int i = 0; i < N; i++)
		frames[i] = frame(all + i * P);
	for (int i = 0; i < F; i++)
		frames[N + i] = frame(file + i * P);
}

static void map_file(char *name)
{
	char page[P];
	int fd = mkstemp(name);

	check(fd >= 0);
	memset(page, 'f', P);
	for (int i = 0; i < F; i++)
		check(write(fd, page, P) == P);
	file = mmap(NULL, F * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	check(file != MAP_FAILED);
	close(fd);
	for (int i = 0; i < 8; i++)
		file[i * P] = (char)('0' + i);
}

/* 1: written by the child, 2: by the parent, 3: given back by the child, 4: by the parent. */
static int file_verify(void)
{
	for (int i = 0; i < F; i++) {
		char want = i == 1 ? 'c' : i == 3 || i >= 8 ? 'f' : (char)('0' + i);

		if (file[i * P] != want || file[i * P + 1] != 'f')
			return 30 + i;
		if ((i == 0 || (i > 4 && i < 8)) && frame(file + i * P) != frames[N + i])
			return 50 + i;
	}
	return 0;
}

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
	file[P] = 'c';
	check(madvise(file + 3 * P, P, MADV_DONTNEED) == 0);
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
	return same >= N - 80 ? file_verify() : 25;
}

int main(void)
{
	char name[] = "/tmp/cow.XXXXXX";
	struct child child;

	frames = mmap(NULL, (N + F) * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	all = mmap(NULL, N * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(madvise(all, N * P, MADV_NOHUGEPAGE) == 0);
	for (int i = 0; i < N; i++)
		all[i * P] = (char)i;
	moved[P] = 'm';
	map_file(name);
	child = child_start(child_make, child_verify);
	all[50 * P] = 'p';
	check(munmap(moved, 4 * P) == 0);
	check(madvise(all + 61 * P, P, MADV_DONTNEED) == 0);
	file[2 * P] = 'p';
	check(madvise(file + 4 * P, P, MADV_DONTNEED) == 0);
	note_frames();
	ready();
	check(all[50 * P] == 'p' && all[20 * P] == 20 && all[3 * P] == 3 && all[61 * P] == 0);
	check(file[P] == '1' && file[2 * P] == 'p' && file[3 * P] == '3' && file[4 * P] == 'f');
	check(file[9 * P] == 'f' && file[5 * P] == '5');
	note_frames();
	child_go(&child);
	unlink(name);
	return ok();
}
