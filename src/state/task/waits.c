/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relative waits: nanosleep(2), poll(2), futex(2) with a time to wait.  The kernel keeps their end
 * in restart_block, which nothing shows and another task does not have.  At restore the call is
 * begun again, for the rest of the time, and interrupted at once, which leaves a restart_block as
 * it was.
 *
 * The rest is in memory where the program has asked for it.  Otherwise it follows from when the
 * thread ran last: se.exec_start of /proc/TID/sched, read before the freeze makes it run.  That is
 * a clock of the run queue (rq_clock_task()), compared with CLOCK_MONOTONIC on the same CPU.  Where
 * it stands still (interrupts, a hypervisor's other guests) the wait is longer, never shorter.
 *
 * In IMAGE_EXTRA of the task: "waits": {"TID": ns since the call began}.
 */
#include "state/task/task.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX      8192
#define FUTEX_OPS     0x7f
#define FUTEX_WAIT_   0
#define STAT_CPU      36 /* number of fields between the name and "processor" in stat */
#define NS	      INT64_C(1000000000)
#define SYSCALL_BYTES 2
#define RED_ZONE      128

struct wait {
	int64_t begun_ns; /* CLOCK_MONOTONIC */
	uint64_t nr, args[6], pc;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS + t.tv_nsec;
}

/* Most threads wait without an end: futex(2) without a time, poll(2) for ever. */
static bool is_timed(const struct wait *w)
{
	switch (w->nr) {
	case SYS_futex:
		return w->args[3] != 0;
	case SYS_poll:
		return (int32_t)w->args[2] > 0;
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_restart_syscall:
		return true;
	}
	return false;
}

/* "se.exec_start   :   1234.567890", in ms. */
static bool read_exec_start(int dir, int64_t *ret_ns)
{
	g_autofree char *text = NULL;
	const char *at;
	long ms, ns;

	if (file_read_at(dir, "sched", TEXT_MAX, &text, NULL) < 0) {
		err_clear(); /* CONFIG_SCHED_DEBUG */
		return false;
	}
	at = strstr(text, "se.exec_start");
	at = at ? strchr(at, ':') : NULL;
	if (!at || sscanf(at + 1, "%ld.%6ld", &ms, &ns) != 2)
		return false;
	*ret_ns = ms * 1000000 + ns;
	return true;
}

static bool read_cpu(int dir, int *ret)
{
	g_autofree char *text = NULL;
	const char *at;

	if (file_read_at(dir, "stat", TEXT_MAX, &text, NULL) < 0) {
		err_clear();
		return false;
	}
	at = strrchr(text, ')');
	for (unsigned i = 0; at && i <= STAT_CPU; i++)
		at = strchr(at + 1, ' ');
	*ret = at ? atoi(at) : -1;
	return *ret >= 0 && *ret < CPU_SETSIZE;
}

/* CLOCK_MONOTONIC minus the clock of a CPU's run queue; by running there. */
static bool read_offset(GHashTable *known, int cpu, int64_t *ret)
{
	int64_t *had = g_hash_table_lookup(known, GINT_TO_POINTER(cpu)), mine = 0;
	autoclose int dir = -1;
	cpu_set_t old, one;
	bool ok;

	if (had) {
		*ret = *had;
		return true;
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_getaffinity(0, sizeof(old), &old) < 0 ||
	    sched_setaffinity(0, sizeof(one), &one) < 0)
		return false;
	sched_yield(); /* brings it up to date */
	dir = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok = dir >= 0 && read_exec_start(dir, &mine);
	*ret = now_ns() - mine;
	sched_setaffinity(0, sizeof(old), &old);
	if (ok)
		g_hash_table_insert(known, GINT_TO_POINTER(cpu), g_memdup2(ret, sizeof(*ret)));
	return ok;
}

static void look_thread(struct dump *d, const struct dtask *t, pid_t tid, GHashTable *offsets)
{
	g_autofree char *text = NULL;
	autoclose int dir = -1;
	struct wait w;
	int64_t start, offset;
	char name[32];
	int cpu;

	snprintf(name, sizeof(name), "task/%d/syscall", tid);
	if (file_read_at(t->proc.dir, name, TEXT_MAX, &text, NULL) < 0 ||
	    sscanf(text, "%lu %lx %lx %lx %lx %lx %lx %*x %lx", &w.nr, &w.args[0], &w.args[1],
		   &w.args[2], &w.args[3], &w.args[4], &w.args[5], &w.pc) != 8 ||
	    !is_timed(&w) || proc_open_task(t->proc.dir, tid, &dir) < 0 ||
	    !read_exec_start(dir, &start) || !read_cpu(dir, &cpu) ||
	    !read_offset(offsets, cpu, &offset))
		return;
	w.begun_ns = start + offset;
	g_hash_table_insert(d->waits, GINT_TO_POINTER(tid), g_memdup2(&w, sizeof(w)));
}

void waits_look(struct dump *d)
{
	g_autoptr(GHashTable) offsets = g_hash_table_new_full(NULL, NULL, NULL, g_free);

	d->waits = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (unsigned i = 0; i < d->tasks->len; i++) {
		CLEANUP(pid_list_clear) struct pid_list tids = {0};
		struct dtask *t = dump_task(d, i);

		if (t->zombie || proc_tasks(t->proc.dir, &tids) < 0)
			continue;
		for (size_t k = 0; k < tids.n; k++)
			look_thread(d, t, tids.v[k], offsets);
	}
	err_clear(); /* whoever ends meanwhile does not wait */
}

int waits_dump(struct dump *d, struct dthread *h)
{
	unsigned i = (unsigned)(h - h->task->threads);
	const struct user_regs_struct *g = &seized_at(&h->task->seized, i)->regs.gp;
	const struct wait *w =
		d->waits ? g_hash_table_lookup(d->waits, GINT_TO_POINTER(h->tid)) : NULL;
	json_t *all = json_object_get(h->task->extra, "waits");
	char tid[16];

	/* still the same call, only interrupted by us */
	if (!w || !regs_need_restart_block(&seized_at(&h->task->seized, i)->regs) ||
	    w->pc != g->rip || w->args[0] != g->rdi || w->args[1] != g->rsi ||
	    w->args[2] != g->rdx || w->args[3] != g->r10)
		return 0;
	if (!all)
		json_object_set_new(h->task->extra, "waits", all = json_object());
	g_snprintf(tid, sizeof(tid), "%d", h->nstid);
	json_object_set_new(all, tid, json_integer(MAX(d->frozen_ns - w->begun_ns, 0)));
	return 0;
}

void waits_freeze(struct dump *d)
{
	d->frozen_ns = now_ns();
}

/* How each of the calls has its time. */
static const struct timed {
	uint64_t nr;
	size_t time, rest; /* registers; REST 0: nothing is written */
	bool in_ms;	   /* the register itself */
} timed[] = {
#define REG(r) offsetof(struct user_regs_struct, r)
	{SYS_nanosleep, REG(rdi), REG(rsi), false},
	{SYS_clock_nanosleep, REG(rdx), REG(r10), false},
	{SYS_futex, REG(r10), 0, false},
	{SYS_poll, REG(rdx), 0, true},
#undef REG
};

static unsigned long long *reg(struct regs *r, size_t offset)
{
	return (unsigned long long *)(void *)((char *)&r->gp + offset);
}

static const struct timed *timed_of(const struct regs *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(timed); i++)
		if (timed[i].nr == r->gp.orig_rax) /* FUTEX_WAIT_BITSET: until a moment */
			return r->gp.orig_rax == SYS_futex && (r->gp.rsi & FUTEX_OPS) != FUTEX_WAIT_
				       ? NULL
				       : &timed[i];
	return NULL;
}

