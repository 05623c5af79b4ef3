/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More memory than goes through one write, in more than one process: each page has what it had, and
 * nothing is there that was not.
 */
#include "cr.h"

/* For the memory of one process there is room in the page cache, for that of the other not. */
#define P     4096u
#define PAGES 34816u /* 136 MiB */

static char *area;
static unsigned long here;

/* What page I has: 0 for one that was never touched. */
static unsigned long content(unsigned i, unsigned who)
{
	if (i % 64 == 63 || (i / 1024 == 5 && i % 2)) /* holes, and every second page */
		return 0;
	return (i + 1) * 1000003ul + who;
}

static void fill(unsigned who)
{
	for (unsigned i = 0; i < PAGES; i++)
		for (unsigned k = 0; content(i, who) && k < P; k += 512)
			*(unsigned long *)(void *)(area + (size_t)i * P + k) = content(i, who) + k;
}

static unsigned long resident(void)
{
	static unsigned char there[PAGES];
	unsigned long n = 0;

	check(mincore(area, (size_t)PAGES * P, there) == 0);
	for (unsigned i = 0; i < PAGES; i++)
		n += there[i] & 1;
	return n;
}

static void verify(unsigned who)
{
	check(resident() <= here, "%lu pages, were %lu", resident(), here);
	for (unsigned i = 0; i < PAGES; i++)
		for (unsigned k = 0; k < P; k += 512) {
			unsigned long is = *(unsigned long *)(void *)(area + (size_t)i * P + k);

			check(is == (content(i, who) ? content(i, who) + k : 0),
			      "page %u of %u, byte %u", i, who, k);
		}
}

/* Parts that are not to be written to, or read. */
static void protect(int third, int fourth)
{
	check(mprotect(area + 3072ul * P, 256ul * P, third) == 0);
	check(mprotect(area + 4096ul * P, 256ul * P, fourth) == 0);
}

int main(void)
{
	int go[2], filled[2];
	pid_t child;
	int status;
	char c;

	area = mmap(NULL, (size_t)PAGES * P, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(area != MAP_FAILED && pipe(go) == 0 && pipe(filled) == 0);
	madvise(area, (size_t)PAGES * P, MADV_NOHUGEPAGE);
	child = fork();
	check(child >= 0);
	fill(child ? 1 : 2);
	here = resident();
	protect(PROT_READ, PROT_NONE);
	if (child == 0) {
		close(go[1]);
		check(write(filled[1], "", 1) == 1);
		check(read(go[0], &c, 1) == 0);
		protect(PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE);
		verify(2);
		_exit(0);
	}
	close(go[0]);
	check(read(filled[0], &c, 1) == 1);
	ready();
	protect(PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE);
	verify(1);
	close(go[1]);
	check(waitpid(child, &status, 0) == child && status == 0, "child: %x", status);
	return ok();
}
