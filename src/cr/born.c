/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/born.h"
#include "cr/plan.h"
#include "state/mem/cow.h"
#include "state/mem/staged.h"
#include "state/ns/spaces.h"
#include "state/task/levels.h"
#include "state/task/task.h"
#include "state/tty/tty.h"

#include "kernel/procmisc.h"
#include "kernel/procstatus.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define EXIT_TIMEOUT_MS 5000

static bool adopts(const struct rtask *t)
{
	return t->core && t->core->tc->has_child_subreaper && t->core->tc->child_subreaper;
}

/* The first of a pid namespace below the root's. */
static bool is_init(const struct rtask *t)
{
	const json_t *all = json_object_get(json_object_get(t->extra, "levels"), "pid");
	size_t n = json_array_size(all);

	return n && json_integer_value(json_array_get(all, n - 1)) == 1;
}

static void add_helpers(struct restore *r, const struct plan *p)
{
	for (unsigned i = r->nimages; i < p->tasks->len; i++) {
		const struct plan_task *h = &g_array_index(p->tasks, struct plan_task, i);
		struct rtask *t = g_new0(struct rtask, 1);

		t->restore = r;
		t->nspid = h->pid;
		t->parent = h->parent;
		t->helper = true;
		g_ptr_array_add(r->tasks, t);
	}
}

/* Processes first, then threads: agent_plan's big and small slots. */
static void give_slots(struct restore *r)
{
	unsigned small = 0;

	r->big = r->tasks->len;
	for (unsigned i = 0; i < r->tasks->len; i++) {
		struct rtask *t = restore_task(r, i);

		t->slot = i;
		for (unsigned k = 0; !t->zombie && k < t->nthreads; k++)
			t->threads[k].slot = k ? r->big + small++ : i;
	}
	r->small = small;
}

static void note_forkers(struct restore *r)
{
	for (unsigned i = 0; i < r->tasks->len; i++)
		restore_task(r, i)->forker = -1;
	for (unsigned i = 0; i < r->steps->len; i++) {
		const struct plan_step *s = &g_array_index(r->steps, struct plan_step, i);

		if (s->verb == PLAN_FORK)
			restore_task(r, s->other)->forker = (int)s->task;
	}
}

/* The box is in our own pid namespace. */
static bool shares_pids(const struct restore *r)
{
	return r->stub.pid == r->stub.nspid;
}

static bool is_taken(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

int born_plan(struct restore *r)
{
	g_autofree struct plan_task *v = g_new0(struct plan_task, r->nimages);
	CLEANUP(plan_clear) struct plan p = {0};
	int ret;

	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		v[i] = (struct plan_task){.pid = t->nspid,
					  .parent = t->parent,
					  .pgid = t->nspgid,
					  .sid = t->nssid,
					  .zombie = t->zombie,
					  .guest = i > 0 && t->parent < 0,
					  .maker = t->maker,
					  .depth = levels_saved(t),
					  .reaper = adopts(t) || is_init(t)};
	}
	/* 0: it was led from outside of the pid namespace, as that of a container's init may be */
	if ((plan_outside(v, r->nimages) || (v[0].sid == 0 && v[0].pid != 1)) && !r->o.shell_job)
		return err_set(EINVAL, "the tree was the job of a shell; use --shell-job");
	if (v[0].sid == 0 && !r->o.shell_job)
		plan_lead(v, r->nimages);
	/* who made the box has made its first task a session leader: cryo_box_fork(), runtimes */
	ret = plan_make(v, r->nimages, v[0].sid == v[0].pid, shares_pids(r) ? is_taken : NULL, &p);
	if (ret < 0)
		return ret;
	add_helpers(r, &p);
	give_slots(r);
	r->steps = g_steal_pointer(&p.steps);
	note_forkers(r);
	return levels_load(r);
}

/* Whom it makes will have the same directories. */
static bool has_sharer(struct restore *r, const struct rtask *t)
{
	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *c = restore_task(r, i);
		int by = c->maker ? (int)c->maker : c->parent;

		if (by >= 0 && restore_task(r, (unsigned)by) == t && sharing_flags(t, c) & CLONE_FS)
			return true;
	}
	return false;
}

/* What its parent gets at its end: clone(2). */
static int exit_signal_of(const struct rtask *t)
{
	json_t *other = json_object_get(t->extra, "exit_signal");
	json_int_t sig = json_integer_value(other);

	if (t->helper)
		return 0;
	return json_is_integer(other) && sig >= 0 && sig < NSIG ? (int)sig : SIGCHLD;
}

/* Before there are any: those of helpers. */
static int adopt_orphans(struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (!adopts(t))
		return 0;
	rtask_batch(t, &b);
	batch_add(&b, SYS_prctl, IMM(PR_SET_CHILD_SUBREAPER), IMM(1));
	return batch_run(&b);
}

