/* SPDX-License-Identifier: Apache-2.0 */
/* Making namespaces that the root of the tree is not in, and getting tasks into them. */
#include "state/ns/spaces.h"

#include "image/ns.pb-c.h"
#include "image/utsns.pb-c.h"
#include "state/fd/kind.h"
#include "state/ns/mnt.h"
#include "state/ns/net.h"
#include "state/ns/ns.h"
#include "state/ns/nsids.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* 0: not known, or that of the root. */
static uint32_t task_id(const struct rtask *t, enum ns_kind kind)
{
	const TaskKobjIdsEntry *root = restore_task(t->restore, 0)->core->ids;
	const TaskKobjIdsEntry *its = t->core && !t->zombie ? t->core->ids : NULL;
	uint32_t id = its ? nsids_of(its, kind) : 0;

	return root && id != nsids_of(root, kind) ? id : 0;
}

uint32_t spaces_number(const struct rtask *t, enum ns_kind kind)
{
	uint32_t id = task_id(t, kind);

	return id ? id : t->restore->nsids.v[kind];
}

static struct rspace *find(const struct restore *r, enum ns_kind kind, uint32_t id)
{
	for (unsigned i = 0; r->spaces && i < r->spaces->len; i++) {
		struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind == kind && s->id == id)
			return s;
	}
	return NULL;
}

static void space_free(void *p)
{
	struct rspace *s = p;

	cleanup_close(&s->fd);
	cleanup_close(&s->root);
	if (s->records)
		g_ptr_array_unref(s->records);
	g_free(s);
}

void spaces_free(struct restore *r)
{
	g_clear_pointer(&r->spaces, g_ptr_array_unref);
	for (unsigned k = 0; k < NS_COUNT; k++)
		cleanup_close(&r->home[k]);
}

static bool can_make(enum ns_kind kind)
{
	return kind != NS_USER && kind != NS_TIME;
}

static int add(struct restore *r, enum ns_kind kind, uint32_t id, const struct rtask *of)
{
	struct rspace *s;

	if (!id || find(r, kind, id))
		return 0;
	if (!can_make(kind))
		return err_set(EOPNOTSUPP,
			       "it was in another %s namespace than the first process, which "
			       "cannot be made",
			       ns_infos[kind].name);
	s = g_new0(struct rspace, 1);
	*s = (struct rspace){.kind = kind, .id = id, .fd = -1, .root = -1, .of = of};
	g_ptr_array_add(r->spaces, s);
	return 0;
}

static int add_of_threads(struct restore *r, const struct rtask *t)
{
	json_t *all = json_object_get(t->extra, "thread_namespaces"), *one;
	const char *tid;
	int ret = 0;

	json_object_foreach(all, tid, one) for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++) ret =
		add(r, (enum ns_kind)k,
		    (uint32_t)json_integer_value(json_object_get(one, ns_infos[k].name)), NULL);
	return ret;
}

static int add_of_files(struct restore *r)
{
	const TaskKobjIdsEntry *root = restore_task(r, 0)->core->ids;
	GHashTableIter it;
	struct file *f;
	int ret = 0;

	g_hash_table_iter_init(&it, r->files);
	while (ret == 0 && g_hash_table_iter_next(&it, NULL, (void **)&f)) {
		const NsFileEntry *e = f->kind == &fd_nsfile ? f->entry->nsf : NULL;

		for (unsigned k = 0; e && root && ret == 0 && k < NS_COUNT; k++)
			if ((unsigned)ns_infos[k].flag == e->ns_cflag &&
			    e->ns_id != nsids_of(root, (enum ns_kind)k))
				ret = add(r, (enum ns_kind)k, e->ns_id, NULL);
	}
	return ret;
}

/* Mounts come last: some show objects of the others; each shows what those before it do. */
static int by_kind(const void *a, const void *b)
{
	const struct rspace *x = *(struct rspace *const *)a, *y = *(struct rspace *const *)b;

	if ((x->kind == NS_MNT) != (y->kind == NS_MNT))
		return x->kind == NS_MNT ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static int collect(struct restore *r)
{
	int ret = 0;

	r->spaces = g_ptr_array_new_with_free_func(space_free);
	for (unsigned i = 0; ret == 0 && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++)
			ret = add(r, (enum ns_kind)k, task_id(t, (enum ns_kind)k), t);
		if (ret == 0)
			ret = add_of_threads(r, t);
		ret = rtask_wrap(t, ret);
	}
	if (ret == 0)
		ret = add_of_files(r);
	g_ptr_array_sort(r->spaces, by_kind);
	return ret;
}

