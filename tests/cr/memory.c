/* SPDX-License-Identifier: Apache-2.0 */
/* Private memory of every kind: content, protection, holes, advice. */
#include "cr.h"

#define P 4096
static char data[3 * P] = "data";
static char bss[64 * P];
static const char rodata[] = "constant";

static uint64_t sum(const char *p, size_t n)
{
	uint64_t s = 14695981039346656037u;

	while (n--)
		s = (s ^ (unsigned char)*p++) * 1099511628211u;
	return s;
}

static void noise(char *p, size_t n)
{
	uint64_t x = 88172645463325252u + (uintptr_t)p % 1000;

	for (size_t i = 0; i + 8 <= n; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
}

static char protection(const void *at, int which)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;
		char perms[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3 && (uintptr_t)at >= from &&
		    (uintptr_t)at < to) {
			fclose(f);
			return perms[which];
		}
	}
	fclose(f);
	return '?';
}

int main(void)
{
	char *anon =
		mmap(NULL, 1000 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ro = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *far = mmap((void *)0x10000000000, P, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	char *untouched = mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *heap = malloc(300000), big[200000];
	uint64_t s_anon, s_none, s_heap, s_big;

	check(anon != MAP_FAILED && none != MAP_FAILED && ro != MAP_FAILED &&
	      untouched != MAP_FAILED);
	check(far == (void *)0x10000000000);
	noise(anon, 500 * P);
	memset(anon + 300 * P, 0, 100 * P);
	munmap(anon + 600 * P, P);
	mprotect(anon + 700 * P, P, PROT_READ);
	madvise(anon + 800 * P, 10 * P, MADV_DONTFORK);
	noise(none, 4 * P);
	s_none = sum(none, 4 * P);
	mprotect(none, 4 * P, PROT_NONE);
	strcpy(ro, "read only now");
	mprotect(ro, 4 * P, PROT_READ | PROT_EXEC);
	strcpy(far, "far away");
	noise(heap, 300000);
	noise(big, sizeof(big));
	noise(bss, sizeof(bss) / 2);
	data[2 * P] = 'x';
	untouched[512 << 20] = 'u';
	s_anon = sum(anon, 600 * P);
	s_heap = sum(heap, 300000);
	s_big = sum(big, sizeof(big));
	ready();
	check(sum(anon, 600 * P) == s_anon);
	check(protection(anon + 600 * P, 0) == '?', "the hole is a hole");
	check(protection(anon + 700 * P, 1) == '-' && protection(anon + 701 * P, 1) == 'w');
	check(protection(none, 0) == '-');
	mprotect(none, 4 * P, PROT_READ);
	check(sum(none, 4 * P) == s_none, "what is behind PROT_NONE");
	check(!strcmp(ro, "read only now") && protection(ro, 1) == '-' && protection(ro, 2) == 'x');
	check(!strcmp(far, "far away"));
	check(sum(heap, 300000) == s_heap && sum(big, sizeof(big)) == s_big);
	check(!strcmp(data, "data") && data[2 * P] == 'x' && !strcmp(rodata, "constant"));
	check(bss[sizeof(bss) - 1] == 0 && untouched[512 << 20] == 'u' && untouched[1000] == 0);
	free(heap);
	heap = malloc(1 << 20);
	memset(heap, 1, 1 << 20);
	return ok();
}
