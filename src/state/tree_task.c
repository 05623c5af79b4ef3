/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a process from outside. */
#include "state/tree.h"

#include "base/fd.h"
#include "state/task/levels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PF_EXITING_ 0x4 /* include/linux/sched.h: set before anything is given up */

static int read_status(struct dtask *t, int dir)
{
	procstatus_clear(&t->status);
	return procstatus_read(dir, &t->status);
}

int task_look_through(struct dtask *t, pid_t tid)
{
	struct proc p;
	int r;

	if (t->proc.pid == tid)
		return 0;
	r = proc_open_through(t->pid, tid, &p);
	if (r < 0)
		return r;
	proc_close(&t->proc);
	t->proc = p;
	return 0;
}

/* What a dead leader has lost is read of a thread that lives. */
static int read_living(struct dtask *t)
{
	pid_t tid = t->proc.pid;
	struct procstat st;
	int r = tid == t->pid ? proc_living_thread(t->pid, &tid) : 0;

	if (r == 0)
		r = task_look_through(t, tid);
	if (r == 0)
		r = procstat_read(t->proc.dir, &st);
	if (r == 0)
		r = read_status(t, t->proc.dir);
	if (r < 0)
		return r;
	t->zombie = false;
	memcpy(st.comm, t->stat.comm, sizeof(st.comm));
	st.flags = t->stat.flags;
	st.exit_signal = t->stat.exit_signal; /* threads have none */
	st.exit_code = t->stat.exit_code;
	t->stat = st;
	return 0;
}

int task_read(struct dtask *t)
{
	CLEANUP(proc_close) struct proc leader = PROC_NONE;
	int dir = t->proc.dir, r = 0;

	if (t->proc.pid != t->pid) {
		r = proc_open(t->pid, &leader);
		dir = leader.dir;
	}
	if (r == 0)
		r = procstat_read(dir, &t->stat);
	if (r == 0)
		r = read_status(t, dir);
	if (r < 0)
		return r;
	t->zombie = t->stat.state == 'Z' || t->stat.state == 'X';
	if (t->index == 0)
		t->dump->depth = t->status.nspid.n ? t->status.nspid.n - 1 : 0;
	t->nspid = level_of_root(t->dump, &t->status.nspid);
	t->nspgid = level_of_root(t->dump, &t->status.nspgid);
	t->nssid = level_of_root(t->dump, &t->status.nssid);
	t->leader_dead = t->zombie && t->stat.threads > 1;
	if (t->leader_dead) {
		r = read_living(t);
		if (r == -ESRCH) { /* the others are ending, too */
			err_clear();
			r = 0;
		}
	}
	return r;
}

bool task_is_ending(const struct dtask *t)
{
	struct procstat st;

	if (procstat_read(t->proc.dir, &st) < 0) {
		err_clear();
		return true;
	}
	return st.flags & PF_EXITING_;
}

int task_read_maps(void *task)
{
	struct dtask *t = task;
	char path[32];
	autoclose int dir = -1;

	snprintf(path, sizeof(path), "/proc/%d", seized_alive(&t->seized));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", path);
	maps_clear(&t->maps);
	return maps_read_vmflags(dir, &t->maps);
}
