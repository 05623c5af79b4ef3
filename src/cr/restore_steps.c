/* SPDX-License-Identifier: Apache-2.0 */
/* What is done in a restore, in its order, and what is small of it. */
#include "cr/restore_steps.h"

#include "cr/born.h"
#include "cr/records.h"

#include "base/file.h"
#include "state/fd/files.h"
#include "state/lock/lock.h"
#include "state/mem/lazy.h"
#include "state/mem/mem.h"
#include "state/mem/staged.h"
#include "state/ns/cgroups.h"
#include "state/ns/mqueue.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"
#include "state/task/task.h"
#include "state/task/traced.h"
#include "state/tty/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define HOLD_TIMEOUT_MS 5000

static int check_first(struct restore *r)
{
	struct rtask *root = restore_task(r, 0);

	if (root->zombie)
		return err_set(EBADMSG, "the first process of the checkpoint had ended");
	if (root->nspid != r->stub.nspid)
		return err_set(EINVAL, "the first process was number %d, but is %d here",
			       root->nspid, r->stub.nspid);
	return 0;
}

/* Before the images are read: which of them are guests depends on who is there. */
static int meet_guests(struct restore *r)
{
	int ret = 0;

	r->guests = g_new0(struct guest, r->o.nguests + 1);
	for (unsigned i = 0; i < r->o.nguests; i++)
		r->guests[i] = (struct guest){
			.name = r->o.guests[i].name, .stub = STUB_NONE, .stdio = {-1, -1, -1}};
	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = stub_await(r->o.guests[i].sock, STUB_TIMEOUT_MS, &r->guests[i].stub);
	return ret;
}

static int check_guests(struct restore *r)
{
	for (unsigned i = 0; i < r->o.nguests; i++) {
		const struct guest *g = &r->guests[i];

		if (!g->task || g->task->zombie)
			return err_set(EBADMSG, "no process of the checkpoint is session %s",
				       g->name);
		if (g->task->nspid != g->stub.nspid)
			return err_set(EINVAL, "process %d of session %s is number %d here",
				       g->task->nspid, g->name, g->stub.nspid);
	}
	return 0;
}

static int adopt(struct restore *r)
{
	struct agent_plan p = {.big = r->big, .small = r->small};
	int ret;

	ret = mem_find_hole(r, HOLE_VDSO_BYTES + agent_plan_bytes(&p));
	if (ret < 0)
		return ret;
	p.addr = r->hole + HOLE_VDSO_BYTES;
	ret = agent_adopt(&r->stub, &p, &r->agent);
	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = rtask_wrap(r->guests[i].task,
				 agent_join(r->agent, &r->guests[i].stub, r->guests[i].task->slot));
	return ret;
}

static int check_stage(struct restore *r)
{
	return stage_check(r);
}

static void read_stdio(const struct proc *p, int ret[3])
{
	for (int i = 0; i < 3; i++)
		if (proc_getfd(p, i, &ret[i]) < 0) {
			ret[i] = -1; /* closed there */
			err_clear();
		}
}

static int read_guests(struct restore *r)
{
	for (unsigned i = 0; i < r->o.nguests; i++) {
		CLEANUP(proc_close) struct proc p = PROC_NONE;
		int ret = proc_open(r->guests[i].stub.pid, &p);

		if (ret < 0)
			return ret;
		read_stdio(&p, r->guests[i].stdio);
	}
	return 0;
}

/* setgroups(2) needs CAP_SETGID, and that it is not denied (user_namespaces(7)). */
static int read_groups(struct restore *r, const struct proc *p, const struct procstatus *s)
{
	g_autofree char *allowed = NULL;
	int ret = file_read_at(p->dir, "setgroups", 64, &allowed, NULL);

	if (ret < 0)
		return ret;
	if (r->caps & UINT64_C(1) << CAP_SETGID && !g_str_has_prefix(allowed, "deny"))
		return 0;
	r->groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	g_array_append_vals(r->groups, s->groups, (guint)s->ngroups);
	return 0;
}

