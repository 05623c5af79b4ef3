/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CRIU's records have no place for, in IMAGE_EXTRA: which CPUs a thread may use, its I/O
 * priority, modes of prctl(2), whether CPUID and RDTSC are faults, and what a core file of the
 * process would hold.  Only what differs from how every task begins is recorded.
 */
#include "state/extra.h"
#include "state/task/task.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/procmisc.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

#ifndef PR_SET_MEMORY_MERGE /* Linux 6.4 */
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

#define THP_EXCEPT_ADVISED (1 << 1) /* PR_THP_DISABLE_EXCEPT_ADVISED, Linux 6.18 */

#define CPUS_MAX	    8192 /* CONFIG_NR_CPUS of any distribution */
#define CPU_WORDS	    (CPUS_MAX / 64)
#define IOPRIO_WHO_PROCESS_ 1
#define COREDUMP_DEFAULT    0x33 /* fs/coredump.c; dump_filter of the kernel's command line */

/* Modes that are read by one option and set by another, with nothing but a number. */
static const struct {
	const char *name;
	int get, set, which; /* WHICH: first argument of both, -1: none */
	int unset;	     /* how tasks begin */
	int needed;	     /* bits without which it cannot be set */
	int mask;	     /* bits that are set again */
} modes[] = {
	{"ksm", PR_GET_MEMORY_MERGE, PR_SET_MEMORY_MERGE, -1, 0, 0, ~0},
	{"mdwe", PR_GET_MDWE, PR_SET_MDWE, -1, 0, 0, ~0},
	/* without it the record of the memory tells (has_thp_disabled) */
	{"thp_disable", PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, 1, 0, THP_EXCEPT_ADVISED,
	 THP_EXCEPT_ADVISED},
	{"io_flusher", PR_GET_IO_FLUSHER, PR_SET_IO_FLUSHER, -1, 0, 0, ~0},
	{"timerslack", PR_GET_TIMERSLACK, PR_SET_TIMERSLACK, -1, 0, 0,
	 ~0}, /* others' than the first */
	{"mce_kill", PR_MCE_KILL_GET, PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_DEFAULT, 0, ~0},
	{"store_bypass", PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS,
	 PR_SPEC_PRCTL | PR_SPEC_ENABLE, PR_SPEC_PRCTL,
	 PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC},
	{"indirect_branch", PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL,
	 PR_SPEC_INDIRECT_BRANCH, PR_SPEC_PRCTL | PR_SPEC_ENABLE, PR_SPEC_PRCTL,
	 PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC},
};

static void put(struct dthread *h, const char *name, json_t *value)
{
	json_t *mine = extra_get(h->task->extra, "attributes", (uint32_t)h->nstid);

	if (!mine)
		extra_set(h->task->extra, "attributes", (uint32_t)h->nstid, mine = json_object());
	json_object_set_new(mine, name, value);
}

/* sched_getaffinity(2) gives only CPUs that are online and in the cpuset. */
static int cpus_of(pid_t tid, uint64_t words[CPU_WORDS])
{
	memset(words, 0, CPU_WORDS * sizeof(*words));
	if (syscall(SYS_sched_getaffinity, tid, CPU_WORDS * sizeof(*words), words) < 0)
		return err_errno("CPUs of thread %d", tid);
	return 0;
}

static json_t *cpus_json(const uint64_t words[CPU_WORDS])
{
	json_t *list = json_array();

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		if (words[cpu / 64] & UINT64_C(1) << cpu % 64)
			json_array_append_new(list, json_integer(cpu));
	return list;
}

static unsigned online;

static void count_online(void)
{
	online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Whoever may use all CPUs that are there may use all of another host's. */
static int dump_cpus(struct dthread *h)
{
	uint64_t words[CPU_WORDS];
	static pthread_once_t once = PTHREAD_ONCE_INIT; /* it reads files of sysfs */
	unsigned n = 0;
	int r = cpus_of(h->tid, words);

	pthread_once(&once, count_online);
	for (unsigned i = 0; r == 0 && i < CPU_WORDS; i++)
		n += (unsigned)__builtin_popcountll(words[i]);
	if (r == 0 && n < online)
		put(h, "cpus", cpus_json(words));
	return r;
}

static void dump_modes(struct dthread *h, const struct answers *a, const int *ops)
{
	int64_t slack = json_integer_value(json_object_get(h->task->extra, "timerslack_ns"));

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		int64_t v = answer(a, ops[i]);
		int64_t unset = modes[i].get == PR_GET_TIMERSLACK ? slack : modes[i].unset;

		if (v >= 0 && v != unset && (v & modes[i].needed) == modes[i].needed &&
		    (v & modes[i].mask))
			put(h, modes[i].name, json_integer(v & modes[i].mask));
	}
}

struct ops {
	int modes[ARRAY_SIZE(modes)], personality, cpuid;
	int tsc; /* what PR_GET_TSC tells */
};

static int attributes_ask(struct dthread *h, struct batch *b, void *data)
{
	struct ops *ops = data;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		bool which = modes[i].get == PR_GET_SPECULATION_CTRL;

		ops->modes[i] = batch_add(b, SYS_prctl, IMM(modes[i].get),
					  IMM(which ? modes[i].which : 0), IMM(0), IMM(0), IMM(0));
		batch_may_fail(b, ops->modes[i]);
	}
	ops->personality = batch_add(b, SYS_personality, IMM(0xffffffff));
	ops->cpuid = batch_add(b, SYS_arch_prctl, IMM(ARCH_GET_CPUID), IMM(0));
	batch_may_fail(b, ops->cpuid);
	batch_may_fail(b, batch_add(b, SYS_prctl, IMM(PR_GET_TSC),
				    batch_out(b, &ops->tsc, sizeof(ops->tsc))));
	return 0;
}

