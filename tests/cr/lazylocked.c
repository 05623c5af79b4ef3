/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that may not come later (--lazy-pages), each kind in a process of its own: who locks
 * memory has it at once, and so has who has holes that kill whoever touches them.
 */
#include "cr.h"

#define PAGES 512
#define PAGE  4096
#define HOLES 7 /* every so many pages one */

#ifndef MADV_GUARD_INSTALL /* Linux 6.13 */
#define MADV_GUARD_INSTALL 102
#endif

static unsigned char *memory;
static bool holes;

static int fill(void)
{
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		return 1;
	for (unsigned i = 0; i < PAGES; i++)
		memset(memory + i * PAGE, (int)(i % 251) + 1, PAGE);
	return 0;
}

static bool is_hole(unsigned page)
{
	return holes && page % HOLES == 0;
}

static int verify(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		if (!is_hole(i) &&
		    (memory[i * PAGE] != i % 251 + 1 || memory[i * PAGE + PAGE - 1] != i % 251 + 1))
			return 10;
	return 0;
}

static long locked_kb(void)
{
	return strtol(status_line("VmLck"), NULL, 10);
}

/* Before it is touched. */
static bool is_there(void)
{
	unsigned char there[PAGES];

	if (mincore(memory, PAGES * PAGE, there) < 0)
		return false;
	for (unsigned i = 0; i < PAGES; i++)
		if (!is_hole(i) && !(there[i] & 1))
			return false;
	return true;
}

static int verify_locked(void)
{
	if (!is_there())
		return 12;
	return locked_kb() < PAGES * PAGE / 1024 ? 13 : verify();
}

static int make_locked(void)
{
	return fill() || mlock(memory, PAGES * PAGE) < 0;
}

static int make_future(void)
{
	return fill() || mlockall(MCL_FUTURE) < 0;
}

/* What was there before is not locked; what comes after the restore is. */
static int verify_future(void)
{
	long before = locked_kb();
	void *p;

	if (!is_there())
		return 12;
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED || locked_kb() < before + 16 * PAGE / 1024 ? 14 : verify();
}

static int make_holes(void)
{
	if (fill())
		return 1;
	holes = true;
	for (unsigned i = 0; holes && i < PAGES; i += HOLES)
		holes = madvise(memory + i * PAGE, PAGE, MADV_GUARD_INSTALL) == 0;
	return 0; /* a kernel without them: it is only memory */
}

/* write(2) tells of them without a signal. */
static int verify_holes(void)
{
	int p[2];

	if (pipe(p) < 0)
		return 15;
	if (holes && !is_there())
		return 12;
	for (unsigned i = 0; holes && i < PAGES; i += HOLES)
		if (write(p[1], memory + i * PAGE, 1) >= 0 || errno != EFAULT)
			return 16;
	return verify();
}

int main(void)
{
	struct child c[] = {
		child_start(make_locked, verify_locked),
		child_start(make_future, verify_future),
		child_start(make_holes, verify_holes),
	};

	ready();
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
		child_go(&c[i]);
	return ok();
}
