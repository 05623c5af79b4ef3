/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits.  Raising a hard limit is for CAP_SYS_RESOURCE in the initial user namespace,
 * which we may not have: then it becomes what it can be, and the soft limit not more than that.
 */
#include "state/task/task.h"

#include "base/log.h"
#include "kernel/procmisc.h"

#include <errno.h>
#include <sys/resource.h>

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

/*
 * A program may lower this one below what it has (setrlimit(2)): what is queued and its timers come
 * before it, then.  Where it is higher than ours they need it.
 */
static bool is_late(unsigned which, const RlimitEntry *e)
{
	struct rlimit own;

	return which == RLIMIT_SIGPENDING && getrlimit(RLIMIT_SIGPENDING, &own) == 0 &&
	       (e->cur < own.rlim_cur || e->max < own.rlim_max);
}

static int set_limits(struct restore *r, struct rtask *t, bool late)
{
	const TaskRlimitsEntry *e = t->core->tc->rlimits;
	unsigned n = e ? (unsigned)MIN(e->n_rlimits, RLIM_NLIMITS) : 0;
	struct rlimit have[RLIM_NLIMITS];
	int ops[RLIM_NLIMITS], ret;
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	for (unsigned i = 0; i < n; i++) {
		struct rlimit l = {.rlim_cur = e->rlimits[i]->cur, .rlim_max = e->rlimits[i]->max};

		ops[i] = -1;
		if (is_late(i, e->rlimits[i]) != late)
			continue;
		batch_add(&b, SYS_prlimit64, IMM(0), IMM(i), IMM(0),
			  batch_out(&b, &have[i], sizeof(have[i])));
		ops[i] = batch_add(&b, SYS_prlimit64, IMM(0), IMM(i), batch_in(&b, &l, sizeof(l)),
				   IMM(0));
		batch_may_fail(&b, ops[i]);
	}
	ret = batch_run(&b);
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		struct rlimit l;

		if (ops[i] < 0 || batch_result(&b, ops[i]) == 0)
			continue;
		l = clamped(e->rlimits[i], &have[i]);
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

int rlimits_restore(struct restore *r, struct rtask *t)
{
	return set_limits(r, t, false);
}

int rlimits_restore_late(struct restore *r, struct rtask *t)
{
	const TaskRlimitsEntry *e = t->core->tc->rlimits;

	if (!e || e->n_rlimits <= RLIMIT_SIGPENDING ||
	    !is_late(RLIMIT_SIGPENDING, e->rlimits[RLIMIT_SIGPENDING]))
		return 0;
	return set_limits(r, t, true);
}