/* The rest of the time.  1: not known. */
static int rest_of(const struct rthread *h, const struct timed *k, struct regs *r, int64_t *ret_ns)
{
	json_t *waits = json_object_get(h->task->extra, "waits"), *waited;
	uint64_t rest_at = k->rest ? *reg(r, k->rest) : 0;
	struct timespec t;
	char tid[16];
	int e;

	g_snprintf(tid, sizeof(tid), "%d", h->nstid);
	waited = json_object_get(waits, tid);
	if (!rest_at && !waited)
		return 1;
	if (k->in_ms && (int32_t)*reg(r, k->time) < 0) /* without an end */
		return 1;
	if (k->in_ms) {
		*ret_ns = (int64_t)(int32_t)*reg(r, k->time) * 1000000;
	} else {
		e = task_read_memory(rtask_pid(h->task), rest_at ? rest_at : *reg(r, k->time), &t,
				     sizeof(t));
		if (e < 0)
			return e;
		*ret_ns = (int64_t)t.tv_sec * NS + t.tv_nsec;
	}
	if (!rest_at)
		*ret_ns -= (int64_t)json_integer_value(waited);
	*ret_ns = MAX(*ret_ns, 1);
	return 0;
}

/* Arguments for NS; where they are in memory goes to *AT, below the red zone. */
static int set_time(pid_t pid, const struct timed *k, struct regs *r, int64_t ns, uint64_t *ret_at,
		    struct timespec *ret_was)
{
	struct timespec t = {.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};
	int e;

	*ret_at = 0;
	if (k->in_ms) {
		*reg(r, k->time) = (unsigned long long)((ns + 999999) / 1000000);
		return 0;
	}
	*ret_at = (regs_sp(r) - RED_ZONE - sizeof(t)) & ~UINT64_C(15);
	e = task_read_memory(pid, *ret_at, ret_was, sizeof(*ret_was));
	if (e == 0)
		e = task_write_memory(pid, *ret_at, &t, sizeof(t));
	*reg(r, k->time) = *ret_at;
	return e;
}

int waits_restore(struct rthread *h, struct regs *r)
{
	const struct timed *k = regs_need_restart_block(r) ? timed_of(r) : NULL;
	pid_t pid = rtask_pid(h->task), tid = agent_tid(h->task->restore->agent, h->slot);
	struct regs begin = *r;
	struct timespec was;
	uint64_t at;
	int64_t ns, result;
	int e = k ? rest_of(h, k, r, &ns) : 1;

	if (e == 0)
		e = set_time(pid, k, &begin, ns, &at, &was);
	if (e != 0) { /* then all of it again */
		err_clear();
		return 0;
	}
	regs_set_pc(&begin, regs_pc(r) - SYSCALL_BYTES);
	begin.gp.rax = r->gp.orig_rax;
	begin.gp.orig_rax = (uint64_t)-1;
	e = ptrace_interrupted_syscall(tid, &begin, &result);
	if (e == 0 && at)
		e = task_write_memory(pid, at, &was, sizeof(was));
	if (e < 0)
		return err_wrap(e, "thread %d: its wait", h->nstid);
	r->gp.rax = (uint64_t)result;
	regs_fix(r, REGS_CURE); /* what it waited for may be there */
	return 0;
}
