/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relative waits.  How long is left of them is noted at the dump: in IMAGE_EXTRA of the task,
 * "rests": {"TID": ns}.
 *
 * The rest is in memory where the program has asked for it.  Otherwise it follows from when the
 * thread ran last: se.exec_start of /proc/TID/sched, read before the freeze makes it run.  That is
 * a clock of the run queue (rq_clock_task()), compared with CLOCK_MONOTONIC on the same CPU.  Where
 * it stands still (interrupts, a hypervisor's other guests) the wait is longer, never shorter.
 *
 * After an earlier freeze that thread ran when it was released; then what was left is known from
 * the note that was left for us (waits_go.c).
 */
#include "state/task/waits.h"
#include "state/extra.h"

#include "base/file.h"
#include "base/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX    8192
#define CALL_MAX    256 /* nine numbers: fs/proc/base.c: proc_pid_syscall() */
#define FUTEX_OPS   0x7f
#define FUTEX_WAIT_ 0
#define STAT_CPU    36 /* number of fields between the name and "processor" in stat */

struct wait {
	int64_t begun_ns; /* CLOCK_MONOTONIC */
	uint64_t nr, args[6], pc;
};

static const struct timed timed[] = {
	{SYS_nanosleep, 0, 1, false, false},	{SYS_clock_nanosleep, 2, 3, false, false},
	{SYS_futex, 3, 0, false, false},	{SYS_poll, 2, 0, true, false},
	{SYS_epoll_wait, 3, 0, true, true},	{SYS_epoll_pwait, 3, 0, true, true},
	{SYS_epoll_pwait2, 3, 0, false, true},	{SYS_rt_sigtimedwait, 2, 0, false, true},
	{SYS_semtimedop, 3, 0, false, true},	{SYS_io_getevents, 4, 0, false, true},
	{SYS_io_pgetevents, 4, 0, false, true},
};

int64_t waits_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * WAITS_NS + t.tv_nsec;
}

/* FUTEX_WAIT_BITSET and the like, and TIMER_ABSTIME: until a moment. */
static bool is_until(uint64_t nr, const uint64_t args[6])
{
	return (nr == SYS_futex && (args[1] & FUTEX_OPS) != FUTEX_WAIT_) ||
	       (nr == SYS_clock_nanosleep && args[1] & TIMER_ABSTIME);
}

static const struct timed *timed_of(uint64_t nr, const uint64_t args[6])
{
	for (unsigned i = 0; i < ARRAY_SIZE(timed); i++)
		if (timed[i].nr == nr)
			return is_until(nr, args) ? NULL : &timed[i];
	return NULL;
}

/* Most threads wait without an end: futex(2) without a time, poll(2) for ever. */
static bool is_timed(const struct wait *w)
{
	const struct timed *k = timed_of(w->nr, w->args);

	if (!k)
		return w->nr == SYS_restart_syscall;
	return k->in_ms ? (int32_t)w->args[k->time] > 0 : w->args[k->time] != 0;
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
	*ret = waits_now() - mine;
	sched_setaffinity(0, sizeof(old), &old);
	if (ok)
		g_hash_table_insert(known, GINT_TO_POINTER(cpu), g_memdup2(ret, sizeof(*ret)));
	return ok;
}

/* What each thread waits for, side by side; few of thousands have an end in sight. */
struct waiters {
	int dir; /* of the process */
	struct pid_list tids;
	struct wait *v; /* nr -1: not for a time */
};

static void waiters_clear(struct waiters *w)
{
	pid_list_clear(&w->tids);
	g_free(w->v);
}

static void read_call(void *arg, unsigned i)
{
	struct waiters *all = arg;
	struct wait *w = &all->v[i];
	char text[CALL_MAX], name[32];

	snprintf(name, sizeof(name), "task/%d/syscall", all->tids.v[i]);
	if (file_read_piece_at(all->dir, name, text, sizeof(text)) < 0)
		err_clear();
	else if (sscanf(text, "%lu %lx %lx %lx %lx %lx %lx %*x %lx", &w->nr, &w->args[0],
			&w->args[1], &w->args[2], &w->args[3], &w->args[4], &w->args[5],
			&w->pc) == 8 &&
		 is_timed(w))
		return;
	w->nr = UINT64_MAX;
}

