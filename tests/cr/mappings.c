/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of mappings: guard regions, names, locks, seals, droppable memory, without a
 * reservation, every lasting advice.
 */
#include "cr.h"

#include <sys/prctl.h>

#define P	      4096
#define GUARD_INSTALL 102
#define DROPPABLE     0x08
#define MSEAL	      462 /* Linux 6.10 */

#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* "NAME\nVmFlags: ..." of the mapping at AT. */
static const char *flags_of(const void *at, char *name)
{
	static char line[1024];
	FILE *f = fopen("/proc/self/smaps", "re");
	bool mine = false;

	*name = 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255[^\n]", &from, &to, name) >= 2 &&
		    strchr(line, '-') < strchr(line, ' '))
			mine = (uintptr_t)at >= from && (uintptr_t)at < to;
		if (mine && strncmp(line, "VmFlags:", 8) == 0) {
			fclose(f);
			return line;
		}
	}
	fclose(f);
	return "";
}

static char *map(unsigned flags)
{
	char *p = mmap(NULL, 16 * P, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		mprotect(p + 15 * P, P, PROT_NONE); /* neighbours do not grow together */
	return p;
}

/* Can it be read without a fault? */
static bool readable(const char *p)
{
	int fd[2];
	bool r;

	check(pipe(fd) == 0);
	r = write(fd[1], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return r;
}

static const int advices[] = {MADV_SEQUENTIAL, MADV_RANDOM,	MADV_DONTFORK,	 MADV_DONTDUMP,
			      MADV_HUGEPAGE,   MADV_NOHUGEPAGE, MADV_WIPEONFORK, MADV_MERGEABLE};
static char *advised[ARRAY_SIZE(advices)];
static char before[20][200];

static void remember(const char *p, unsigned i, bool verify)
{
	char name[256];
	const char *now = flags_of(p, name);

	if (!verify)
		strcpy(before[i], now);
	else
		check(strcmp(before[i], now) == 0, "%u: %s was %s", i, now, before[i]);
}

int main(void)
{
	char *guarded = map(MAP_PRIVATE), *named = map(MAP_PRIVATE), *locked = map(MAP_PRIVATE),
	     *onfault = map(MAP_PRIVATE), *drop = map(DROPPABLE), *later,
	     *sealed = map(MAP_PRIVATE), *unreserved = map(MAP_PRIVATE | MAP_NORESERVE), name[256];
	bool guards, names, future, seals;

	memset(guarded, 'x', 8 * P);
	guards = madvise(guarded + 2 * P, 3 * P, GUARD_INSTALL) == 0;
	strcpy(named, "named");
	names = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 15 * P, "of the test") == 0;
	strcpy(locked, "locked");
	check(mlock(locked, 4 * P) == 0 && mlock2(onfault, 15 * P, MLOCK_ONFAULT) == 0);
	onfault[3 * P] = 'f';
	if (drop != MAP_FAILED)
		strcpy(drop, "drop");
	for (unsigned i = 0; i < ARRAY_SIZE(advices); i++) {
		advised[i] = map(MAP_PRIVATE);
		advised[i][P] = (char)i;
		check(madvise(advised[i], 15 * P, advices[i]) == 0 || errno == EINVAL);
		remember(advised[i], i, false);
	}
	strcpy(sealed, "sealed");
	seals = syscall(MSEAL, sealed, 15 * P, 0) == 0;
	remember(locked, 10, false);
	remember(onfault, 11, false);
	remember(unreserved, 13, false);
	future = mlockall(MCL_FUTURE | MCL_ONFAULT) == 0;
	if (drop != MAP_FAILED)
		remember(drop, 12, false);
	ready();

	for (int i = 0; i < 8; i++) {
		bool guard = guards && i >= 2 && i < 5;

		check(readable(guarded + i * P) != guard, "page %d", i);
		check(guard || guarded[i * P] == 'x', "page %d", i);
	}
	check(strcmp(named, "named") == 0 && strcmp(locked, "locked") == 0);
	flags_of(named, name);
	check(!names || strcmp(name, "[anon:of the test]") == 0, "%s", name);
	remember(locked, 10, true);
	remember(onfault, 11, true);
	remember(unreserved, 13, true);
	check(strcmp(sealed, "sealed") == 0);
	check(!seals || (munmap(sealed, 15 * P) < 0 && errno == EPERM), "it is not sealed");
	check(onfault[3 * P] == 'f');
	for (unsigned i = 0; i < ARRAY_SIZE(advices); i++) {
		check(advised[i][P] == (char)i);
		remember(advised[i], i, true);
	}
	if (drop != MAP_FAILED) {
		check(strcmp(drop, "drop") == 0 || drop[0] == 0);
		remember(drop, 12, true);
	}
	later = map(MAP_PRIVATE);
	check(!future || strstr(flags_of(later, name), " lo"), "%s", flags_of(later, name));
	return ok();
}