/* The box's own namespace. */
static int home(struct restore *r, enum ns_kind kind, int *ret_fd)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = 0;

	if (r->home[kind] < 0) {
		ret = proc_open(r->stub.pid, &p);
		if (ret == 0)
			ret = ns_open(p.dir, kind, &r->home[kind]);
	}
	*ret_fd = r->home[kind];
	return ret;
}

int spaces_fd(struct restore *r, enum ns_kind kind, uint32_t id, int *ret_fd)
{
	const struct rspace *s = find(r, kind, id);

	if (!s)
		return home(r, kind, ret_fd);
	*ret_fd = s->fd;
	return 0;
}

bool spaces_is(const struct restore *r, enum ns_kind kind, uint32_t id)
{
	return find(r, kind, id) != NULL;
}

static const struct rspace *by_mount(const struct restore *r, int mnt_id)
{
	for (unsigned i = 0; mnt_id >= 0 && r->spaces && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		for (unsigned k = 0; s->records && k < s->records->len; k++)
			if (((const MntEntry *)g_ptr_array_index(s->records, k))->mnt_id ==
			    (uint32_t)mnt_id)
				return s;
	}
	return NULL;
}

uint32_t spaces_of_mount(const struct restore *r, int mnt_id)
{
	const struct rspace *s = by_mount(r, mnt_id);

	return s ? s->id : 0;
}

int spaces_root_of(const struct restore *r, int mnt_id)
{
	const struct rspace *s = by_mount(r, mnt_id);

	return s ? s->root : r->root;
}

/* In a process of ours that is in the box's user namespace. */
struct making {
	enum ns_kind kind;
	int proc;   /* O_PATH, of our own /proc */
	bool users; /* the box has a user namespace of its own */
	const UtsnsEntry *uts;
	struct mnt_plan *plan;
};

static int set_names(const UtsnsEntry *e)
{
	if (sethostname(e->nodename, strlen(e->nodename)) < 0 ||
	    setdomainname(e->domainname, strlen(e->domainname)) < 0)
		return err_errno("host name %s", e->nodename);
	return 0;
}

/* Files that it makes are to have an owner there. */
static int become_root(void)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ||
	    syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_errno("become root of the user namespace");
	return 0;
}

static int make_one(void *arg, int *ret_fd)
{
	struct making *m = arg;
	char name[32];
	int r = 0;

	r = m->users ? become_root() : 0;
	if (r < 0)
		return r;
	if (m->plan)
		r = mnt_plan_make(m->plan);
	else if (unshare(ns_infos[m->kind].flag) < 0)
		r = err_errno("new %s namespace", ns_infos[m->kind].name);
	if (r == 0 && m->uts)
		r = set_names(m->uts);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "self/ns/%s", ns_infos[m->kind].name);
	*ret_fd = openat(m->proc, name, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", name) : 0;
}

static int open_root(void *arg, int *ret_fd)
{
	*ret_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open its root directory") : 0;
}

/* What makes a namespace is its owner: the box's root. */
static int users_of_box(struct restore *r, int *ret_fd)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE, self = PROC_NONE;
	uint64_t its, ours;
	int ret = proc_open(r->stub.pid, &p);

	*ret_fd = -1;
	if (ret == 0)
		ret = proc_open(getpid(), &self);
	if (ret == 0)
		ret = ns_id(p.dir, NS_USER, &its);
	if (ret == 0)
		ret = ns_id(self.dir, NS_USER, &ours);
	return ret == 0 && its != ours ? ns_open(p.dir, NS_USER, ret_fd) : ret;
}

static int run(struct restore *r, struct making *m, const int *with, unsigned n, int *ret_fd)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), users = -1;
	int all[NS_COUNT + 1];
	int ret = proc < 0 ? err_errno("open /proc") : users_of_box(r, &users);

	for (unsigned i = 0; i < n; i++)
		all[i] = with[i];
	all[n] = users;
	m->proc = proc;
	m->users = users >= 0;
	return ret < 0 ? ret : ns_run(all, n + 1, make_one, m, ret_fd);
}

static int find_net(void *arg, uint32_t id, int *ret_fd)
{
	return spaces_fd(arg, NS_NET, id, ret_fd);
}

static uint32_t root_net(const struct restore *r)
{
	return r->nsids.v[NS_NET];
}

static struct net_options net_options(struct restore *r, uint32_t id, int ns)
{
	return (struct net_options){.images = r->o.images,
				    .id = id,
				    .ns = ns,
				    .weak_sysctls = r->o.weak_sysctls,
				    .root = root_net(r),
				    .find = find_net,
				    .arg = r};
}