/* What the box is like before anything is changed in it. */
static int read_box(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(procstatus_clear) struct procstatus s = {0};
	char root[64];
	int ret = proc_open(r->stub.pid, &p);

	if (ret == 0)
		ret = procstatus_read(p.dir, &s);
	if (ret < 0)
		return ret;
	r->depth = s.nspid.n ? s.nspid.n - 1 : 0;
	r->caps = s.cap_prm;
	r->bounding = s.cap_bnd;
	ret = read_groups(r, &p, &s);
	if (ret < 0)
		return ret;
	read_stdio(&p, r->stdio);
	snprintf(root, sizeof(root), "/proc/%d/root", r->stub.pid);
	r->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return r->root < 0 ? err_errno("open %s", root) : 0;
}

/* Descriptor numbers up to what any task may have are usable while the tree is made. */
static int raise_limit(struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	struct rlimit l = {0};
	int ret;

	rtask_batch(t, &b);
	batch_add(&b, SYS_prlimit64, IMM(0), IMM(RLIMIT_NOFILE), IMM(0),
		  batch_out(&b, &l, sizeof(l)));
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	l.rlim_cur = l.rlim_max;
	batch_add(&b, SYS_prlimit64, IMM(0), IMM(RLIMIT_NOFILE), batch_in(&b, &l, sizeof(l)),
		  IMM(0));
	return batch_run(&b);
}

static int raise_limits(struct restore *r)
{
	int ret = raise_limit(restore_task(r, 0));

	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = raise_limit(r->guests[i].task);
	return ret;
}

static bool is_tracers(const struct restore *r, unsigned slot)
{
	for (unsigned i = 0; r->traced->len && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; t->traces && k < t->nthreads; k++)
			if (t->threads[k].slot == slot)
				return true;
	}
	return false;
}

static bool ends_now(const struct restore *r, unsigned slot)
{
	const struct agent_slot *s = &r->agent->slots[slot];

	return s->tid && !s->gone && !s->handed_over && is_tracers(r, slot) == r->tracers;
}

static int hold_all(struct restore *r)
{
	unsigned n = r->agent->nslots;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < n; i++)
		if (ends_now(r, i))
			ret = agent_hold_begin(r->agent, i);
	for (unsigned i = 0; ret == 0 && i < n; i++)
		if (ends_now(r, i))
			ret = agent_hold(r->agent, i, HOLD_TIMEOUT_MS);
	return ret;
}

static int unmap(struct restore *r, struct rtask *t)
{
	return agent_unmap(r->agent, t->slot);
}

static int final_thread(struct restore *r, struct rthread *h)
{
	const ThreadCoreEntry *c = h->core->thread_core;
	uint64_t mask = c->has_blk_sigset ? c->blk_sigset : h->task->core->tc->blk_sigset;
	int ret = segments_restore(h);

	if (ret == 0)
		ret = regs_restore(h);
	return ret < 0 ? ret : ptrace_set_sigmask(agent_tid(r->agent, h->slot), mask);
}

/* Delivered when it is let go: it never runs an instruction. */
static int stop_again(struct restore *r, struct rtask *t)
{
	bool leave = r->o.leave_stopped && !t->traced;
	bool stops = t->parent < 0 && rtask_is_stopped(t); /* the others: state/task/stopped.c */

	if ((stops || leave) && kill(rtask_pid(t), SIGSTOP) < 0)
		return err_errno("stop process %d", rtask_pid(t));
	return 0;
}

static int close_ours(struct restore *r)
{
	socks_restore_end(r);
	mqueue_close(r);
	bpfmaps_end(r);
	files_close(r);
	shmem_close(r);
	ttys_free(r);
	adrift_end(r);
	return 0;
}

/* Nothing between needs the one without the other, and a thread is woken once. */
static int tell_last(struct restore *r, struct rthread *h, struct batch *b)
{
	int ret = thread_tell(r, h, b);

	return ret < 0 ? ret : creds_tell(r, h, b);
}

static const struct restore_step plan_steps[] = {
	{"guests", .all = meet_guests},
	{"images", .all = records_load},
	{"first process", .all = check_first},
	{"guests' numbers", .all = check_guests},
	{"memory that waits", .all = check_stage},
	{"plan", .all = born_plan},
	{"box", .all = read_box},
	{"guests' stdio", .all = read_guests},
	{"agent", .all = adopt},
};