static int fork_task(struct restore *r, struct rtask *parent, struct rtask *child)
{
	CLEANUP(batch_end) struct batch b = {0};
	pid_t tids[LEVELS_MAX + 1];
	struct clone_spec c = {
		.child = child->slot,
		.flags = sharing_flags(parent, child),
		.exit_signal = child->maker ? 0 : exit_signal_of(child),
		.tids = tids,
		.ntids = levels_tids(child, tids),
	};
	int op, ret = cow_settle(r, parent);

	if (ret == 0)
		ret = spaces_before_fork(r, parent, child, &c.flags);
	if (ret == 0)
		ret = spaces_choose(r, parent, child, c.flags & CLONE_NEWPID, tids, &c.ntids);
	if (ret < 0)
		return ret;
	rtask_batch(parent, &b);
	stage_before_fork(r, parent, child, &b);
	op = batch_clone(&b, &c);
	batch_expect(&b, op, levels_seen_by(parent, child));
	ret = batch_run(&b);
	cow_born(parent, child, c.flags & CLONE_VM);
	child->mounts = parent->mounts;
	if (ret == -EEXIST && shares_pids(r))
		return proc_number_taken(child->nspid);
	if (ret == 0)
		ret = stage_after_fork(r, parent, child);
	if (ret == 0)
		ret = spaces_after_fork(r, parent, child);
	if (ret == 0 && has_sharer(r, child))
		ret = spaces_enter_early(r, child);
	batch_end(&b);
	return ret < 0 ? err_wrap(ret, "fork of process %d", child->nspid) : adopt_orphans(child);
}

/* The last batch of a task: nobody answers, its tracer takes note of its death. */
static int end_task(struct restore *r, struct rtask *t, uint32_t nr, uint64_t a0, uint64_t a1)
{
	struct agent_slot *slot = &r->agent->slots[t->slot];
	CLEANUP(batch_end) struct batch b = {0};
	int status = 0, ret;

	rtask_batch(t, &b);
	batch_add(&b, nr, IMM(a0), IMM(a1));
	ret = batch_post(&b);
	b.posted = false;
	while (ret == 0) {
		ret = ptrace_wait(slot->tid, EXIT_TIMEOUT_MS, &status);
		if (ret != 0)
			return ret < 0 ? ret
				       : err_set(ETIMEDOUT, "process %d would not end", t->nspid);
		if (!WIFSTOPPED(status))
			break;
		ret = ptrace_cont(slot->tid, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status));
	}
	slot->gone = true;
	return ret;
}

static int end_helper(struct restore *r, struct rtask *t, struct rtask *parent)
{
	CLEANUP(batch_end) struct batch b = {0};
	pid_t pid = levels_seen_by(parent, t);
	int ret = end_task(r, t, SYS_exit_group, 0, 0);

	if (ret < 0)
		return ret;
	rtask_batch(parent, &b);
	batch_expect(&b, batch_add(&b, SYS_wait4, IMM(pid), IMM(0), IMM(__WALL), IMM(0)), pid);
	return batch_run(&b);
}

static int setgroup(struct rtask *t, const struct plan_step *s)
{
	CLEANUP(batch_end) struct batch b = {0};
	int ret;

	rtask_batch(t, &b);
	if (s->verb == PLAN_SETSID)
		batch_expect(&b, batch_add(&b, SYS_setsid), levels_own(t));
	else if (t->nspid == s->pgid || levels_group(t, s->pgid))
		batch_add(&b, SYS_setpgid, IMM(0),
			  IMM(t->nspid == s->pgid ? 0 : levels_group(t, s->pgid)));
	ret = batch_run(&b);
	return ret == 0 && s->verb == PLAN_SETSID ? tty_session_restore(t->restore, t) : ret;
}

int born_make(struct restore *r)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < r->nimages; i++) {
		struct rtask *root = restore_task(r, i);

		if (root->parent < 0)
			ret = rtask_wrap(root, adopt_orphans(root));
		if (ret == 0 && root->parent < 0 && root->nssid == root->nspid)
			ret = rtask_wrap(root, tty_session_restore(r, root));
	}
	for (unsigned i = 0; ret == 0 && i < r->steps->len; i++) {
		const struct plan_step *s = &g_array_index(r->steps, struct plan_step, i);
		struct rtask *t = restore_task(r, s->task);

		switch (s->verb) {
		case PLAN_FORK:
			ret = fork_task(r, t, restore_task(r, s->other));
			break;
		case PLAN_EXIT:
			ret = end_helper(r, t, restore_task(r, s->other));
			break;
		case PLAN_SETSID:
		case PLAN_SETPGID:
			ret = setgroup(t, s);
			break;
		}
		ret = rtask_wrap(t, ret);
	}
	return ret;
}

