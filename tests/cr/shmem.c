/* SPDX-License-Identifier: Apache-2.0 */
/* Shared anonymous memory: between processes, mapped twice, with a private copy beside it. */
#include "cr.h"

static volatile int *shared, *grown;

static int child_adds(void)
{
	shared[0] += 1000;
	grown[100000] = 7;
	return shared[1024] == 99 ? 0 : 10;
}

int main(void)
{
	struct child c;

	shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	grown = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED && grown != MAP_FAILED);
	shared[0] = 1;
	shared[1024] = 99;
	c = child_start(NULL, child_adds);
	munmap((char *)grown + 4096, 4096);
	mprotect((char *)grown + 8192, 4096, PROT_READ);
	ready();
	check(shared[0] == 1);
	shared[0] = 2;
	child_go(&c);
	check(shared[0] == 1002, "they share one memory: %d", shared[0]);
	check(grown[100000] == 7, "beyond the hole: %d", grown[100000]);
	return ok();
}
