/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shares what, beyond what fork(2) and pthread_create(3) do: processes made by clone(2) with
 * CLONE_VM or CLONE_SIGHAND alone.  The images could say so; restoring it is not there, so it is
 * refused.  Descriptors (CLONE_FILES) and directories (CLONE_FS) may be shared with the parent, who
 * makes the child in that way again; threads may have their own.
 */
#include "state/task/task.h"

#include "kernel/kcmp.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

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

/*
 * A thread with descriptors of its own (CLONE_THREAD without CLONE_FILES, unshare(2)) can be made
 * again when they are some of the process's: it gets a copy of all and closes the rest, which go to
 * *CLOSED (may be NULL).
 */
static int compare_files(const struct dtask *t, pid_t tid, json_t *closed)
{
	CLEANUP(pid_list_clear) struct pid_list all = {0}, own = {0};
	autoclose int dir = -1;
	int r = proc_open_task(t->proc.dir, tid, &dir);

	if (r == 0)
		r = proc_fds(t->proc.dir, &all);
	if (r == 0)
		r = proc_fds(dir, &own);
	for (size_t i = 0; r == 0 && i < own.n; i++) {
		if (pid_list_has(&all, own.v[i]))
			r = kcmp_compare(t->proc.pid, tid, KCMP_FILE, (unsigned long)own.v[i],
					 (unsigned long)own.v[i]);
		else
			r = 1;
		if (r > 0)
			return err_set(EOPNOTSUPP,
				       "thread %d has fd %d to itself (unshare(2) of CLONE_FILES)",
				       tid, own.v[i]);
	}
	for (size_t i = 0; r == 0 && closed && i < all.n; i++)
		if (!pid_list_has(&own, all.v[i]))
			json_array_append_new(closed, json_integer(all.v[i]));
	return r;
}

static int compare_fs(const struct dtask *t, pid_t tid)
{
	CLEANUP(procstatus_clear) struct procstatus st = {0};
	static const char *const links[] = {"cwd", "root"};
	autoclose int dir = -1;
	int r = proc_open_task(t->proc.dir, tid, &dir);

	if (r == 0)
		r = procstatus_read(dir, &st);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(links); i++) {
		g_autofree char *its = NULL, *mine = NULL;

		r = proc_link(dir, links[i], &its);
		if (r == 0)
			r = proc_link(t->proc.dir, links[i], &mine);
		if (r == 0 && strcmp(its, mine) != 0)
			return err_set(EOPNOTSUPP,
				       "thread %d has a directory of its own (%s is %s)", tid,
				       links[i], its);
	}
	if (r == 0 && st.umask != t->status.umask)
		return err_set(EOPNOTSUPP, "thread %d has a umask of its own", tid);
	return r;
}

static int compare_own(struct dtask *t, pid_t tid, int type)
{
	t->own_tables = true;
	return type == KCMP_FILES ? compare_files(t, tid, NULL) : compare_fs(t, tid);
}

static int check_threads(struct dump *d, struct dtask *t, unsigned k)
{
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	int r = proc_tasks(t->proc.dir, &tids);

	for (size_t i = 0; r == 0 && i < tids.n; i++) {
		bool nothing = tids.v[i] == t->proc.pid || (t->leader_dead && tids.v[i] == t->pid);
		int same = nothing ? 0 : kcmp_compare(t->proc.pid, tids.v[i], shared[k].type, 0, 0);

		if (same > 0)
			same = compare_own(t, tids.v[i], shared[k].type);
		if (same == -ESRCH || same == -ENOENT) { /* has ended while we looked */
			err_clear();
			continue;
		}
		r = same;
	}
	return r;
}

