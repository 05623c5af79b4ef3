/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a process as a look before the freeze sees them.  Listing thousands takes
 * milliseconds, and reading what /proc says of them ten times that: both are done once in a look,
 * and the reading side by side.
 */
#include "state/tree.h"

#include "base/parallel.h"
#include "state/task/levels.h"

#include <errno.h>

struct reading {
	const struct dtask *t;
	struct thread_seen *v;
};

static void read_one(void *arg, unsigned i)
{
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	struct reading *all = arg;
	struct thread_seen *h = &all->v[i];

	if (procstatus_read_task(all->t->proc.dir, h->tid, &s) < 0) {
		err_clear();
		return; /* it has ended */
	}
	h->nstid = level_of_root(all->t->dump, &s.nspid);
	h->own_tid = pid_chain_inner(&s.nspid);
	h->tracer = s.tracer;
}

static void note_single(struct dtask *t)
{
	struct thread_seen h = {.tid = t->proc.pid,
				.nstid = level_of_root(t->dump, &t->status.nspid),
				.own_tid = pid_chain_inner(&t->status.nspid),
				.tracer = t->status.tracer};

	g_array_append_val(t->seen, h);
}

int tree_see_threads(struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	struct reading all = {.t = t};
	int r;

	t->seen = g_array_new(FALSE, TRUE, sizeof(struct thread_seen));
	if (t->zombie)
		return 0;
	if (t->status.threads < 2) {
		note_single(t);
		return 0;
	}
	r = proc_tasks(t->proc.dir, &tids);
	if (r == -ENOENT || r == -ESRCH) { /* so has it */
		err_clear();
		return 0;
	}
	g_array_set_size(t->seen, (guint)tids.n);
	all.v = (struct thread_seen *)(void *)t->seen->data;
	for (size_t i = 0; i < tids.n; i++)
		all.v[i].tid = tids.v[i];
	parallel_run((unsigned)tids.n, read_one, &all);
	return r;
}

unsigned dtask_nthreads(const struct dtask *t)
{
	return t->nthreads ?: t->seen ? t->seen->len : 0;
}

pid_t dtask_tid(const struct dtask *t, unsigned i)
{
	return t->nthreads ? t->threads[i].tid : dtask_seen(t, i)->tid;
}

bool dtask_has_table(const struct dtask *t, unsigned i)
{
	return t->nthreads ? t->threads[i].own_files : dtask_seen(t, i)->own_files;
}
