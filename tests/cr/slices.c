/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Less usual modes of threads: slices of the fair scheduler (Linux 6.12), CPUID as a fault
 * (arch_prctl(2)) and RDTSC as one, of the process, that all its memory may be merged (KSM), and of
 * the session, how nice it is as a whole.
 */
#include "cr.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#define SLICE_NS	     333333
#define PR_SET_MEMORY_MERGE_ 67
#define PR_GET_MEMORY_MERGE_ 68

struct attr { /* struct sched_attr */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static pthread_barrier_t b;
static int faults, merges;

static struct attr get(void)
{
	struct attr a = {0};

	check(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) == 0);
	return a;
}

static void set(uint32_t policy, int nice)
{
	struct attr a = {.size = sizeof(a), .policy = policy, .nice = nice, .runtime = SLICE_NS};

	check(syscall(SYS_sched_setattr, 0, &a, 0) == 0, "sched_setattr");
}

static long cpuid_allowed(void)
{
	return syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0);
}

static int tsc_mode(void)
{
	int mode = 0;

	check(prctl(PR_GET_TSC, &mode) == 0);
	return mode;
}

static void *thread(void *arg)
{
	uint64_t slice;

	faults = syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) == 0; /* ENODEV: not this CPU */
	check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
	set(SCHED_BATCH, 3);
	slice = get().runtime; /* 0 before Linux 6.12 */
	pthread_barrier_wait(&b);
	pthread_barrier_wait(&b);
	check(get().runtime == slice && get().nice == 3, "%lu was %lu", get().runtime, slice);
	check(get().policy == SCHED_BATCH);
	check(cpuid_allowed() == !faults, "CPUID: %ld", cpuid_allowed());
	check(tsc_mode() == PR_TSC_SIGSEGV && prctl(PR_SET_TSC, PR_TSC_ENABLE) == 0);
	return NULL;
}

/* "/autogroup-5 nice 3"; 0: the kernel has none. */
static int group_nice(void)
{
	FILE *f = fopen("/proc/self/autogroup", "re");
	int nice = 0;

	if (f) {
		check(fscanf(f, "/autogroup-%*d nice %d", &nice) == 1, "no autogroup");
		fclose(f);
	}
	return nice;
}

static void set_group_nice(const char *text)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	check(fd < 0 || write(fd, text, strlen(text)) > 0, "errno %d", errno);
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	int nice;
	uint64_t slice;
	pthread_t t;

	check(pthread_barrier_init(&b, NULL, 2) == 0);
	check(pthread_create(&t, NULL, thread, NULL) == 0);
	pthread_barrier_wait(&b);
	set(SCHED_OTHER, 0);
	slice = get().runtime;
	set_group_nice("7");
	nice = group_nice();
	merges = prctl(PR_SET_MEMORY_MERGE_, 1, 0, 0, 0) == 0;
	ready();
	check(get().runtime == slice, "%lu was %lu", get().runtime, slice);
	check(cpuid_allowed() == 1 && tsc_mode() == PR_TSC_ENABLE);
	check(group_nice() == nice, "%d was %d", group_nice(), nice);
	check(prctl(PR_GET_MEMORY_MERGE_, 0, 0, 0, 0) == (merges ? 1 : 0) || !merges, "KSM");
	pthread_barrier_wait(&b);
	check(pthread_join(t, NULL) == 0);
	return ok();
}
