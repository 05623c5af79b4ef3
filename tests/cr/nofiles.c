/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that has given up all descriptors to come, hard limit included, as servers' children do
 * before they look at what strangers send; as another user, whose limits only CAP_SYS_RESOURCE may
 * read.  It has more memory than is copied by the way.
 */
#include "cr.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#define BYTES (3u << 20)

static unsigned char *memory;

static int sandboxed(void)
{
	const struct rlimit none = {0, 0};

	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED);
	for (unsigned i = 0; i < BYTES; i += 4096)
		memset(memory + i, (int)(i / 4096 % 255) + 1, 4096);
	check(setresgid(99, 99, 99) == 0 && setresuid(99, 99, 99) == 0);
	check(setrlimit(RLIMIT_NOFILE, &none) == 0);
	return 0;
}

static int same(void)
{
	struct rlimit l;

	for (unsigned i = 0; i < BYTES; i++)
		check(memory[i] == (int)(i / 4096 % 255) + 1, "byte %u", i);
	check(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur == 0 && l.rlim_max == 0);
	check(dup(0) < 0 && errno == EMFILE);
	return 0;
}

int main(void)
{
	struct child c = child_start(sandboxed, same);

	ready();
	child_go(&c);
	return ok();
}
