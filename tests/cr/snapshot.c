/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Much memory, written to all the time: what is saved is one instant of it, also when it is written
 * while we go on.  Each pass over the pages raises them by one, so a page that was saved later
 * than its neighbours is found to be ahead.
 */
#include "cr.h"

#include <pthread.h>

#define PAGES 16384 /* 64 MiB */
#define WORDS (4096 / sizeof(uint64_t))
static uint64_t (*mem)[WORDS];
static volatile bool enough;
static volatile uint64_t passes;

static void *writer(void *arg)
{
	for (uint64_t pass = 1; !enough; pass++) {
		for (size_t p = 0; p < PAGES; p++) {
			check(mem[p][0] == pass - 1 && mem[p][WORDS - 1] == (p ^ (pass - 1)),
			      "page %zu is at %lu, the pass is %lu", p, (unsigned long)mem[p][0],
			      (unsigned long)pass);
			mem[p][0] = pass;
			mem[p][WORDS - 1] = p ^ pass;
		}
		passes = pass;
	}
	return NULL;
}

int main(void)
{
	uint64_t seen;
	pthread_t t;
	int status;

	mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(mem != MAP_FAILED);
	madvise(mem, PAGES * 4096, MADV_NOHUGEPAGE);
	for (size_t p = 0; p < PAGES; p++)
		mem[p][WORDS - 1] = p;
	check(pthread_create(&t, NULL, writer, NULL) == 0);
	ready();
	seen = passes;
	while (passes < seen + 3)
		usleep(1000);
	enough = true;
	check(pthread_join(t, NULL) == 0);
	check(waitpid(-1, &status, __WALL | WNOHANG) == -1 && errno == ECHILD, "no child is left");
	return ok();
}
