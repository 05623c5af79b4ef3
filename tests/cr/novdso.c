/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without a vdso, or without its code, as below valgrind; and children that have all of it, or what
 * is left of it when a program takes [vdso] and [vvar] away, and knows no [vvar_vclock].
 */
#include "cr.h"

#include <time.h>

/* How many mappings of that name are there?  Takes them away if TAKE. */
static int parts(const char *name, bool take)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from[8], to[8];
	char line[512];
	int n = 0;

	check(f != NULL);
	while (n < 8 && fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, "%lx-%lx", &from[n], &to[n]) == 2)
			n++;
	fclose(f);
	for (int i = 0; take && i < n; i++)
		check(munmap((void *)from[i], to[i] - from[i]) == 0);
	return n;
}

static uint64_t kernel_ns(void)
{
	struct timespec t;

	check(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(void)
{
	int go[2], told[2], status;
	char c;
	pid_t with, without, left;
	int had;

	check(pipe(go) == 0 && pipe(told) == 0);
	with = fork();
	if (with == 0) {
		check(read(go[0], &c, 1) == 1);
		_exit(parts("[vdso]", false) == 1 && clock_ns(CLOCK_MONOTONIC) > 0 ? 0 : 1);
	}
	without = fork();
	if (without == 0) {
		check(parts("[vdso]", true) == 1 && parts("[vvar", true) > 0);
		check(write(told[1], "x", 1) == 1);
		check(read(go[0], &c, 1) == 1);
		_exit(parts("[v", false) == parts("[vsyscall]", false) && kernel_ns() > 0 ? 0 : 1);
	}
	left = fork();
	if (left == 0) {
		had = parts("[vvar", false) - 1;
		check(parts("[vdso]", true) == 1 && parts("[vvar]", true) == 1);
		check(parts("[v", false) == parts("[vsyscall]", false) + had);
		check(write(told[1], "x", 1) == 1);
		check(read(go[0], &c, 1) == 1);
		_exit(parts("[v", false) == parts("[vsyscall]", false) + had &&
				      parts("[vvar_vclock]", false) == had && kernel_ns() > 0
			      ? 0
			      : 1);
	}
	check(with > 0 && without > 0 && left > 0);
	check(read(told[0], &c, 1) == 1 && read(told[0], &c, 1) == 1);
	check(parts("[vdso]", true) == 1);
	ready();
	check(parts("[vdso]", false) == 0 && parts("[vvar", false) > 0,
	      "%d of the vdso, %d of its data", parts("[vdso]", false), parts("[vvar", false));
	check(write(go[1], "xxx", 3) == 3);
	check(waitpid(with, &status, 0) == with && status == 0, "with: %#x", status);
	check(waitpid(without, &status, 0) == without && status == 0, "without: %#x", status);
	check(waitpid(left, &status, 0) == left && status == 0, "left: %#x", status);
	return ok();
}
