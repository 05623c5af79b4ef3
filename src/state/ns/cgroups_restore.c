/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and threads go into their control groups. */
#include "state/ns/cgroups_parts.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* "CONTROLLER:/PATH" or "/PATH": where the root of the tree goes in the hierarchy NAME; or NULL. */
const char *cgroups_new_root(char *const *roots, const char *name)
{
	g_auto(GStrv) controllers = g_strsplit(name, ",", -1);
	const char *all = NULL;

	for (; roots && *roots; roots++) {
		const char *path = strstr(*roots, ":/");
		g_autofree char *controller =
			path ? g_strndup(*roots, (size_t)(path - *roots)) : NULL;

		if (**roots == '/' || **roots == ':')
			all = *roots + (**roots == ':');
		else if (path && (g_strv_contains((const char *const *)controllers, controller) ||
				  strcmp(name, controller) == 0))
			return path + 1;
	}
	return all;
}

static const char *path_in(const CgSetEntry *s, const char *name)
{
	for (size_t i = 0; s && i < s->n_ctls; i++)
		if (strcmp(s->ctls[i]->name, name) == 0)
			return s->ctls[i]->path;
	return "/";
}

char *cgroups_rebase(const struct cgroups *c, const char *name, const char *path)
{
	const char *to = cgroups_new_root(c->roots, name), *from = path_in(c->e->sets[0], name);
	size_t len = strcmp(from, "/") == 0 ? 0 : strlen(from);

	if (!to || strncmp(path, from, len) != 0 || (path[len] && path[len] != '/'))
		return g_strdup(path);
	return g_build_filename(to, path + len, NULL);
}

int cgroups_load(int images, enum cgroups_mode mode, char *const *roots, struct cgroups *ret)
{
	int r = image_load_optional(images, IMG_CGROUP, 0, &ret->e);

	ret->mode = mode;
	ret->roots = roots;
	if (r == 0 && ret->e->n_sets == 0)
		return err_set(EBADMSG, "cgroup.img: there is no set");
	return r;
}

void cgroups_clear(struct cgroups *c)
{
	if (c->e)
		cgroup_entry__free_unpacked(c->e, NULL);
	c->e = NULL;
}

struct entering {
	int dir; /* /proc/PID, or /proc/PID/task/TID */
	pid_t id;
	bool thread;
};

static int enter(const struct cgroups *c, const struct cgroup_host *h, const CgMemberEntry *m,
		 const struct entering *who)
{
	g_autofree char *path = cgroups_rebase(c, m->name, m->path), *now = NULL;
	const char *list = !who->thread ? "cgroup.procs" : *m->name ? "tasks" : "cgroup.threads";
	autoclose int top = -1, fd = -1;
	char number[16];
	int r = cgroup_of(who->dir, m->name, &now);

	if (r < 0 || strcmp(now, path) == 0 || strstr(path, "/.."))
		return r;
	r = cgroups_open(h, c->yard, m->name, &top);
	if (r < 0)
		return r;
	fd = openat(top, cgroups_relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("control group %s of %s", path, m->name);
	snprintf(number, sizeof(number), "%d", who->id);
	return file_poke_at(fd, list, number);
}

static int enter_set(const struct cgroups *c, uint32_t set, const struct entering *who)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	int r = cgroup_host_ours(&h);

	for (size_t i = 0; r == 0 && i < c->e->n_sets; i++)
		for (size_t k = 0; r == 0 && c->e->sets[i]->id == set && k < c->e->sets[i]->n_ctls;
		     k++)
			r = enter(c, &h, c->e->sets[i]->ctls[k], who);
	return r;
}

int cgroups_enter(const struct cgroups *c, uint32_t set, pid_t pid)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(pid, &p);

	return r < 0 ? r : enter_set(c, set, &(struct entering){.dir = p.dir, .id = p.pid});
}

int cgroups_restore(struct restore *r)
{
	CLEANUP(cgroups_clear) struct cgroups c = {0};
	const CoreEntry *root = restore_task(r, 0)->core;
	int ret;

	if (!r->o.manage_cgroups)
		return 0;
	ret = cgroups_load(r->o.images, CGROUPS_NONE, r->o.cgroup_roots, &c);
	c.yard = r->o.cgroup_yard;
	for (unsigned i = 1; ret == 0 && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);
		const TaskCoreEntry *tc = t->core->tc;

		if (!t->zombie && tc->has_cg_set && tc->cg_set != root->tc->cg_set)
			ret = rtask_wrap(t, cgroups_enter(&c, tc->cg_set, rtask_pid(t)));
	}
	return ret < 0 ? ret : 0;
}

static int enter_thread(const struct cgroups *c, const struct rthread *h)
{
	g_autofree char *path = NULL;
	struct entering who = {.thread = true, .id = agent_tid(h->task->restore->agent, h->slot)};
	autoclose int dir = -1;

	path = g_strdup_printf("/proc/%d/task/%d", rtask_pid(h->task), who.id);
	who.dir = dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_errno("open %s", path)
		       : enter_set(c, h->core->thread_core->cg_set, &who);
}

int cgroups_restore_threads(struct restore *r)
{
	CLEANUP(cgroups_clear) struct cgroups c = {0};
	int ret = 0;

	for (unsigned i = 0; r->o.manage_cgroups && ret == 0 && i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; ret == 0 && k < t->nthreads; k++) {
			const struct rthread *h = &t->threads[k];
			const ThreadCoreEntry *tc = h->core ? h->core->thread_core : NULL;

			if (t->zombie || h->gone || !tc || !tc->has_cg_set ||
			    !t->core->tc->has_cg_set || tc->cg_set == t->core->tc->cg_set)
				continue;
			if (!c.e)
				ret = cgroups_load(r->o.images, CGROUPS_NONE, r->o.cgroup_roots,
						   &c);
			c.yard = r->o.cgroup_yard;
			if (ret == 0)
				ret = rtask_wrap(t, enter_thread(&c, h));
		}
	}
	return ret < 0 ? ret : 0;
}
