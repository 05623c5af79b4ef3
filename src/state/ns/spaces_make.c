/* SPDX-License-Identifier: Apache-2.0 */
/* Making namespaces that the root of the tree is not in. */
#include "state/ns/spaces_restore.h"

#include "image/netdev.pb-c.h"
#include "image/utsns.pb-c.h"
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

/* In a process of ours that is in the box's user namespace. */
struct making {
	enum ns_kind kind;
	int proc;   /* O_PATH, of our own /proc */
	bool users; /* the box has a user namespace of its own */
	const UtsnsEntry *uts;
	struct mnt_plan *plan;
	bool inside; /* the plan's users come last, who are not those of the box */
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

static int make_mounts(const struct making *m)
{
	int r = mnt_plan_make(m->plan);

	return r == 0 && m->inside ? mnt_plan_enter(m->plan) : r;
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
		r = make_mounts(m);
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
int spaces_users_of_box(struct restore *r, int *ret_fd)
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

static int run(struct restore *r, const struct rspace *s, struct making *m, const int *with,
	       unsigned n, int *ret_fd)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), users = -1;
	int all[NS_COUNT + 1];
	const struct rspace *owner = spaces_get(r, NS_USER, s->owner);
	int ret = proc < 0 ? err_errno("open /proc") : 0;

	if (ret == 0 && (!owner || m->inside))
		ret = spaces_users_of_box(r, &users);

	for (unsigned i = 0; i < n; i++)
		all[i] = with[i];
	all[n] = owner && !m->inside ? owner->fd : users;
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

static int take_external(struct restore *r, struct rspace *s, const char *key)
{
	int fd = restore_inherited(r, key);

	if (fd < 0)
		return err_set(EINVAL, "it is external; use --inherit-fd fd[N]:%s", key);
	s->external = true;
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return s->fd < 0 ? err_errno("dup") : 0;
}

static int make_net(struct restore *r, struct rspace *s)
{
	CLEANUP(image_record_free) NetnsEntry *e = NULL;
	struct making m = {.kind = NS_NET};
	struct net_options o;
	int ret = image_load_optional(r->o.images, IMG_NETNS, s->id, &e);

	if (ret >= 0 && e && e->ext_key)
		return take_external(r, s, e->ext_key);
	if (ret >= 0)
		ret = run(r, s, &m, NULL, 0, &s->fd);
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

		if (s->kind != NS_NET || s->external)
			continue;
		o = net_options(r, s->id, s->fd);
		ret = net_restore_rest(&o, r->extra);
		if (ret < 0)
			return err_wrap(ret, "net namespace %u", s->id);
	}
	if (ret < 0 || !r->o.network_made)
		return ret;
	ret = spaces_home(r, NS_NET, &fd);
	if (ret < 0)
		return ret;
	o = net_options(r, root_net(r), fd);
	return net_waits(&o) == 1 ? net_restore_rest(&o, r->extra) : 0;
}

int spaces_firewalls(struct restore *r)
{
	int ret = 0, fd;

	for (unsigned i = 0; ret == 0 && r->spaces && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind != NS_NET || s->external)
			continue;
		ret = net_firewall_restore(r->o.images, s->id, s->fd, r->extra);
		if (ret < 0)
			return err_wrap(ret, "net namespace %u", s->id);
	}
	if (ret < 0 || !r->o.network_made)
		return ret;
	ret = spaces_home(r, NS_NET, &fd);
	return ret < 0 ? ret : net_firewall_restore(r->o.images, root_net(r), fd, r->extra);
}

static int make_uts(struct restore *r, struct rspace *s)
{
	CLEANUP(image_record_free) UtsnsEntry *e = NULL;
	struct making m = {.kind = NS_UTS};
	int ret = image_load_needed(r->o.images, IMG_UTSNS, s->id, &e);

	m.uts = e;
	return ret < 0 ? ret : run(r, s, &m, NULL, 0, &s->fd);
}

static int make_ipc(struct restore *r, struct rspace *s)
{
	struct making m = {.kind = NS_IPC};
	int ret = run(r, s, &m, NULL, 0, &s->fd);

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
	int e = mnt_records(r->o.images, nsids_of(ids, NS_MNT), r->extra, &o->records);

	if (e < 0) {
		g_free(o);
		return e;
	}
	g_ptr_array_add(ret, o);
	e = spaces_home(r, NS_MNT, &o->ns);
	for (unsigned i = 0; e == 0 && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind != NS_MNT || s->fd < 0)
			continue;
		o = g_new0(struct mnt_outer, 1);
		*o = (struct mnt_outer){.ns = s->fd,
					.inside = s->owner != 0,
					.records = g_ptr_array_ref(s->records)};
		g_ptr_array_add(ret, o);
	}
	return e;
}