/* By its own hand, so that the status is the same: exit code, or the signal that killed it. */
static int end_zombie(struct restore *r, struct rtask *t)
{
	unsigned code = t->core->tc->exit_code, sig = code & 0x7f;
	struct rlimit none = {0};
	uint64_t no_mask = 0;
	CLEANUP(batch_end) struct batch b = {0};
	char comm[16];
	int ret;

	g_strlcpy(comm, t->core->tc->comm, sizeof(comm));
	rtask_batch(t, &b);
	batch_add(&b, SYS_prctl, IMM(PR_SET_NAME), batch_in(&b, comm, sizeof(comm)));
	/* no core file */
	batch_add(&b, SYS_prlimit64, IMM(0), IMM(RLIMIT_CORE), batch_in(&b, &none, sizeof(none)),
		  IMM(0));
	zombie_ids_restore(t, &b);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	if (sig == 0)
		return end_task(r, t, SYS_exit_group, (code >> 8) & 0xff, 0);
	batch_add(&b, SYS_rt_sigprocmask, IMM(SIG_SETMASK), batch_in(&b, &no_mask, 8), IMM(0),
		  IMM(8));
	ret = batch_run(&b);
	return ret < 0 ? ret : end_task(r, t, SYS_kill, (uint64_t)levels_own(t), sig);
}

int born_end_zombies(struct restore *r)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < r->nimages; i++)
		if (restore_task(r, i)->zombie)
			ret = rtask_wrap(restore_task(r, i), end_zombie(r, restore_task(r, i)));
	return ret;
}

/* Our numbers of the threads: by *RET, their own number -> ours. */
static int find_threads(struct restore *r, struct rtask *t, GHashTable **ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(pid_list_clear) struct pid_list tids = {0};
	g_autoptr(GHashTable) found = g_hash_table_new(NULL, NULL);
	int ret_code = proc_open(rtask_pid(t), &p);

	if (ret_code == 0)
		ret_code = proc_tasks(p.dir, &tids);
	for (size_t i = 0; ret_code == 0 && i < tids.n; i++) {
		CLEANUP(procstatus_clear) struct procstatus s = {0};

		ret_code = procstatus_read_task(p.dir, tids.v[i], &s);
		if (ret_code == 0)
			g_hash_table_insert(
				found, GINT_TO_POINTER(s.nspid.v[MIN(r->depth, s.nspid.n - 1)]),
				GINT_TO_POINTER(tids.v[i]));
	}
	if (ret_code == 0)
		*ret = g_steal_pointer(&found);
	return ret_code;
}

/* None stops for us when it is born: that would be two turns for each. */
static int take_threads(struct restore *r, struct rtask *t)
{
	g_autoptr(GHashTable) found = NULL;
	int ret = shares_pids(r) ? 0 : find_threads(r, t, &found);

	for (unsigned i = 1; ret == 0 && i < t->nthreads; i++) {
		const struct rthread *h = &t->threads[i];
		pid_t tid = h->nstid;

		if (found)
			tid = GPOINTER_TO_INT(
				g_hash_table_lookup(found, GINT_TO_POINTER(h->nstid)));
		ret = tid ? agent_take_thread(r->agent, h->slot, tid)
			  : err_set(ESRCH, "it has ended");
		if (ret < 0)
			return err_wrap(ret, "thread %d", h->nstid);
	}
	return ret;
}

int born_threads(struct restore *r, struct rtask *t)
{
	g_autofree int *ops = g_new0(int, t->nthreads);
	CLEANUP(batch_end) struct batch b = {0};
	int ret = 0;

	if (t->nthreads < 2)
		return 0;
	rtask_batch(t, &b);
	thread_name(t->threads, &b);
	creds_bounding(t, &b);
	for (unsigned i = 1; ret == 0 && i < t->nthreads; i++) {
		pid_t tids[LEVELS_MAX + 1];
		struct clone_spec c = {
			.child = t->threads[i].slot,
			.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_UNTRACED,
			.tids = tids,
			.ntids = levels_thread_tids(&t->threads[i], tids),
		};

		if (t->users) /* the next numbers are for the next fork only */
			ret = batch_run(&b);
		if (ret == 0)
			ret = spaces_choose(r, t, NULL, false, tids, &c.ntids);
		if (ret < 0)
			return err_wrap(ret, "thread %d", t->threads[i].nstid);
		ops[i] = batch_clone(&b, &c);
		batch_expect(&b, ops[i], tids[0]);
	}
	ret = batch_run(&b);
	for (unsigned i = 1; ret < 0 && i < t->nthreads; i++) {
		int64_t tid = batch_result(&b, ops[i]);

		if (tid == levels_own_tid(&t->threads[i]))
			continue;
		if (tid == -EEXIST && shares_pids(r))
			return proc_number_taken(t->threads[i].nstid);
		return err_wrap(ret, "thread %d", t->threads[i].nstid);
	}
	return ret < 0 ? ret : take_threads(r, t);
}
