/* SPDX-License-Identifier: Apache-2.0 */
/* The main stack goes on growing downward, and so does memory that was asked to (MAP_GROWSDOWN). */
#include "cr.h"

#define P    4096
#define ROOM (4 << 20) /* below it; the kernel wants 256 pages to the next (stack_guard_gap) */

static int deep(int n)
{
	volatile char frame[4096];

	frame[0] = (char)n;
	return n ? deep(n - 1) + frame[0] * 0 : 1;
}

static char *growing(void)
{
	char *room = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(room != MAP_FAILED && munmap(room, ROOM) == 0);
	return mmap(room + ROOM - 4 * P, 4 * P, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
}

int main(void)
{
	char page[8192], *grows = growing();

	check(grows != MAP_FAILED, "errno %d", errno);
	memset(grows, 'g', 4 * P);
	grows[-P] = 'f'; /* it has grown already */
	memset(page, 's', sizeof(page));
	ready();
	for (size_t i = 0; i < sizeof(page); i++)
		check(page[i] == 's');
	check(deep(1000) == 1);
	check(grows[0] == 'g' && grows[4 * P - 1] == 'g' && grows[-P] == 'f');
	grows[-2 * P] = 'x';
	grows[-30 * P] = 'y';
	check(grows[-2 * P] == 'x' && grows[-30 * P] == 'y' && grows[-29 * P] == 0);
	return ok();
}