/* How nice a session is as a whole (sched(7)): "/autogroup-17 nice 5". */
static void dump_autogroup(struct dthread *h)
{
	g_autofree char *text = NULL;
	const char *nice;

	if (file_read_at(h->task->proc.dir, "autogroup", 128, &text, NULL) < 0) {
		err_clear(); /* without CONFIG_SCHED_AUTOGROUP */
		return;
	}
	nice = strstr(text, " nice ");
	if (nice && strtol(nice + strlen(" nice "), NULL, 10) != 0)
		put(h, "autogroup", json_integer(strtol(nice + strlen(" nice "), NULL, 10)));
}

static int attributes_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	const struct ops *ops = a->data;
	long ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS_, h->tid);
	uint32_t filter;
	int r = dump_cpus(h);

	if (r < 0)
		return r;
	dump_modes(h, a, ops->modes);
	h->core->thread_core->has_personality = true;
	h->core->thread_core->personality = (uint32_t)answer(a, ops->personality);
	if ((uint32_t)answer(a, ops->personality) != h->task->core->tc->personality)
		put(h, "personality", json_integer((json_int_t)answer(a, ops->personality)));
	if (answer(a, ops->cpuid) == 0)
		put(h, "cpuid_faults", json_true());
	if (ops->tsc == PR_TSC_SIGSEGV)
		put(h, "tsc_faults", json_true());
	/* The class alone tells whether it was set: what is inherited from nice(2) is class 0. */
	if (ioprio > 0 && ioprio >> 13)
		put(h, "ioprio", json_integer(ioprio));
	if (h == h->task->threads && proc_coredump_filter(h->task->proc.dir, &filter) == 0 &&
	    filter != COREDUMP_DEFAULT)
		put(h, "coredump_filter", json_integer(filter));
	if (h == h->task->threads && h->task->nspid == h->task->nssid)
		dump_autogroup(h);
	return 0;
}

const struct question attributes_question = {
	.bytes = sizeof(struct ops),
	.ask = attributes_ask,
	.take = attributes_take,
};

/* Another host may not have these CPUs: worth a word, not a failure. */
static void restore_cpus(const struct rthread *h, pid_t tid, const json_t *list)
{
	uint64_t words[CPU_WORDS] = {0};
	json_t *cpu;
	size_t i;

	json_array_foreach(list, i, cpu)
	{
		json_int_t n = json_integer_value(cpu);

		if (n >= 0 && n < CPUS_MAX)
			words[n / 64] |= UINT64_C(1) << n % 64;
	}
	if (syscall(SYS_sched_setaffinity, tid, sizeof(words), words) < 0)
		log_warn("thread %d may use all CPUs: those that it used are not here", h->nstid);
}

static void tell_modes(struct batch *b, const json_t *mine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		const json_t *v = json_object_get(mine, modes[i].name);

		if (!v)
			continue;
		if (modes[i].which < 0)
			batch_add(b, SYS_prctl, IMM(modes[i].set), IMM(json_integer_value(v)),
				  IMM(0), IMM(0), IMM(0));
		else
			batch_add(b, SYS_prctl, IMM(modes[i].set), IMM(modes[i].which),
				  IMM(json_integer_value(v)), IMM(0), IMM(0));
	}
	if (json_object_get(mine, "personality"))
		batch_add(b, SYS_personality,
			  IMM((uint32_t)json_integer_value(json_object_get(mine, "personality"))));
	if (json_object_get(mine, "cpuid_faults"))
		batch_add(b, SYS_arch_prctl, IMM(ARCH_SET_CPUID), IMM(0));
	if (json_object_get(mine, "tsc_faults"))
		batch_add(b, SYS_prctl, IMM(PR_SET_TSC), IMM(PR_TSC_SIGSEGV));
}

static int poke(pid_t pid, const char *name, const char *text)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(pid, &p);

	return r < 0 ? r : file_poke_at(p.dir, name, text);
}

static int restore_coredump_filter(pid_t pid, const json_t *filter)
{
	char text[32];

	g_snprintf(text, sizeof(text), "%#x", (unsigned)json_integer_value(filter));
	return poke(pid, "coredump_filter", text);
}

/* Another kernel may not know groups: worth a word, not a failure. */
static void restore_autogroup(const struct rthread *h, pid_t pid, const json_t *nice)
{
	char text[32];

	g_snprintf(text, sizeof(text), "%d", (int)json_integer_value(nice));
	if (poke(pid, "autogroup", text) < 0) {
		log_warn("session %d is not as nice as it was: %s", h->nstid, err_message());
		err_clear();
	}
}

int attributes_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	const json_t *mine = extra_get(h->task->extra, "attributes", (uint32_t)h->nstid), *v;
	pid_t pid = agent_tid(r->agent, h->slot);
	int ret;

	if (!mine)
		return 0;
	v = json_object_get(mine, "cpus");
	if (v)
		restore_cpus(h, pid, v);
	v = json_object_get(mine, "ioprio");
	if (v && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS_, pid, (int)json_integer_value(v)) < 0)
		return err_errno("I/O priority of thread %d", h->nstid);
	v = json_object_get(mine, "coredump_filter");
	ret = v ? restore_coredump_filter(pid, v) : 0;
	v = json_object_get(mine, "autogroup");
	if (v)
		restore_autogroup(h, pid, v);
	tell_modes(b, mine);
	return ret;
}
