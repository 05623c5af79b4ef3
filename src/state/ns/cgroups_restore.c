/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ns/cgroups_parts.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char *name_of(const CgControllerEntry *c)
{
	g_autofree char **words = g_new0(char *, c->n_cnames + 1);

	memcpy(words, c->cnames, c->n_cnames * sizeof(*words));
	return g_strjoinv(",", words);
}

/* Nothing is allowed, then what was: "c 1:3 rwm" on each line (cgroup-v1/devices). */
static int write_devices(int dir, const char *list)
{
	g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
	int r = file_poke_at(dir, "devices.deny", "a");

	for (char **l = lines; r == 0 && *l; l++)
		if (**l)
			r = file_poke_at(dir, "devices.allow", *l);
	return r;
}

static void write_settings(int dir, const char *controllers, const CgroupDirEntry *e)
{
	for (size_t i = 0; i < e->n_properties; i++) {
		const CgroupPropEntry *p = e->properties[i];

		if (!cgroups_is_setting(p->name, controllers) || !*p->value)
			continue;
		/* some are fixed by others, or by a group above: its owner's business */
		if ((strcmp(p->name, "devices.list") == 0
			     ? write_devices(dir, p->value)
			     : file_poke_at(dir, p->name, p->value)) < 0) {
			log_info("control group %s: %s", e->dir_name, err_message());
			err_clear();
		}
	}
}

static int make_dir(int top, const char *controllers, const CgroupDirEntry *e, const char *path,
		    enum cgroups_mode mode)
{
	autoclose int fd = -1;
	bool made = false;
	int r = 0;

	if (mode != CGROUPS_NONE && mode != CGROUPS_PROPS) {
		g_autofree char *parent = g_path_get_dirname(cgroups_relative(path));
		g_autofree char *above = g_strdup_printf("/proc/self/fd/%d/%s", top, parent);

		r = file_mkdirs(above, 0755);
		if (r < 0)
			return r;
		made = mkdirat(top, cgroups_relative(path), 0755) == 0;
		if (!made && errno != EEXIST)
			return err_errno("make control group %s", path);
		if (!made && mode == CGROUPS_STRICT)
			return err_set(EEXIST, "control group %s is there already (strict)", path);
	}
	fd = openat(top, cgroups_relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("control group %s", path);
	if (made && e->dir_perms && fchown(fd, e->dir_perms->uid, e->dir_perms->gid) < 0)
		return err_errno("owner of control group %s", path);
	if (made || mode == CGROUPS_FULL || mode == CGROUPS_PROPS)
		write_settings(fd, controllers, e);
	for (size_t i = 0; r == 0 && i < e->n_children; i++) {
		g_autofree char *below = g_build_filename(path, e->children[i]->dir_name, NULL);

		r = make_dir(top, controllers, e->children[i], below, mode);
	}
	return r;
}

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

/* PATH as it is with the tree's root moved: what is below the root moves along. */
static char *rebase(const struct cgroups *c, const char *name, const char *path)
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

int cgroups_make(const struct cgroups *c)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	int r = cgroup_host_ours(&h);

	for (size_t i = 0; r == 0 && i < c->e->n_controllers; i++) {
		const CgControllerEntry *one = c->e->controllers[i];
		g_autofree char *name = name_of(one);
		autoclose int top = -1;

		if (one->n_dirs)
			r = cgroups_open(&h, c->yard, name, &top);
		for (size_t k = 0; r == 0 && k < one->n_dirs; k++) {
			g_autofree char *path = rebase(c, name, one->dirs[k]->dir_name);

			if (!strstr(path, "/.."))
				r = make_dir(top, name, one->dirs[k], path, c->mode);
		}
	}
	return r;
}

static int enter(const struct cgroups *c, const struct cgroup_host *h, const CgMemberEntry *m,
		 const struct proc *p)
{
	g_autofree char *path = rebase(c, m->name, m->path), *now = NULL;
	autoclose int top = -1, fd = -1;
	char number[16];
	int r = cgroup_of(p->dir, m->name, &now);

	if (r < 0 || strcmp(now, path) == 0 || strstr(path, "/.."))
		return r;
	r = cgroups_open(h, c->yard, m->name, &top);
	if (r < 0)
		return r;
	fd = openat(top, cgroups_relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("control group %s of %s", path, m->name);
	snprintf(number, sizeof(number), "%d", p->pid);
	return file_poke_at(fd, "cgroup.procs", number);
}

int cgroups_enter(const struct cgroups *c, uint32_t set, pid_t pid)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = cgroup_host_ours(&h);

	if (r == 0)
		r = proc_open(pid, &p);
	for (size_t i = 0; r == 0 && i < c->e->n_sets; i++)
		for (size_t k = 0; r == 0 && c->e->sets[i]->id == set && k < c->e->sets[i]->n_ctls;
		     k++)
			r = enter(c, &h, c->e->sets[i]->ctls[k], &p);
	return r;
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
