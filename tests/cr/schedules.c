/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling policies, of processes and of a thread. */
#include "cr.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static const struct {
	int policy, priority, nice;
} all[] = {{SCHED_OTHER, 0, 7}, {SCHED_BATCH, 0, 3}, {SCHED_IDLE, 0, 0},
	   {SCHED_FIFO, 5, 0},	{SCHED_RR, 9, 0},    {SCHED_RR | SCHED_RESET_ON_FORK, 2, 0}};

static unsigned which;
static int from; /* niceness of whoever runs this, where no other is asked for */
static pthread_barrier_t barrier;

static int make(void)
{
	struct sched_param p = {all[which].priority};

	if (all[which].nice && setpriority(PRIO_PROCESS, 0, all[which].nice) < 0)
		return 1;
	return sched_setscheduler(0, all[which].policy, &p);
}

static int verify(void)
{
	struct sched_param p;

	if (sched_getscheduler(0) != all[which].policy || sched_getparam(0, &p) < 0 ||
	    p.sched_priority != all[which].priority)
		return 10;
	return getpriority(PRIO_PROCESS, 0) == (all[which].nice ?: from) ? 0 : 11;
}

static void *thread(void *arg)
{
	which = 2;
	check(make() == 0, "errno %d", errno);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	which = 2;
	check(verify() == 0);
	return NULL;
}

int main(void)
{
	struct sched_param none = {0}, one = {1};
	struct child c[ARRAY_SIZE(all)];
	pthread_t t;

	from = getpriority(PRIO_PROCESS, 0);
	if (sched_setscheduler(0, SCHED_FIFO, &one) < 0)
		skip("real-time scheduling is not allowed here");
	check(sched_setscheduler(0, SCHED_OTHER, &none) == 0);
	for (which = 0; which < ARRAY_SIZE(all); which++)
		c[which] = child_start(make, verify);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0);
	check(pthread_create(&t, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&barrier);
	ready();
	pthread_barrier_wait(&barrier);
	check(pthread_join(t, NULL) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		child_go(&c[i]);
	check(sched_getscheduler(0) == SCHED_OTHER);
	return ok();
}
