/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/memory.py's process.  `fill MIB [huge|scattered]` holds memory with content, says "ready"
 * and sleeps; `rate FILE MIB` writes as much into FILE and reads it back into fresh memory, past the
 * page cache, and prints both rates in MB/s.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_MAX ((size_t)256 << 20)

static uint64_t *map(size_t n, int advice)
{
	uint64_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(p, n, advice);
	return p;
}

/* Every page, or every second one: no two pages of content are neighbours. */
static void fill(uint64_t *p, size_t n, int scattered)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < n / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (!scattered || !(i / 512 % 2))
			p[i] = x;
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int rate(const char *file, size_t n)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	uint64_t *p = map(n, MADV_NOHUGEPAGE);
	size_t step = n < STEP_MAX ? n : STEP_MAX;
	double t, write_s, read_s;

	if (fd < 0) {
		perror(file);
		return 1;
	}
	fill(p, n, 0);
	t = now();
	for (size_t at = 0; at < n; at += step)
		if (pwrite(fd, (char *)p + at, step, (off_t)at) != (ssize_t)step) {
			perror("pwrite");
			return 1;
		}
	write_s = now() - t;
	munmap(p, n);
	p = map(n, MADV_NOHUGEPAGE);
	t = now();
	for (size_t at = 0; at < n; at += step)
		if (pread(fd, (char *)p + at, step, (off_t)at) != (ssize_t)step) {
			perror("pread");
			return 1;
		}
	read_s = now() - t;
	unlink(file);
	printf("%.0f %.0f\n", (double)n / write_s / 1e6, (double)n / read_s / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 3 ? argv[3] : "";
	size_t n;

	if (argc > 3 && !strcmp(argv[1], "rate"))
		return rate(argv[2], (size_t)atoi(argv[3]) << 20);
	n = (size_t)atoi(argv[2]) << 20;
	fill(map(n, strcmp(how, "huge") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE), n,
	     !strcmp(how, "scattered"));
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