int sharing_dump(struct dump *d, struct dthread *h)
{
	struct dtask *t = h->task;
	json_t *closed;
	char tid[16];
	int same, r = 0;

	if (!t->own_tables || h == t->threads)
		return 0;
	g_snprintf(tid, sizeof(tid), "%d", h->nstid);
	same = kcmp_compare(t->proc.pid, h->tid, KCMP_FILES, 0, 0);
	if (same > 0) {
		json_t *all = json_object_get(t->extra, "own_files");

		if (!all)
			json_object_set_new(t->extra, "own_files", all = json_object());
		json_object_set_new(all, tid, closed = json_array());
		r = compare_files(t, h->tid, closed);
	}
	if (same >= 0 && r == 0)
		same = kcmp_compare(t->proc.pid, h->tid, KCMP_FS, 0, 0);
	if (same > 0 && r == 0) {
		json_t *all = json_object_get(t->extra, "own_fs");

		if (!all)
			json_object_set_new(t->extra, "own_fs", all = json_object());
		json_object_set_new(all, tid, json_true());
	}
	return same < 0 ? same : r;
}

/* Threads are made with all that is the process's; its late descriptors are there by now. */
int sharing_restore(struct restore *r, struct rthread *h)
{
	const json_t *files = json_object_get(h->task->extra, "own_files");
	const json_t *fs = json_object_get(h->task->extra, "own_fs"), *closed;
	CLEANUP(batch_end) struct batch b = {0};
	char tid[16];

	if (!files && !fs)
		return 0;
	g_snprintf(tid, sizeof(tid), "%d", h->nstid);
	closed = json_object_get(files, tid); /* some were a tracker of ours: state/mem/track.c */
	rthread_batch(h, &b);
	if (json_object_get(fs, tid))
		batch_add(&b, SYS_unshare, IMM(CLONE_FS));
	if (closed)
		batch_add(&b, SYS_unshare, IMM(CLONE_FILES));
	for (size_t i = 0; i < json_array_size(closed); i++)
		batch_may_fail(&b, batch_add(&b, SYS_close,
					     IMM(json_integer_value(json_array_get(closed, i)))));
	return batch_run(&b);
}

/* T has what the process PID had first: that one is its parent, or has it from there, too. */
static int share_with(struct dump *d, struct dtask *t, pid_t pid, int type)
{
	const struct dtask *parent = t->parent >= 0 ? dump_task(d, (unsigned)t->parent) : NULL;
	bool files = type == KCMP_FILES;

	for (unsigned i = 0; i < t->index; i++)
		if (dump_task(d, i)->proc.pid == pid)
			*(files ? &t->files : &t->fs) = i;
	if (parent && (files ? parent->files == t->files : parent->fs == t->fs))
		return 0;
	return err_set(EOPNOTSUPP, "it shares its %s with another process than its parent",
		       files ? "descriptors" : "directories");
}

/* Between vfork(2) and execve(2) that is usual, and soon over. */
static int shares_memory(const struct dump *d, const struct dtask *t, const char *what)
{
	const struct dtask *parent = t->parent >= 0 ? dump_task(d, (unsigned)t->parent) : NULL;

	if (parent && parent->stat.state == 'D')
		return err_set(EOPNOTSUPP,
			       "process %d waits for it in vfork(2), until it executes a program",
			       parent->nspid);
	return err_set(EOPNOTSUPP, "it shares %s with another process", what);
}

int sharing_check(struct dump *d)
{
	int r = 0;

	for (unsigned i = 0; i < d->tasks->len; i++)
		dump_task(d, i)->files = dump_task(d, i)->fs = i;
	for (unsigned k = 0; r == 0 && k < ARRAY_SIZE(shared); k++) {
		CLEANUP(kcmp_set_drop) struct kcmp_set *set = kcmp_set_new(shared[k].type);

		for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
			struct dtask *t = dump_task(d, i);
			uint32_t id;
			int e = 0;

			if (t->zombie)
				continue;
			e = kcmp_set_add(set, t->proc.pid, 0, 0, &id);
			if (e == 0 && shared[k].of_threads) {
				pid_t first;
				int any;

				kcmp_set_first(set, id, &first, &any);
				e = share_with(d, t, first, shared[k].type);
			} else if (e == 0)
				e = shares_memory(d, t, shared[k].what);
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
