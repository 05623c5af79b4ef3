/* SPDX-License-Identifier: Apache-2.0 */
/* SCHED_DEADLINE, of a thread. */
#include "cr.h"

#include <pthread.h>

struct attr { /* struct sched_attr of sched_setattr(2) */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static pthread_barrier_t b;

static void *thread(void *arg)
{
	struct attr a = {.size = sizeof(a),
			 .policy = 6,
			 .flags = 1 | 4, /* SCHED_FLAG_RESET_ON_FORK, _DL_OVERRUN */
			 .runtime = 2000000,
			 .deadline = 10000000,
			 .period = 20000000},
		    now;
	bool *can = arg;

	*can = syscall(SYS_sched_setattr, 0, &a, 0) == 0;
	pthread_barrier_wait(&b);
	pthread_barrier_wait(&b);
	check(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) == 0);
	check(!*can || (now.policy == 6 && now.runtime == a.runtime && now.deadline == a.deadline &&
			now.period == a.period && now.flags == a.flags),
	      "policy %u, flags %#lx, %lu %lu %lu", now.policy, now.flags, now.runtime,
	      now.deadline, now.period);
	return NULL;
}

int main(void)
{
	pthread_t t;
	bool can;

	pthread_barrier_init(&b, NULL, 2);
	pthread_create(&t, NULL, thread, &can);
	pthread_barrier_wait(&b);
	if (!can)
		skip("no SCHED_DEADLINE here: no bandwidth, or fewer CPUs than there are");
	ready();
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
	return ok();
}