struct whose { /* mnt_options.arg: the namespace that is being made */
	struct restore *r;
	GPtrArray *maps; /* of its users */
};

static int pids_of_mount(void *arg, uint32_t mnt_id)
{
	struct restore *r = ((const struct whose *)arg)->r;
	uint32_t space;
	char id[16];
	int fd;

	snprintf(id, sizeof(id), "%u", mnt_id);
	space = (uint32_t)json_integer_value(
		json_object_get(json_object_get(r->extra, "proc_mounts"), id));
	return space && spaces_fd(r, NS_PID, space, &fd) == 0 ? fd : -1;
}

static uint32_t number_inside(void *arg, bool group, uint32_t id)
{
	return spaces_number_inside(((const struct whose *)arg)->maps, group, id);
}

static int find_users(struct restore *r, const struct rspace *s, struct mnt_options *o,
		      GPtrArray **ret_maps)
{
	int ret = spaces_fd(r, NS_USER, s->owner, &o->users);

	if (ret == 0)
		ret = spaces_load_maps(r, s->owner, ret_maps);
	if (ret < 0)
		return ret;
	o->uid = spaces_first_number(*ret_maps, false);
	o->gid = spaces_first_number(*ret_maps, true);
	return 0;
}

static int make_mnt(struct restore *r, struct rspace *s)
{
	g_autoptr(GPtrArray) outer = g_ptr_array_new_with_free_func(outer_free);
	CLEANUP(mnt_plan_free) struct mnt_plan *plan = NULL;
	g_autoptr(GPtrArray) maps = NULL;
	struct whose whose = {.r = r};
	struct mnt_options o = {.images = r->o.images,
				.externals = r->o.externals,
				.nexternals = r->o.nexternals,
				.outer = outer,
				.extra = r->extra,
				.pids = pids_of_mount,
				.arg = &whose};
	struct making m = {.kind = NS_MNT, .inside = s->owner != 0};
	int with[NS_COUNT], pids, ret = spaces_home(r, NS_MNT, &o.space);
	unsigned n = 0;

	o.inside = s->owner != 0;
	o.number = number_inside;

	if (ret == 0) /* for pids_of_mount(), which is called where no path leads to it */
		ret = spaces_home(r, NS_PID, &pids);
	if (ret == 0 && o.inside)
		ret = find_users(r, s, &o, &maps);
	whose.maps = maps;
	if (ret == 0)
		ret = find_outer(r, outer);
	if (ret == 0)
		ret = mnt_plan_load(&o, s->id, &plan);
	/* what shows objects of a namespace shows those of whoever mounts it */
	for (unsigned k = 0; ret == 0 && s->of && k < NS_COUNT; k++)
		if (k == NS_NET || k == NS_IPC)
			ret = spaces_fd(r, (enum ns_kind)k, spaces_task_id(s->of, (enum ns_kind)k),
					&with[n++]);
	m.plan = plan;
	tmpfs_load();
	if (ret == 0)
		ret = run(r, s, &m, with, n, &s->fd);
	if (ret == 0)
		ret = ns_run(&s->fd, 1, open_root, NULL, &s->root);
	return ret < 0 ? ret : mnt_records(r->o.images, s->id, r->extra, &s->records);
}

static const struct {
	enum ns_kind kind;
	int (*make)(struct restore *r, struct rspace *s);
} makers[] = {{NS_USER, spaces_make_users},
	      {NS_NET, make_net},
	      {NS_UTS, make_uts},
	      {NS_IPC, make_ipc},
	      {NS_MNT, make_mnt}};

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

		for (unsigned k = 0; spaces_task_id(t, NS_MNT) && k < i; k++) {
			const struct rtask *o = restore_task(r, k);

			if (o->core && o->core->ids && !o->zombie &&
			    o->core->ids->fs_id == t->core->ids->fs_id)
				return true;
		}
	}
	return false;
}

/* What belongs to users that come with a process cannot be there before. */
static bool waits_for_tree(const struct restore *r)
{
	for (unsigned i = 0; i < r->spaces->len; i++)
		if (((const struct rspace *)g_ptr_array_index(r->spaces, i))->born)
			return true;
	return false;
}

static int make_before_mounts(struct restore *r)
{
	int ret = make_all(r, false);

	return ret == 0 && r->spaces->len ? complete_net(r) : ret;
}

int spaces_make(struct restore *r)
{
	int ret = restore_task(r, 0)->core->ids ? spaces_collect(r) : 0;

	if (ret < 0 || !r->spaces || waits_for_tree(r))
		return ret;
	ret = make_before_mounts(r);
	return ret == 0 && has_early(r) ? make_all(r, true) : ret;
}

int spaces_make_mounts(struct restore *r)
{
	int ret = r->spaces && waits_for_tree(r) ? make_before_mounts(r) : 0;

	return ret < 0 ? ret : make_all(r, true);
}
