/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filler PRIVATE_MB SHARED_MB: holds so much memory that nothing compresses, and counts as the
 * looper does, as long as all pages are what they were.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_WORDS 512

static uint64_t *map(size_t n, int kind)
{
	uint64_t *p, x = 88172645463325252ULL;

	if (!n)
		return NULL;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		exit(1);
	for (size_t i = 0; i < n / sizeof(*p); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
	return p;
}

static uint64_t sum(const uint64_t *p, size_t n)
{
	uint64_t all = 0;

	for (size_t i = 0; i < n / sizeof(*p); i += PAGE_WORDS)
		all = all * 31 + p[i];
	return all;
}

int main(int argc, char **argv)
{
	size_t own = argc > 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	size_t shared = argc > 2 ? strtoul(argv[2], NULL, 10) << 20 : 0;
	const uint64_t *a = map(own, MAP_PRIVATE), *b = map(shared, MAP_SHARED);
	const uint64_t first = sum(a, own), second = sum(b, shared);

	for (unsigned i = 0; sum(a, own) == first && sum(b, shared) == second; i++) {
		printf("%u\n", i);
		fflush(stdout);
		usleep(50000);
	}
	puts("damaged");
	return 1;
}
