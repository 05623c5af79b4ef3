/* SPDX-License-Identifier: Apache-2.0 */
/* Memory policies: of parts of a mapping, of a process and of a thread.  One node is enough. */
#include "cr.h"

#include <linux/mempolicy.h>
#include <pthread.h>

#define P 4096

static pthread_barrier_t b;

static int mode_at(const void *p, unsigned long *nodes)
{
	unsigned long v[16] = {0};
	int mode = -1;

	check(syscall(SYS_get_mempolicy, &mode, v, 1024, p, p ? MPOL_F_ADDR : 0) == 0, "errno %d",
	      errno);
	*nodes = v[0];
	return mode;
}

static void *thread(void *arg)
{
	unsigned long one = 1, nodes;

	check(syscall(SYS_set_mempolicy, MPOL_BIND, &one, 64) == 0);
	pthread_barrier_wait(&b);
	pthread_barrier_wait(&b);
	check(mode_at(NULL, &nodes) == MPOL_BIND && nodes == 1);
	return NULL;
}

int main(void)
{
	char *p = mmap(NULL, 32 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long one = 1, nodes;
	pthread_t t;

	if (syscall(SYS_mbind, p, 8 * P, MPOL_INTERLEAVE, &one, 64, 0) != 0)
		skip("the kernel has no memory policies");
	check(syscall(SYS_mbind, p + 16 * P, 8 * P, MPOL_PREFERRED | MPOL_F_STATIC_NODES, &one, 64,
		      0) == 0);
	memset(p, 'x', 32 * P);
	check(syscall(SYS_set_mempolicy, MPOL_PREFERRED, &one, 64) == 0);
	pthread_barrier_init(&b, NULL, 2);
	pthread_create(&t, NULL, thread, NULL);
	pthread_barrier_wait(&b);
	ready();
	check(mode_at(p, &nodes) == MPOL_INTERLEAVE && nodes == 1);
	check(mode_at(p + 8 * P, &nodes) == MPOL_DEFAULT);
	check(mode_at(p + 20 * P, &nodes) == (MPOL_PREFERRED | MPOL_F_STATIC_NODES) && nodes == 1);
	check(mode_at(NULL, &nodes) == MPOL_PREFERRED && nodes == 1);
	check(p[0] == 'x' && p[32 * P - 1] == 'x');
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
	return ok();
}
