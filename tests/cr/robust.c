/* SPDX-License-Identifier: Apache-2.0 */
/* A robust mutex whose owner dies after the restore is handed on; rseq still tells the CPU. */
#include "cr.h"

#include <pthread.h>
#include <sched.h>

static pthread_mutex_t *m;

static int child_locks(void)
{
	return pthread_mutex_lock(m);
}

static int child_dies(void)
{
	return 0; /* with the mutex held */
}

int main(void)
{
	pthread_mutexattr_t a;
	struct child c;

	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	c = child_start(child_locks, child_dies);
	check(pthread_mutex_trylock(m) == EBUSY);
	ready();
	check(pthread_mutex_trylock(m) == EBUSY);
	child_go(&c);
	check(pthread_mutex_lock(m) == EOWNERDEAD, "the kernel walked the robust list");
	check(sched_getcpu() >= 0);
	return ok();
}
