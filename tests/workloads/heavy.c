/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heavy THREADS MEGABYTES DESCRIPTORS: counts, and says on each line how much of what it has is not
 * as it was: "N bad 0".
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096
#define HOLE (1u << 20)

static unsigned alive;

static void *thread(void *id)
{
	volatile uint64_t mine[64];

	for (unsigned i = 0; i < 64; i++)
		mine[i] = (uint64_t)(uintptr_t)id * i;
	__atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
	for (;;) {
		usleep(100000);
		for (unsigned i = 0; i < 64; i++)
			if (mine[i] != (uint64_t)(uintptr_t)id * i)
				abort();
	}
	return NULL;
}

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

int main(int argc, char **argv)
{
	unsigned threads = (unsigned)atoi(argv[1]), fds = (unsigned)atoi(argv[3]);
	size_t len = (size_t)atoi(argv[2]) << 20;
	char *memory = len ? map(len) : NULL, *hidden = map(HOLE);
	struct rlimit l;
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&t, &a, thread, (void *)(uintptr_t)i))
			return 1;
	if (len)
		madvise(memory, len, MADV_HUGEPAGE);
	for (size_t i = 0; i < len; i += PAGE)
		*(size_t *)(memory + i) = ~i;
	if (len)
		mlock(memory, 64 * 1024);
	memset(hidden, 7, HOLE);
	mprotect(hidden, HOLE, PROT_NONE);
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	for (unsigned i = 0; i < fds; i++)
		lseek(open("/etc/passwd", O_RDONLY), i % 50, SEEK_SET);
	while (__atomic_load_n(&alive, __ATOMIC_RELAXED) < threads)
		usleep(1000);
	for (unsigned n = 0;; n++) {
		size_t bad = 0;

		for (size_t i = 0; i < len; i += PAGE)
			bad += *(size_t *)(memory + i) != ~i;
		for (unsigned i = 0; i < fds; i++)
			bad += lseek((int)i + 3, 0, SEEK_CUR) != i % 50;
		mprotect(hidden, HOLE, PROT_READ);
		for (size_t i = 0; i < HOLE; i += PAGE)
			bad += hidden[i] != 7;
		mprotect(hidden, HOLE, PROT_NONE);
		printf("%u bad %zu\n", n, bad);
		fflush(stdout);
		usleep(50000);
	}
}
