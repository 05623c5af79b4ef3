/* SPDX-License-Identifier: Apache-2.0 */
/*
 * churn [CHILDREN]: memory that changes in every way while it moves, and knows what it should be.
 *
 * Each page of some mappings has the same number at its beginning and at its end; what each should
 * be is in a table.  In each turn pages are written, given back (MADV_DONTNEED), unmapped and
 * mapped again, protected, and the heap grows and shrinks; then all pages are compared.  Prints the
 * number of turns that were right, ten times a second, or what is wrong, and ends.  Of the children
 * one is a fork that shares its memory, the others execute the same program.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096u
#define PAGES 4096u /* of each mapping: 16 MiB */
#define MAPS  3u

static uint8_t *maps[MAPS];
static uint32_t *want[MAPS];
static uint8_t *heap;
static uint32_t heap_pages, turn = 1;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void put(uint8_t *page, uint32_t v)
{
	*(uint32_t *)(void *)page = v;
	*(uint32_t *)(void *)(page + PAGE - sizeof(v)) = v;
}

static void check(const char *what, const uint8_t *page, uint32_t v)
{
	uint32_t a = *(const uint32_t *)(const void *)page;
	uint32_t b = *(const uint32_t *)(const void *)(page + PAGE - sizeof(b));

	if (a == v && b == v)
		return;
	printf("WRONG: %d %s %p: %u %u, not %u\n", getpid(), what, (const void *)page, a, b, v);
	fflush(stdout);
	exit(1);
}

static void *map(void *at, size_t bytes, int flags)
{
	void *p =
		mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void change(uint32_t m)
{
	uint32_t first = pick(PAGES - 64), n = 1 + pick(63), how = pick(8);
	uint8_t *at = maps[m] + (size_t)first * PAGE;

	for (uint32_t i = first; i < first + n; i++)
		want[m][i] = how < 5 ? turn : 0;
	if (how < 5)
		for (uint32_t i = 0; i < n; i++)
			put(at + (size_t)i * PAGE, turn);
	else if (how == 5)
		madvise(at, (size_t)n * PAGE, MADV_DONTNEED);
	else if (how == 6)
		map(at, (size_t)n * PAGE, MAP_FIXED | (m == 1 ? MAP_NORESERVE : 0));
	else if (munmap(at, (size_t)n * PAGE) == 0)
		map(at, (size_t)n * PAGE, MAP_FIXED_NOREPLACE | (m == 1 ? MAP_NORESERVE : 0));
	mprotect(at, (size_t)n * PAGE, turn % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
	mprotect(maps[m], (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE);
}

static void grow_heap(void)
{
	uint32_t n = 512 + pick(1024);

	if (brk(heap + (size_t)n * PAGE) < 0)
		exit(1);
	for (uint32_t i = heap_pages; i < n; i++) {
		check("heap", heap + (size_t)i * PAGE, 0);
		put(heap + (size_t)i * PAGE, i);
	}
	heap_pages = n;
}

static void check_all(void)
{
	for (uint32_t m = 0; m < MAPS; m++)
		for (uint32_t i = 0; i < PAGES; i++)
			check("map", maps[m] + (size_t)i * PAGE, want[m][i]);
	for (uint32_t i = 0; i < heap_pages; i++)
		check("heap", heap + (size_t)i * PAGE, i);
}

static void make(void)
{
	heap = (uint8_t *)(((uintptr_t)sbrk(0) + PAGE - 1) / PAGE * PAGE);
	for (uint32_t m = 0; m < MAPS; m++) {
		maps[m] = map(NULL, (size_t)PAGES * PAGE, m == 1 ? MAP_NORESERVE : 0);
		want[m] = map(NULL, PAGES * sizeof(**want), 0);
		for (uint32_t i = 0; i < PAGES; i += 1 + pick(4)) {
			want[m][i] = i + 1;
			put(maps[m] + (size_t)i * PAGE, i + 1);
		}
	}
	madvise(maps[2], (size_t)PAGES * PAGE, MADV_HUGEPAGE);
}

int main(int argc, char **argv)
{
	int children = argc > 1 ? atoi(argv[1]) : 0;
	struct timespec pause = {.tv_nsec = 10000000};

	seed = (uint64_t)getpid();
	for (int i = 1; i < children; i++)
		if (fork() == 0) {
			execl("/proc/self/exe", "churn", (char *)NULL);
			_exit(1);
		}
	make();
	if (children > 0 && fork() == 0)
		seed += 12345;
	for (;; turn++) {
		for (int i = 0; i < 8; i++)
			change(pick(MAPS));
		grow_heap();
		if (turn % 8 == 0) {
			check_all();
			printf("%d %u\n", getpid(), turn);
			fflush(stdout);
		}
		nanosleep(&pause, NULL);
	}
}
