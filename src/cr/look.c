/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing stands still while we look: a task that just ends or executes another program shows
 * things that no task at rest has.  Of one that ends nothing counts.  What else is wrong is wrong
 * each time; for what passes by itself (a connection that waits to be accepted, a parent in
 * vfork(2)) we wait longer.
 */
#include "cr/look.h"

#include "base/log.h"
#include "kernel/procmisc.h"
#include "state/task/traced.h"
#include "state/tree.h"

#include <errno.h>
#include <fcntl.h>

#define LOOKS		5
#define PATIENT_LOOKS	50
#define PATIENT_WAIT_US 10000

int look_at(struct dump *d, struct dtask *t, int (*check)(struct dump *d, struct dtask *t))
{
	size_t before = d->refused->len;
	bool lasting = d->lasting;
	int r = check(d, t);

	if ((r < 0 || d->refused->len > before) && task_is_ending(t)) {
		g_string_truncate(d->refused, before);
		d->lasting = lasting;
		err_clear();
		return 0;
	}
	if (r == -ESRCH || r == -ENOENT) { /* it has executed another program */
		err_clear();
		return 0;
	}
	return r;
}

/* Who it is, and what helps. */
static int refuse_tracer(const struct dump *d, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	g_autofree char *path = g_strdup_printf("/proc/%d", tid);
	autoclose int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[64] = "?";

	if (dir < 0 || procstatus_read(dir, &s) < 0 || proc_comm(dir, name) < 0)
		err_clear();
	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (t->pid == s.tgid)
			return err_set(EOPNOTSUPP,
				       "process %d (%s) traces it; end that one, or let it detach",
				       t->nspid, t->stat.comm);
	}
	return err_set(EOPNOTSUPP,
		       "process %d (%s), which is not of the tree, traces it; end that one, or let "
		       "it detach",
		       s.tgid ?: tid, name);
}

/* 0: it can be taken from its tracer, and given back. */
static int check_tracer(struct dump *d, const struct dtask *t, const struct thread_seen *h)
{
	int r = traced_check(d, t, h);

	if (r == -EOPNOTSUPP || r == -EAGAIN) {
		g_autofree char *why = g_strdup(err_message());
		g_autofree char *who = NULL;

		if (refuse_tracer(d, h->tracer) < 0)
			who = g_strdup(err_message());
		r = err_set(-r, "%s (%s)", who, why);
	}
	return r < 0 && h->tid != t->proc.pid ? err_wrap(r, "thread %d", h->own_tid) : r;
}

/* A tracer has threads, each by itself. */
static int check_threads(struct dump *d, const struct dtask *t)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < dtask_nthreads(t); i++) {
		const struct thread_seen *h = dtask_seen(t, i);

		if (h->tracer)
			r = dump_refuse(d, dtask_wrap(t, check_tracer(d, t, h)));
	}
	return r;
}

/* Of a dead one the tracer is told first, and only then its parent (kernel/exit.c:
 * wait_consider_task()); who is both is told once, as any parent. */
static bool awaits_tracer(const struct dtask *t)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};

	if (procstatus_read_thread(t->status.tracer, t->status.tracer, &s) < 0) {
		err_clear();
		return false;
	}
	return s.tgid != t->stat.ppid;
}

int look_tracers(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (t->status.tracer && t->zombie && awaits_tracer(t))
			r = dump_refuse(d, dtask_wrap(t, refuse_tracer(d, t->status.tracer)));
		if (r == 0 && !t->zombie)
			r = check_threads(d, t);
	}
	return r;
}

int look_patiently(struct dump *d, int (*look)(struct dump *d))
{
	int r = 0;

	for (unsigned i = 0; i < (d->lasting ? LOOKS : PATIENT_LOOKS); i++) {
		if (i >= LOOKS)
			g_usleep(PATIENT_WAIT_US);
		g_string_truncate(d->refused, 0);
		d->lasting = false;
		g_hash_table_remove_all(d->scouted);
		r = look(d);
		if (r >= 0 && !d->refused->len)
			break;
		d->lasting |= r < 0;
		log_debug("dump: look %u: %s", i, r < 0 ? err_message() : d->refused->str);
	}
	return r;
}
