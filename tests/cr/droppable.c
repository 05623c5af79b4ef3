/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be dropped (MAP_DROPPABLE) is not kept: it may be what random numbers are made of, and
 * who is restored twice must not have the same ones twice.  The mapping is.
 */
#include "cr.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define BYTES (8 * 4096)

static bool is_droppable(const void *at)
{
	char line[512], start[32];
	bool mine = false, yes = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	snprintf(start, sizeof(start), "%lx-", (unsigned long)at);
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "-") && strchr("0123456789abcdef", line[0]))
			mine = strncmp(line, start, strlen(start)) == 0;
		yes = yes || (mine && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dp"));
	}
	if (f)
		fclose(f);
	return yes;
}

int main(void)
{
	char *v = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	if (v == MAP_FAILED)
		skip("the kernel has no such memory");
	memset(v, 'x', BYTES);
	ready();
	for (unsigned i = 0; i < BYTES; i++)
		check(v[i] == 0, "byte %u is %d", i, v[i]);
	check(is_droppable(v));
	return ok();
}
