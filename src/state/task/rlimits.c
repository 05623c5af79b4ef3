/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits.  Raising a hard limit is for CAP_SYS_RESOURCE in the initial user namespace,
 * which we may not have: then it becomes what it can be, and the soft limit not more than that.
 */
#include "state/task/task.h"

#include "base/log.h"
#include "kernel/procmisc.h"

#include <errno.h>

int rlimits_dump(struct dump *d, struct dtask *t)
{
	struct rlimit l[RLIM_NLIMITS];
	TaskRlimitsEntry *e;
	int r = proc_limits(t->proc.dir, l);

	if (r < 0)
		return r;
	t->core->tc->rlimits = e = g_new0(TaskRlimitsEntry, 1);
	task_rlimits_entry__init(e);
	e->rlimits = g_new0(RlimitEntry *, RLIM_NLIMITS);
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		e->rlimits[i] = g_new0(RlimitEntry, 1);
		rlimit_entry__init(e->rlimits[i]);
		e->rlimits[i]->cur = l[i].rlim_cur;
		e->rlimits[i]->max = l[i].rlim_max;
		e->n_rlimits++;
	}
	return 0;
}

static struct rlimit clamped(const RlimitEntry *want, const struct rlimit *have)
{
	struct rlimit l = {.rlim_cur = want->cur, .rlim_max = want->max};

	if (l.rlim_max > have->rlim_max)
		l.rlim_max = have->rlim_max;
	if (l.rlim_cur > l.rlim_max)
		l.rlim_cur = l.rlim_max;
	return l;
}

int rlimits_restore(struct restore *r, struct rtask *t)
{
	const TaskRlimitsEntry *e = t->core->tc->rlimits;
	unsigned n = e ? (unsigned)MIN(e->n_rlimits, RLIM_NLIMITS) : 0;
	struct rlimit have[RLIM_NLIMITS];
	int ops[RLIM_NLIMITS], ret;
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	for (unsigned i = 0; i < n; i++) {
		struct rlimit l = {.rlim_cur = e->rlimits[i]->cur, .rlim_max = e->rlimits[i]->max};

		batch_add(&b, SYS_prlimit64, IMM(0), IMM(i), IMM(0),
			  batch_out(&b, &have[i], sizeof(have[i])));
		ops[i] = batch_add(&b, SYS_prlimit64, IMM(0), IMM(i), batch_in(&b, &l, sizeof(l)),
				   IMM(0));
		batch_may_fail(&b, ops[i]);
	}
	ret = batch_run(&b);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct rlimit l = clamped(e->rlimits[i], &have[i]);

		if (batch_result(&b, ops[i]) == 0)
			continue;
		if (r->o.strict_rlimits || batch_result(&b, ops[i]) != -EPERM)
			return err_code((int)batch_result(&b, ops[i]), "set %s",
					rlimit_name((int)i));
		log_info("task %d (%s): %s is %llu instead of %llu, which is not allowed here",
			 t->nspid, t->core->tc->comm, rlimit_name((int)i),
			 (unsigned long long)l.rlim_max, (unsigned long long)e->rlimits[i]->max);
		batch_add(&b, SYS_prlimit64, IMM(0), IMM(i), batch_in(&b, &l, sizeof(l)), IMM(0));
	}
	return ret < 0 ? ret : batch_run(&b);
}