static int make_net(struct restore *r, struct rspace *s)
{
	struct making m = {.kind = NS_NET};
	struct net_options o;
	int ret = run(r, &m, NULL, 0, &s->fd);

	if (ret < 0)
		return ret;
	o = net_options(r, s->id, s->fd);
	ret = net_restore_devices(&o, r->extra);
	return MIN(ret, 0);
}

/* When all devices of all namespaces are there; the root's, if it waited for them. */
static int complete_net(struct restore *r)
{
	struct net_options o;
	int ret = 0, fd;

	for (unsigned i = 0; ret == 0 && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind != NS_NET)
			continue;
		o = net_options(r, s->id, s->fd);
		ret = net_restore_rest(&o, r->extra);
		if (ret < 0)
			return err_wrap(ret, "net namespace %u", s->id);
	}
	if (ret < 0 || !r->o.network_made)
		return ret;
	ret = home(r, NS_NET, &fd);
	if (ret < 0)
		return ret;
	o = net_options(r, root_net(r), fd);
	return net_waits(&o) == 1 ? net_restore_rest(&o, r->extra) : 0;
}

static int make_uts(struct restore *r, struct rspace *s)
{
	CLEANUP(image_record_free) UtsnsEntry *e = NULL;
	struct making m = {.kind = NS_UTS};
	int ret = image_load_needed(r->o.images, IMG_UTSNS, s->id, &e);

	m.uts = e;
	return ret < 0 ? ret : run(r, &m, NULL, 0, &s->fd);
}

static int make_ipc(struct restore *r, struct rspace *s)
{
	struct making m = {.kind = NS_IPC};
	int ret = run(r, &m, NULL, 0, &s->fd);

	return ret < 0 ? ret : ipc_restore_space(r, s->id, s->fd);
}

static void outer_free(void *p)
{
	struct mnt_outer *o = p;

	g_ptr_array_unref(o->records);
	g_free(o);
}

/* The root's namespace and those that are made already. */
static int find_outer(struct restore *r, GPtrArray *ret)
{
	const TaskKobjIdsEntry *ids = restore_task(r, 0)->core->ids;
	struct mnt_outer *o = g_new0(struct mnt_outer, 1);
	int e = image_load_all(r->o.images, IMG_MNTS, nsids_of(ids, NS_MNT), &o->records);

	if (e < 0) {
		g_free(o);
		return e;
	}
	g_ptr_array_add(ret, o);
	e = home(r, NS_MNT, &o->ns);
	for (unsigned i = 0; e == 0 && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind != NS_MNT || s->fd < 0)
			continue;
		o = g_new0(struct mnt_outer, 1);
		*o = (struct mnt_outer){.ns = s->fd, .records = g_ptr_array_ref(s->records)};
		g_ptr_array_add(ret, o);
	}
	return e;
}

static int pids_of_mount(void *arg, uint32_t mnt_id)
{
	struct restore *r = arg;
	const struct rspace *s;
	char id[16];

	snprintf(id, sizeof(id), "%u", mnt_id);
	s = find(r, NS_PID,
		 (uint32_t)json_integer_value(
			 json_object_get(json_object_get(r->extra, "proc_mounts"), id)));
	return s ? s->fd : -1;
}

static int make_mnt(struct restore *r, struct rspace *s)
{
	g_autoptr(GPtrArray) outer = g_ptr_array_new_with_free_func(outer_free);
	CLEANUP(mnt_plan_free) struct mnt_plan *plan = NULL;
	struct mnt_options o = {.images = r->o.images,
				.externals = r->o.externals,
				.nexternals = r->o.nexternals,
				.outer = outer,
				.extra = r->extra,
				.pids = pids_of_mount,
				.arg = r};
	struct making m = {.kind = NS_MNT};
	int with[NS_COUNT], ret = home(r, NS_MNT, &o.space);
	unsigned n = 0;

	if (ret == 0)
		ret = find_outer(r, outer);
	if (ret == 0)
		ret = mnt_plan_load(&o, s->id, &plan);
	/* what shows objects of a namespace shows those of whoever mounts it */
	for (unsigned k = 0; ret == 0 && s->of && k < NS_COUNT; k++)
		if (k == NS_NET || k == NS_IPC)
			ret = spaces_fd(r, (enum ns_kind)k, task_id(s->of, (enum ns_kind)k),
					&with[n++]);
	m.plan = plan;
	tmpfs_load();
	if (ret == 0)
		ret = run(r, &m, with, n, &s->fd);
	if (ret == 0)
		ret = ns_run(&s->fd, 1, open_root, NULL, &s->root);
	return ret < 0 ? ret : image_load_all(r->o.images, IMG_MNTS, s->id, &s->records);
}

