/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shares what, beyond what fork(2) and pthread_create(3) do: processes made by clone(2) with
 * CLONE_VM, CLONE_FS or CLONE_SIGHAND alone, threads that called unshare(2).  The images could say
 * so; restoring it is not there, so it is refused.  Descriptors (CLONE_FILES) may be shared with
 * the parent, who makes the child in that way again.
 */
#include "state/task/task.h"

#include "kernel/kcmp.h"

#include <errno.h>

static const struct {
	int type;
	const char *what;
	bool of_threads; /* a thread may have its own */
} shared[] = {
	{KCMP_VM, "its memory", false},
	{KCMP_FILES, "its descriptors", true},
	{KCMP_FS, "its directories", true},
	{KCMP_SIGHAND, "its signal actions", false},
};

static int check_threads(struct dump *d, struct dtask *t, unsigned k)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	int r = proc_tasks(t->proc.dir, &tids);

	for (size_t i = 0; r == 0 && i < tids.n; i++) {
		int same = tids.v[i] == t->proc.pid
				   ? 0
				   : kcmp_compare(t->proc.pid, tids.v[i], shared[k].type, 0, 0);

		if (same == -ESRCH) { /* has ended while we looked */
			err_clear();
			continue;
		}
		if (same > 0)
			return err_set(EOPNOTSUPP, "thread %d has %s to itself", tids.v[i],
				       shared[k].what);
		r = same;
	}
	return r;
}

/* T has the table of descriptors that the process PID had first. */
static int share_files(struct dump *d, struct dtask *t, pid_t pid)
{
	for (unsigned i = 0; i < t->index; i++)
		if (dump_task(d, i)->proc.pid == pid)
			t->files = i;
	if (t->parent >= 0 && dump_task(d, (unsigned)t->parent)->files == t->files)
		return 0;
	return err_set(EOPNOTSUPP,
		       "it shares its descriptors with another process than its parent");
}

int sharing_check(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; i < d->tasks->len; i++)
		dump_task(d, i)->files = i;
	for (unsigned k = 0; r == 0 && k < ARRAY_SIZE(shared); k++) {
		CLEANUP(kcmp_set_drop) struct kcmp_set *set = kcmp_set_new(shared[k].type);

		for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
			struct dtask *t = dump_task(d, i);
			uint32_t id;
			int e = 0;

			if (t->zombie)
				continue;
			e = kcmp_set_add(set, t->proc.pid, 0, 0, &id);
			if (e == 0 && shared[k].type == KCMP_FILES) {
				pid_t first;
				int any;

				kcmp_set_first(set, id, &first, &any);
				e = share_files(d, t, first);
			} else if (e == 0)
				e = err_set(EOPNOTSUPP, "it shares %s with another process",
					    shared[k].what);
			else if (e == 1)
				e = shared[k].of_threads ? check_threads(d, t, k) : 0;
			if (e == -ESRCH && !d->frozen) {
				err_clear();
				e = 0;
			}
			r = dump_refuse(d, dtask_wrap(t, e));
		}
	}
	return r;
}
