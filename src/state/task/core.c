/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/task.h"

#include "base/parallel.h"
#include "state/ns/nsids.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* task_core_entry.task_state: CRIU's COMPEL_TASK_* */
#define TASK_ALIVE   0x1u
#define TASK_DEAD    0x2u
#define TASK_STOPPED 0x3u

static CoreEntry *core_new(void)
{
	CoreEntry *c = g_new0(CoreEntry, 1);

	core_entry__init(c);
	c->mtype = CORE_ENTRY__MARCH__X86_64;
	return c;
}

static void add_thread_core(CoreEntry *c)
{
	c->thread_core = g_new0(ThreadCoreEntry, 1);
	thread_core_entry__init(c->thread_core);
}

/* Objects of the task are its own. */
TaskKobjIdsEntry *task_ids_new(const struct dtask *t)
{
	TaskKobjIdsEntry *e = g_new0(TaskKobjIdsEntry, 1);
	const uint64_t *ns = spaces_of(t->dump, t->proc.pid);

	task_kobj_ids_entry__init(e);
	e->vm_id = t->vm + 1;
	e->sighand_id = t->sighand + 1;
	e->fs_id = t->fs + 1;
	e->files_id = t->files + 1;
	e->has_pid_ns_id = e->has_net_ns_id = e->has_ipc_ns_id = e->has_uts_ns_id = true;
	e->has_mnt_ns_id = e->has_user_ns_id = e->has_cgroup_ns_id = e->has_time_ns_id = true;
	e->pid_ns_id = spaces_id(t->dump, NS_PID, ns[NS_PID]);
	e->net_ns_id = spaces_id(t->dump, NS_NET, ns[NS_NET]);
	e->ipc_ns_id = spaces_id(t->dump, NS_IPC, ns[NS_IPC]);
	e->uts_ns_id = spaces_id(t->dump, NS_UTS, ns[NS_UTS]);
	e->mnt_ns_id = spaces_id(t->dump, NS_MNT, ns[NS_MNT]);
	e->user_ns_id = spaces_id(t->dump, NS_USER, ns[NS_USER]);
	e->cgroup_ns_id = spaces_id(t->dump, NS_CGROUP, ns[NS_CGROUP]);
	e->time_ns_id = spaces_id(t->dump, NS_TIME, ns[NS_TIME]);
	return e;
}

int core_dump_begin(struct dump *d, struct dtask *t)
{
	CoreEntry *c = core_new();

	t->core = c;
	t->extra = json_object();
	c->tc = g_new0(TaskCoreEntry, 1);
	task_core_entry__init(c->tc);
	c->tc->task_state = t->zombie ? TASK_DEAD : TASK_ALIVE;
	c->tc->comm = g_strdup(t->stat.comm);
	c->tc->flags = t->stat.flags;
	if (t->parent >= 0 && t->stat.exit_signal != SIGCHLD)
		json_object_set_new(t->extra, "exit_signal", json_integer(t->stat.exit_signal));
	if (t->zombie) {
		c->tc->exit_code = (uint32_t)t->stat.exit_code;
		zombie_ids_dump(t);
		return 0;
	}
	c->ids = task_ids_new(t);
	for (unsigned i = 0; i < t->nthreads; i++) {
		struct dthread *h = &t->threads[i];

		h->core = i || t->leader_dead ? core_new() : c;
		add_thread_core(h->core);
		if (seized_at(&t->seized, i)->job_stopped) {
			c->tc->task_state = TASK_STOPPED;
			c->tc->has_stop_signo = true;
			c->tc->stop_signo = seized_at(&t->seized, i)->stop_signal;
		}
	}
	return 0;
}

void core_keep_extra(struct dump *d, struct dtask *t)
{
	json_t *tasks = json_object_get(d->extra, "tasks");
	char pid[16];

	if (!json_object_size(t->extra))
		return;
	if (!tasks)
		json_object_set_new(d->extra, "tasks", tasks = json_object());
	g_snprintf(pid, sizeof(pid), "%d", t->nspid);
	json_object_set(tasks, pid, t->extra);
}

int core_dump_end(struct dump *d, struct dtask *t)
{
	int r;

	leader_dump(t);
	r = image_write(&d->w, IMG_CORE, (uint64_t)t->nspid, &t->core->base);

	if (r == 0 && t->core->ids) /* also alone, where crit looks for it */
		r = image_write(&d->w, IMG_IDS, (uint64_t)t->nspid, &t->core->ids->base);
	for (unsigned i = !t->leader_dead; r == 0 && i < t->nthreads; i++)
		r = image_write(&d->w, IMG_CORE, (uint64_t)t->threads[i].nstid,
				&t->threads[i].core->base);
	if (r == 0 && t->zombie)
		r = zombie_dump(d, t);
	core_keep_extra(d, t);
	return r;
}

/* Side by side; what cannot be read is read again by load_thread(), which says why. */
static void preload(void *task, unsigned i)
{
	const struct rtask *t = task;
	struct rthread *h = &t->threads[i];

	if (!h->core &&
	    image_load_needed(t->restore->o.images, IMG_CORE, (uint64_t)h->nstid, &h->core) < 0)
		err_clear();
}

static int load_thread(struct restore *r, struct rthread *h)
{
	int ret;

	if (!h->core) {
		ret = image_load_needed(r->o.images, IMG_CORE, (uint64_t)h->nstid, &h->core);
		if (ret < 0)
			return ret;
	}
	if (h->core->mtype != CORE_ENTRY__MARCH__X86_64)
		return err_set(EOPNOTSUPP, "core-%d.img is not of an x86-64 process", h->nstid);
	if (!h->core->thread_core)
		return err_set(EBADMSG, "core-%d.img has no thread_core", h->nstid);
	ret = regs_load(h);
	if (ret == 0)
		ret = creds_load(h);
	return ret < 0 ? err_wrap(ret, "core-%d.img", h->nstid) : 0;
}

int core_load(struct restore *r, struct rtask *t)
{
	char pid[16];
	int ret = image_load_needed(r->o.images, IMG_CORE, (uint64_t)t->nspid, &t->core);

	if (ret < 0)
		return ret;
	if (!t->core->tc)
		return err_set(EBADMSG, "core-%d.img has no tc", t->nspid);
	g_snprintf(pid, sizeof(pid), "%d", t->nspid);
	t->extra = json_object_get(json_object_get(r->extra, "tasks"), pid);
	switch (t->core->tc->task_state) {
	case TASK_DEAD:
		t->zombie = true;
		return 0;
	case TASK_ALIVE:
	case TASK_STOPPED:
		break;
	default:
		return err_set(EOPNOTSUPP, "core-%d.img: state %u is not known", t->nspid,
			       t->core->tc->task_state);
	}
	ret = nsids_complete(r->o.images, t->nspid, t->core);
	if (ret == 0 && !t->core->ids)
		return err_set(EBADMSG, "core-%d.img has no ids, and there is no ids-%d.img",
			       t->nspid, t->nspid);
	t->threads[0].core = t->core;
	if (ret == 0)
		parallel_run(t->nthreads, preload, t);
	for (unsigned i = 0; ret == 0 && i < t->nthreads; i++)
		ret = load_thread(r, &t->threads[i]);
	return ret;
}

bool rtask_is_stopped(const struct rtask *t)
{
	return t->core->tc->task_state == TASK_STOPPED;
}
