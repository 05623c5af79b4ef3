/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs, I/O priority, niceness, modes of prctl(2), personality, timer slack, coredump_filter, who
 * logged in: of a process and of a thread.
 */
#include "cr.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#define IDLE (3 << 13)

static pthread_barrier_t b;

static int cpus(cpu_set_t *s)
{
	CPU_ZERO(s);
	check(sched_getaffinity(0, sizeof(*s), s) == 0, "affinity");
	return CPU_COUNT(s);
}

static int only(cpu_set_t *all, int which)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, all) && which-- == 0) {
			CPU_SET(cpu, &one);
			check(sched_setaffinity(0, sizeof(one), &one) == 0, "affinity");
			return cpu;
		}
	return -1;
}

static void *thread(void *all)
{
	cpu_set_t s;
	int cpu = only(all, 0);

	check(syscall(SYS_ioprio_set, 1, 0, IDLE) == 0, "ioprio");
	check(prctl(PR_SET_TIMERSLACK, 50000) == 0 && personality(UNAME26) >= 0);
	pthread_barrier_wait(&b);
	pthread_barrier_wait(&b);
	check(cpus(&s) == 1 && CPU_ISSET(cpu, &s), "CPUs of the thread");
	check(syscall(SYS_ioprio_get, 1, 0) == IDLE, "%ld", syscall(SYS_ioprio_get, 1, 0));
	check(prctl(PR_GET_TIMERSLACK) == 50000, "%d", prctl(PR_GET_TIMERSLACK));
	check(personality(0xffffffff) == UNAME26, "personality");
	return NULL;
}

/* Once set it stays: only where nobody has logged in, and with an audit system. */
static bool log_in(const char *as, bool verify)
{
	int fd = open("/proc/self/loginuid", verify ? O_RDONLY : O_WRONLY);
	char text[16] = "";
	bool r;

	if (verify)
		r = read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, as) == 0;
	else
		r = write(fd, as, strlen(as)) > 0;
	close(fd);
	return r;
}

/* Each for itself, as they have nothing to do with each other; none: the kernel has no such. */
static int forbid_new_code(void)
{
	prctl(65 /* PR_SET_MDWE */, 1 /* PR_MDWE_REFUSE_EXEC_GAIN */, 0, 0, 0);
	return 0;
}

static int has_no_new_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int mode = prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0);

	return mode < 0 || (mode == 1 && mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0) ? 0 : 10;
}

/* The dump's own memory that may be written may not be code then, and what may be read is. */
static int forbid_new_code_of_what_is_read(void)
{
	return personality(READ_IMPLIES_EXEC) < 0 ? 1 : forbid_new_code();
}

static int has_no_new_code_of_what_is_read(void)
{
	return personality(0xffffffff) != READ_IMPLIES_EXEC ? 11 : has_no_new_code();
}

static int thp_mode;

static int disable_thp(void)
{
	return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static int disable_thp_unless_advised(void)
{
	prctl(PR_SET_THP_DISABLE, 1, 2 /* PR_THP_DISABLE_EXCEPT_ADVISED */, 0, 0);
	thp_mode = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	return 0;
}

static int has_no_thp(void)
{
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1 ? 0 : 10;
}

static int has_thp_if_advised(void)
{
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == thp_mode ? 0 : 10;
}

/* What few kernels or machines have: it is afterwards as they made it. */
#define SPECIALS 4
static int special[SPECIALS];

static void specials(int v[SPECIALS])
{
	v[0] = prctl(68 /* PR_GET_MEMORY_MERGE */, 0, 0, 0, 0);
	v[1] = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
	v[2] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0);
	v[3] = (int)syscall(SYS_arch_prctl, 0x1011 /* ARCH_GET_CPUID */, 0);
}

static int be_special(void)
{
	prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0);
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE, 0, 0);
	syscall(SYS_arch_prctl, 0x1012 /* ARCH_SET_CPUID */, 0);
	specials(special);
	return 0;
}

static int is_special(void)
{
	int now[SPECIALS];

	specials(now);
	for (int i = 0; i < SPECIALS; i++)
		if (now[i] != special[i])
			return 20 + i;
	return 0;
}

static unsigned filter(void)
{
	FILE *f = fopen("/proc/self/coredump_filter", "r");
	unsigned v;

	check(f && fscanf(f, "%x", &v) == 1, "coredump_filter");
	fclose(f);
	return v;
}

int main(void)
{
	cpu_set_t all, s;
	pthread_t t;
	FILE *f = fopen("/proc/self/coredump_filter", "w");
	int cpu, ssb;
	bool logged;
	struct child c[] = {
		child_start(forbid_new_code, has_no_new_code),
		child_start(forbid_new_code_of_what_is_read, has_no_new_code_of_what_is_read),
		child_start(disable_thp, has_no_thp), child_start(be_special, is_special),
		child_start(disable_thp_unless_advised, has_thp_if_advised)};

	if (cpus(&all) < 2)
		skip("one CPU only");
	check(f && fputs("0x7f", f) >= 0 && fclose(f) == 0, "coredump_filter");
	logged = log_in("1000", false);
	check(prctl(PR_SET_TIMERSLACK, 123456) == 0 && personality(ADDR_NO_RANDOMIZE) >= 0);
	pthread_barrier_init(&b, NULL, 2);
	pthread_create(&t, NULL, thread, &all);
	cpu = only(&all, 1);
	check(syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 3) == 0, "ioprio");
	check(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0, "mce_kill");
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	ssb = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	pthread_barrier_wait(&b);
	ready();
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
	check(cpus(&s) == 1 && CPU_ISSET(cpu, &s), "CPUs");
	check(syscall(SYS_ioprio_get, 1, 0) == ((2 << 13) | 3), "%ld",
	      syscall(SYS_ioprio_get, 1, 0));
	check(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY, "mce_kill");
	check(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) == ssb, "store bypass");
	check(filter() == 0x7f, "coredump_filter %x", filter());
	check(prctl(PR_GET_TIMERSLACK) == 123456, "%d", prctl(PR_GET_TIMERSLACK));
	check(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "personality");
	check(!logged || log_in("1000", true), "loginuid");
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
		child_go(&c[i]);
	return ok();
}