static const struct restore_step fork_steps[] = {
	{"limit of descriptors", .all = raise_limits},
	{"network lock", .all = socks_lock_restore},
	{"channel", .all = files_channel},
	{"clocks", .all = time_restore},
	{"host name", .all = uts_restore},
	{"tmpfs", .all = tmpfs_restore},
	{"ipc", .all = ipc_restore},
	{"inner namespaces", .all = spaces_make},
	{"inner network lock", .all = socks_lock_inside},
	{"address space", .all = mem_clear},
	{"tree", .all = born_make},
	{"inner mounts", .all = spaces_make_mounts},
	{"control groups", .all = cgroups_restore},
	{"zombies", .all = born_end_zombies},
};

static const struct restore_step restore_steps[] = {
	{"files", .all = files_open},
	{"firewalls", .all = spaces_firewalls},
	{"locks on their way", .all = locks_restore_flight},
	{"mounts of terminals", .all = mnt_ttys_restore},
	{"late mounts", .all = mnt_late_restore},
	{"shared memory", .all = shmem_make},
	{"inner IPC", .task = spaces_enter_ipc},
	{"mappings", .space = mem_map},
	{"end of ipc", .all = ipc_restore_end},
	{"memory", .all = mem_fill},
	{"protections", .space = mem_protect},
	{"watched memory", .all = uffd_watch_again},
	{"memory to come", .space = lazy_begin},
	{"segments", .space = ldt_restore},
	{"seals", .all = memfd_seal},
	{"namespaces", .task = spaces_enter},
	{"directories", .task = fs_restore},
	{"login", .task = loginuid_restore},
	{"foreground groups", .task = tty_group_restore},
	{"descriptors", .task = files_install},
	{"terminals", .task = files_settle},
	{"our copies", .all = close_ours},
	{"locks", .task = locks_restore},
	{"process", .task = process_restore},
	{"undo lists", .task = ipc_undo_restore},
	{"keyrings", .task = keys_restore},
	{"end of keyrings", .task = keys_restore_end},
	{"users inside", .task = spaces_enter_users},
	{"keyrings inside", .task = keys_restore_inside},
	{"end of keyrings inside", .task = keys_restore_end_inside},
	{"process keyrings", .task = ownkeys_restore},
	{"threads", .task = born_threads},
	{"control groups of threads", .all = cgroups_restore_threads},
	{"keyrings of threads", .thread = ownkeys_restore_thread},
	{"namespaces of threads", .thread = spaces_enter_thread},
	{"directories of threads", .task = fs_restore_threads},
	{"end of the channel", .task = files_end},
	{"stopped processes", .task = stops_restore},
	{"signal actions", .task = sigactions_restore},
	{"names", .tell = thread_name_tell, .thread = thread_sched_restore},
	{"attributes", .tell = attributes_tell},
	{"memory policies", .tell = numa_tell},
	{"room for registers", .tell = regs_tell},
	{"descriptors of threads", .task = files_late},
	{"threads' own", .thread = files_restore_thread},
	{"end of threads' own", .task = files_end_threads},
	{"attributes of mounts", .all = mnt_ours_restore},
	{"limits", .task = rlimits_restore},
	{"pending signals", .task = sigpending_restore},
	{"timers", .task = timers_restore},
	{"late limits", .task = rlimits_restore_late},
	{"seccomp", .task = seccomp_restore},
	{"dead leaders", .task = leader_restore},
	{"thread state", .tell = tell_last},
	{"dumpable", .tell = dumpable_tell},
};

/* Agents end.  Those of tracers stay until what they trace is theirs again, and then do the same.
 */
static const struct restore_step end_steps[] = {
	{"hold", .all = hold_all},
	{"agent's end", .space = unmap, .ends = true},
	{"registers", .thread = final_thread, .ends = true},
	{"deadlines", .thread = thread_deadline_restore, .ends = true},
	{"dispatch of system calls", .thread = thread_dispatch_restore, .ends = true},
	{"stopped", .task = stop_again, .ends = true},
};

static const struct restore_step traced_steps[] = {
	{"traced threads", .all = traced_restore},
};

const struct restore_part restore_plan = {plan_steps, ARRAY_SIZE(plan_steps)};
const struct restore_part restore_fork = {fork_steps, ARRAY_SIZE(fork_steps)};
const struct restore_part restore_rest = {restore_steps, ARRAY_SIZE(restore_steps)};
const struct restore_part restore_end = {end_steps, ARRAY_SIZE(end_steps)};
const struct restore_part restore_traced = {traced_steps, ARRAY_SIZE(traced_steps)};
