/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles (AMX), for which a process asks (arch_prctl(2)): in use by a thread, not yet used by
 * another one and by a child, and by nobody but allowed.
 */
#include "cr.h"

#include <pthread.h>

#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILES		    18
#define BYTES		    1024

static unsigned char in[BYTES], out[BYTES];
static pthread_barrier_t barrier;

static void load(void)
{
	static struct {
		uint8_t palette, start, none[14];
		uint16_t colsb[16];
		uint8_t rows[16];
	} config = {.palette = 1, .colsb = {64}, .rows = {16}};

	__asm__ volatile("ldtilecfg %0\n\ttileloadd (%1,%2,1), %%tmm0" ::"m"(config), "r"(in),
			 "r"((uint64_t)64)
			 : "memory");
}

static bool same(void)
{
	memset(out, 0, sizeof(out));
	__asm__ volatile("tilestored %%tmm0, (%0,%1,1)" ::"r"(out), "r"((uint64_t)64) : "memory");
	return memcmp(in, out, sizeof(in)) == 0;
}

static void release(void)
{
	__asm__ volatile("tilerelease");
}

static void wait_twice(void)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
}

static void *begins_later(void *arg)
{
	wait_twice();
	load();
	check(same());
	release();
	return NULL;
}

static void *has_released(void *arg)
{
	load();
	release();
	wait_twice();
	return begins_later;
}

static int uses(void)
{
	load();
	return same() ? 0 : 1;
}

static uint64_t allowed(void)
{
	uint64_t v = 0;

	check(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &v) == 0, "errno %d", errno);
	return v;
}

int main(void)
{
	pthread_t t[2];
	struct child c;
	uint64_t v;

	if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILES) != 0)
		skip("the CPU or the kernel has no tiles");
	for (unsigned i = 0; i < BYTES; i++)
		in[i] = (unsigned char)(i * 7 + i / 251);
	v = allowed();
	c = child_start(NULL, uses);
	check(pthread_barrier_init(&barrier, NULL, 3) == 0 &&
	      pthread_create(&t[0], NULL, begins_later, NULL) == 0 &&
	      pthread_create(&t[1], NULL, has_released, NULL) == 0);
	pthread_barrier_wait(&barrier);
	load();
	ready();
	check(same());
	release();
	check(allowed() == v, "%#lx, %#lx", (unsigned long)v, (unsigned long)allowed());
	load();
	check(same());
	pthread_barrier_wait(&barrier);
	check(pthread_join(t[0], NULL) == 0 && pthread_join(t[1], NULL) == 0);
	child_go(&c);
	return ok();
}
