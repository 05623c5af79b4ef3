/* SPDX-License-Identifier: Apache-2.0 */
/* Getting tasks into namespaces that the root of the tree is not in. */
#include "state/ns/spaces_restore.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

static int enter(struct batch *b, struct restore *r, enum ns_kind kind, uint32_t id)
{
	int fd, tfd, ret = spaces_fd(r, kind, id, &fd);

	if (ret < 0)
		return ret;
	batch_recv_fds(b, &fd, 1, &tfd);
	ret = batch_run(b);
	if (ret < 0)
		return ret;
	batch_add(b, SYS_setns, IMM(tfd), IMM(ns_infos[kind].flag));
	batch_add(b, SYS_close, IMM(tfd));
	return batch_run(b);
}

static int enter_mounts(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	uint32_t id = spaces_task_id(t, NS_MNT);

	if (id == t->mounts)
		return 0;
	t->mounts = id;
	rtask_batch(t, &b);
	return enter(&b, r, NS_MNT, id);
}

/* fs/namespace.c: mntns_install(): not when others have the same directories. */
int spaces_enter_early(struct restore *r, struct rtask *t)
{
	return r->spaces && r->spaces->len && t->core && !t->zombie ? enter_mounts(r, t) : 0;
}

/* Pid namespaces are entered by being born there. */

#define PIDS_UNKNOWN UINT32_MAX /* of one whose only process has ended */

static uint32_t pids_of(const struct restore *r, const struct rtask *t)
{
	const struct rtask *p = t->parent >= 0 ? restore_task(r, (unsigned)t->parent) : NULL;
	json_t *children = p ? json_object_get(p->extra, "children_pid_ns") : NULL;

	if (!t->helper && !t->zombie)
		return spaces_task_id(t, NS_PID);
	if (!p || t->nlevels == p->nlevels)
		return p ? pids_of(r, p) : 0;
	return children ? (uint32_t)json_integer_value(children) : PIDS_UNKNOWN;
}

static int fork_into(struct restore *r, struct rtask *t, uint32_t id)
{
	CLEANUP(batch_end) struct batch b = {0};

	if (t->forks == id)
		return 0;
	t->forks = id;
	rtask_batch(t, &b);
	return enter(&b, r, NS_PID, id);
}

static int unshare_pids(struct rtask *t, uint32_t id)
{
	CLEANUP(batch_end) struct batch b = {0};

	t->forks = id;
	rtask_batch(t, &b);
	batch_add(&b, SYS_unshare, IMM(CLONE_NEWPID));
	return batch_run(&b);
}

int spaces_before_fork(struct restore *r, struct rtask *parent, struct rtask *child,
		       uint64_t *flags)
{
	uint32_t id = pids_of(r, child);
	const struct rspace *s = spaces_get(r, NS_PID, id);
	const struct rspace *users = s ? spaces_get(r, NS_USER, s->owner) : NULL;
	json_t *children = json_object_get(parent->extra, "children_pid_ns");
	int ret;

	if (id == parent->forks || (id && id != PIDS_UNKNOWN && s && s->fd >= 0) || !id)
		return fork_into(r, parent, id);
	/* its first process: from a namespace of its own only, copy_pid_ns() */
	ret = fork_into(r, parent, pids_of(r, parent));
	if (ret == 0 && users && users->id != parent->users) {
		*flags |= CLONE_NEWUSER | CLONE_NEWPID;
		return spaces_become_owner(r, users, parent, child);
	}
	if (ret == 0 && children && (uint32_t)json_integer_value(children) == id)
		return unshare_pids(parent, id);
	*flags |= CLONE_NEWPID;
	return ret;
}

int spaces_after_fork(struct restore *r, struct rtask *parent, struct rtask *child)
{
	struct rspace *s = spaces_get(r, NS_PID, pids_of(r, child));
	struct rspace *users = s ? spaces_get(r, NS_USER, s->owner) : NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret;

	child->forks = pids_of(r, child);
	child->users = parent->users;
	if (!s || s->fd >= 0)
		return 0;
	ret = proc_open(rtask_pid(child), &p);
	if (ret == 0)
		ret = ns_open(p.dir, NS_PID, &s->fd);
	if (ret == 0 && users && users->id != parent->users)
		ret = spaces_born_users(r, users, parent, child);
	return ret;
}