static const struct {
	enum ns_kind kind;
	int (*make)(struct restore *r, struct rspace *s);
} makers[] = {{NS_NET, make_net}, {NS_UTS, make_uts}, {NS_IPC, make_ipc}, {NS_MNT, make_mnt}};

static int make_all(struct restore *r, bool mounts)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && r->spaces && i < r->spaces->len; i++) {
		struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->fd >= 0 || (s->kind == NS_MNT) != mounts)
			continue;
		for (unsigned k = 0; k < ARRAY_SIZE(makers); k++)
			if (makers[k].kind == s->kind)
				ret = makers[k].make(r, s);
		if (ret < 0)
			return err_wrap(ret, "%s namespace %u", ns_infos[s->kind].name, s->id);
	}
	return ret;
}

/* fs/namespace.c: mntns_install(): whoever shares its directories enters before others have them.
 */
static bool has_early(const struct restore *r)
{
	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; task_id(t, NS_MNT) && k < i; k++) {
			const struct rtask *o = restore_task(r, k);

			if (o->core && o->core->ids && !o->zombie &&
			    o->core->ids->fs_id == t->core->ids->fs_id)
				return true;
		}
	}
	return false;
}

int spaces_make(struct restore *r)
{
	int ret = restore_task(r, 0)->core->ids ? collect(r) : 0;

	if (ret == 0)
		ret = make_all(r, false);
	if (ret == 0 && r->spaces && r->spaces->len)
		ret = complete_net(r);
	return ret == 0 && r->spaces && has_early(r) ? make_all(r, true) : ret;
}

int spaces_make_mounts(struct restore *r)
{
	return make_all(r, true);
}

/* Tasks. */

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
	uint32_t id = task_id(t, NS_MNT);

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
		return task_id(t, NS_PID);
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
	const struct rspace *s = find(r, NS_PID, id);
	json_t *children = json_object_get(parent->extra, "children_pid_ns");
	int ret;

	if (id == parent->forks || (id && id != PIDS_UNKNOWN && s && s->fd >= 0) || !id)
		return fork_into(r, parent, id);
	/* its first process: from a namespace of its own only, copy_pid_ns() */
	ret = fork_into(r, parent, pids_of(r, parent));
	if (ret == 0 && children && (uint32_t)json_integer_value(children) == id)
		return unshare_pids(parent, id);
	*flags |= CLONE_NEWPID;
	return ret;
}

int spaces_after_fork(struct restore *r, struct rtask *parent, struct rtask *child)
{
	struct rspace *s = find(r, NS_PID, pids_of(r, child));
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret;

	child->forks = pids_of(r, child);
	if (!s || s->fd >= 0)
		return 0;
	ret = proc_open(rtask_pid(child), &p);
	return ret < 0 ? ret : ns_open(p.dir, NS_PID, &s->fd);
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
static int enter_cgroups(struct restore *r, struct rtask *t, struct batch *b)
{
	uint32_t id = task_id(t, NS_CGROUP);
	struct rspace *s = id ? find(r, NS_CGROUP, id) : NULL;
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
	uint32_t id = task_id(t, NS_IPC);

	if (!id)
		return 0;
	rtask_batch(t, &b);
	return enter(&b, r, NS_IPC, id);
}

int spaces_enter(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	int ret = 0;

	if (!r->spaces || (!r->spaces->len && !json_object_get(t->extra, "children_pid_ns")))
		return 0;
	rtask_batch(t, &b);
	for (unsigned k = 0; ret == 0 && k < NS_COUNT; k++)
		if (k != NS_MNT && k != NS_PID && k != NS_IPC && k != NS_CGROUP &&
		    task_id(t, (enum ns_kind)k))
			ret = enter(&b, r, (enum ns_kind)k, task_id(t, (enum ns_kind)k));
	if (ret == 0)
		ret = enter_cgroups(r, t, &b);
	if (ret == 0)
		ret = settle_children(r, t, &b);
	return ret < 0 ? ret : enter_mounts(r, t);
}

bool spaces_wants_channel(const struct restore *r, const struct rtask *t)
{
	for (unsigned i = 0; i < r->nimages; i++)
		if (restore_task(r, restore_task(r, i)->files) == t &&
		    json_object_get(restore_task(r, i)->extra, "thread_namespaces"))
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
