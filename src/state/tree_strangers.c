/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever is in the cgroup but not below the root came in from outside. */
#include "state/tree.h"

#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>

static int refuse_stranger(pid_t pid)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	struct procstat st = {.comm = "?"};

	if (proc_open(pid, &p) == 0 && procstat_read(p.dir, &st) < 0)
		err_clear();
	return err_set(EOPNOTSUPP,
		       "process %d (%s) was brought in from outside, but not by exec: end it first",
		       pid, st.comm);
}

int tree_check_strangers(struct dump *d)
{
	for (unsigned i = 0; i < d->o.ncgroups; i++) {
		CLEANUP(pid_list_clear) struct pid_list all = {0};
		autoclose int fd = open(d->o.cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int r = fd < 0 ? err_errno("open %s", d->o.cgroups[i]) : cgroup_procs(fd, &all);

		for (size_t k = 0; r == 0 && k < all.n; k++)
			if (all.v[k] > 0 &&
			    !g_hash_table_contains(d->by_pid, GINT_TO_POINTER(all.v[k])))
				return refuse_stranger(all.v[k]);
		if (r < 0)
			return r;
	}
	return 0;
}