static void look_thread(struct dump *d, int process, pid_t tid, struct wait *w, GHashTable *offsets)
{
	autoclose int dir = -1;
	int64_t start, offset;
	int cpu;

	if (proc_open_task(process, tid, &dir) < 0 || !read_exec_start(dir, &start) ||
	    !read_cpu(dir, &cpu) || !read_offset(offsets, cpu, &offset))
		return;
	w->begun_ns = start + offset;
	g_hash_table_insert(d->waits, GINT_TO_POINTER(tid), g_memdup2(w, sizeof(*w)));
}

void waits_look(struct dump *d)
{
	g_autoptr(GHashTable) offsets = g_hash_table_new_full(NULL, NULL, NULL, g_free);

	d->waits = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (unsigned i = 0; i < d->tasks->len; i++) {
		CLEANUP(waiters_clear) struct waiters w = {.dir = dump_task(d, i)->proc.dir};
		unsigned n;

		if (dump_task(d, i)->zombie || proc_tasks(w.dir, &w.tids) < 0)
			continue;
		n = (unsigned)w.tids.n;
		w.v = g_new0(struct wait, n);
		parallel_run(n, read_call, &w);
		for (unsigned k = 0; k < n; k++)
			if (w.v[k].nr != UINT64_MAX)
				look_thread(d, w.dir, w.tids.v[k], &w.v[k], offsets);
	}
	err_clear(); /* whoever ends meanwhile does not wait */
}

const struct timed *waits_interrupted(const struct regs *r)
{
	uint64_t args[6];
	const struct timed *k;

	regs_arguments(r, args);
	k = regs_in_syscall(r) ? timed_of(regs_call(r), args) : NULL;
	return k && (k->again ? regs_will_be_again(r) : regs_need_restart_block(r)) ? k : NULL;
}

/* Since when, if it is still the call that was seen before the freeze; NULL: not known. */
static const struct wait *seen(const struct dump *d, const struct dthread *h, const struct regs *r)
{
	const struct wait *w =
		d->waits ? g_hash_table_lookup(d->waits, GINT_TO_POINTER(h->tid)) : NULL;
	uint64_t args[6];

	regs_arguments(r, args);
	return w && w->pc == regs_pc(r) && memcmp(w->args, args, 4 * sizeof(*args)) == 0 ? w : NULL;
}

int waits_rest(const struct dump *d, const struct dthread *h, const struct regs *r,
	       const struct timed *k, int64_t now, int64_t *ret_ns)
{
	const struct wait *w = seen(d, h, r);
	uint64_t args[6], place;
	struct timespec t;
	int64_t end;
	int e;

	regs_arguments(r, args);
	place = k->rest && args[k->rest] ? args[k->rest] : args[k->time];
	if (!(k->rest && args[k->rest]) && !w)
		return 1;
	if (!(k->rest && args[k->rest]) && w->nr == SYS_restart_syscall &&
	    waits_note_read(h->task->proc.pid, r, w->begun_ns, &end)) {
		*ret_ns = MAX(end - now, 1);
		return 0;
	}
	if (k->in_ms) {
		if ((int32_t)args[k->time] < 0)
			return 1;
		*ret_ns = (int64_t)(int32_t)args[k->time] * 1000000;
	} else {
		if (!place)
			return 1;
		e = task_read_memory(h->task->proc.pid, place, &t, sizeof(t));
		if (e < 0)
			return e;
		*ret_ns = ns_of(t.tv_sec, t.tv_nsec);
	}
	if (!(k->rest && args[k->rest]))
		*ret_ns -= now - w->begun_ns;
	*ret_ns = MAX(*ret_ns, 1);
	return 0;
}

int waits_dump(struct dump *d, struct dthread *h)
{
	unsigned i = (unsigned)(h - h->task->threads);
	const struct regs *r = &seized_at(&h->task->seized, i)->regs;
	const struct timed *k = waits_interrupted(r);
	int64_t ns;
	int e = k ? waits_rest(d, h, r, k, d->frozen_ns, &ns) : 1;

	if (e != 0) { /* then all of it again */
		err_clear();
		return 0;
	}
	extra_set(h->task->extra, "rests", (uint32_t)h->nstid, json_integer(ns));
	return 0;
}

void waits_freeze(struct dump *d)
{
	d->frozen_ns = waits_now();
}