/* Where its next children go. */
static int settle_children(struct restore *r, struct rtask *t, struct batch *b)
{
	json_t *children = json_object_get(t->extra, "children_pid_ns");
	uint32_t id = children ? (uint32_t)json_integer_value(children) : pids_of(r, t);

	if (children && !id) { /* nobody is there yet */
		int ret = fork_into(r, t, pids_of(r, t));

		return ret < 0 ? ret : unshare_pids(t, PIDS_UNKNOWN);
	}
	return fork_into(r, t, id);
}

/* Its root is the control groups of whoever makes it: cgroup_namespaces(7). */
int spaces_enter_cgroups(struct restore *r, struct rtask *t, struct batch *b)
{
	uint32_t id = spaces_task_id(t, NS_CGROUP);
	struct rspace *s = id ? spaces_get(r, NS_CGROUP, id) : NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret;

	if (!s)
		return 0;
	if (s->fd >= 0)
		return enter(b, r, NS_CGROUP, id);
	batch_add(b, SYS_unshare, IMM(CLONE_NEWCGROUP));
	ret = batch_run(b);
	if (ret == 0)
		ret = proc_open(rtask_pid(t), &p);
	return ret < 0 ? ret : ns_open(p.dir, NS_CGROUP, &s->fd);
}

int spaces_enter_ipc(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	uint32_t id = spaces_task_id(t, NS_IPC);

	if (!id)
		return 0;
	rtask_batch(t, &b);
	return enter(&b, r, NS_IPC, id);
}

int spaces_enter(struct restore *r, struct rtask *t)
{
	const struct rspace *cgroups = spaces_get(r, NS_CGROUP, spaces_task_id(t, NS_CGROUP));
	CLEANUP(batch_end) struct batch b = {0};
	int ret = 0;

	if (!r->spaces || (!r->spaces->len && !json_object_get(t->extra, "children_pid_ns")))
		return 0;
	rtask_batch(t, &b);
	for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++)
		if (k != NS_MNT && k != NS_PID && k != NS_IPC && k != NS_CGROUP && k != NS_USER &&
		    spaces_task_id(t, (enum ns_kind)k))
			ret = enter(&b, r, (enum ns_kind)k, spaces_task_id(t, (enum ns_kind)k));
	if (ret == 0 && !(cgroups && cgroups->owner)) /* spaces_enter_users() */
		ret = spaces_enter_cgroups(r, t, &b);
	if (ret == 0)
		ret = settle_children(r, t, &b);
	return ret < 0 ? ret : enter_mounts(r, t);
}

bool spaces_wants_channel(const struct restore *r, const struct rtask *t)
{
	for (unsigned i = 0; i < r->nimages; i++)
		if (restore_task(r, restore_task(r, i)->files) == t &&
		    (json_object_get(restore_task(r, i)->extra, "thread_namespaces") ||
		     spaces_has_users(restore_task(r, i))))
			return true;
	return false;
}

int spaces_enter_thread(struct restore *r, struct rthread *h)
{
	json_t *all = json_object_get(h->task->extra, "thread_namespaces"), *one;
	CLEANUP(batch_end) struct batch b = {0};
	char tid[16];
	int ret = 0;

	if (!all)
		return 0;
	snprintf(tid, sizeof(tid), "%d", h->nstid);
	one = json_object_get(all, tid);
	rthread_batch(h, &b);
	for (unsigned k = 0; one && ret == 0 && k < NS_COUNT; k++) {
		json_t *id = json_object_get(one, ns_infos[k].name);

		if (id)
			ret = enter(&b, r, (enum ns_kind)k, (uint32_t)json_integer_value(id));
	}
	return ret;
}
