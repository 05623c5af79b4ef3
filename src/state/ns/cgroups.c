/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups (cgroups(7)): which set of them each task is in, the directories, their settings.
 * A hierarchy that we do not see mounted is mounted for as long as we need it, nowhere.
 */
#include "state/ns/cgroups.h"

#include "base/file.h"
#include "base/log.h"
#include "image/cgroup.pb-c.h"
#include "kernel/cgroup.h"
#include "kernel/mount.h"
#include "state/ns/ns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (1u << 20)

/* What a new group needs to be like the old one; the order is that in which they are written. */
static const char *const settings[] = {
	"cpuset.cpus",
	"cpuset.mems",
	"cpuset.memory_migrate",
	"cpuset.cpu_exclusive",
	"cpuset.mem_exclusive",
	"cpuset.sched_load_balance",
	"cpu.shares",
	"cpu.cfs_period_us",
	"cpu.cfs_quota_us",
	"cpu.rt_period_us",
	"cpu.rt_runtime_us",
	"memory.limit_in_bytes",
	"memory.memsw.limit_in_bytes",
	"memory.soft_limit_in_bytes",
	"memory.swappiness",
	"memory.oom_control",
	"blkio.weight",
	"net_cls.classid",
	"net_prio.ifpriomap",
	"pids.max",
	"devices.list",
	"cpu.weight",
	"cpu.max",
	"memory.min",
	"memory.low",
	"memory.high",
	"memory.max",
	"memory.swap.max",
	"io.weight",
	"io.max",
	"notify_on_release",
};

/* "cpu,cpuacct", "name=systemd", "" for version 2. */
static int mount_hierarchy(const char *name, int *ret)
{
	g_auto(GStrv) words = g_strsplit(name, ",", -1);
	g_autofree struct mount_param *params =
		g_new0(struct mount_param, g_strv_length(words) + 3);
	unsigned n = 0;

	params[n++] = (struct mount_param){"source", "cgroup"};
	for (char **w = words; *name && *w; w++) {
		bool named = g_str_has_prefix(*w, "name=");

		if (named)
			params[n++] = (struct mount_param){"none", NULL};
		params[n++] = named ? (struct mount_param){"name", *w + 5}
				    : (struct mount_param){*w, NULL};
	}
	return mount_make(*name ? "cgroup" : "cgroup2", params, 0, ret);
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = dir ? strlen(dir) : 0;

	return strncmp(path, dir ?: "", len) == 0 && (!len || path[len] == '/' || !path[len]);
}

/* What is mounted in YARD, if that is not NULL; else where we see it, or nowhere. */
static int open_hierarchy(const struct cgroup_host *h, const char *yard, const char *name, int *ret)
{
	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->v[i].controllers, name) != 0 || strcmp(h->v[i].root, "/") != 0 ||
		    !is_below(h->v[i].target, yard))
			continue;
		*ret = open(h->v[i].target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret < 0 ? err_errno("open %s", h->v[i].target) : 0;
	}
	return yard ? open_hierarchy(h, NULL, name, ret) : mount_hierarchy(name, ret);
}

/* Settings are named after their controllers: what else is in a group is no setting. */
static bool is_setting(const char *name, const char *controllers)
{
	g_auto(GStrv) words = g_strsplit(controllers, ",", -1);

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (strcmp(settings[i], name) == 0)
			return true;
	if (strchr(name, '/'))
		return false;
	for (char **w = words; *w; w++) {
		size_t len = strlen(*w);

		if (len && strncmp(name, *w, len) == 0 && name[len] == '.')
			return true;
	}
	/* version 2 has all controllers in one hierarchy */
	return !*controllers && strchr(name, '.') && !g_str_has_prefix(name, "cgroup.");
}

/* For a hierarchy: the caller's, of strings that are not. */
static GPtrArray *settings_of(const struct dump *d, const char *controllers)
{
	const struct cryo_cgroup_props *props = d->o.cgroup_props;
	g_auto(GStrv) words = g_strsplit(controllers, ",", -1);
	GPtrArray *list = g_ptr_array_new();
	bool defaults = !props || !props->no_defaults;

	for (unsigned i = 0; props && i < props->n; i++) {
		const struct cryo_cgroup_prop *p = &props->v[i];

		if (*controllers && !g_strv_contains((const char *const *)words, p->controller))
			continue;
		defaults = defaults && !p->replace;
		for (char **n = p->names; n && *n; n++)
			g_ptr_array_add(list, *n);
	}
	for (size_t i = 0; defaults && i < ARRAY_SIZE(settings); i++)
		g_ptr_array_add(list, (char *)settings[i]);
	return list;
}

/* Its directory relative to that of the hierarchy. */
static const char *relative(const char *path)
{
	path += strspn(path, "/");
	return *path ? path : ".";
}

/* Dump. */

/* Named hierarchies have no controller to be left out by. */
static bool is_wanted(const struct dump *d, const char *name)
{
	g_auto(GStrv) words = g_strsplit(name, ",", -1);
	char *const *only = d->o.cgroup_controllers;

	if (!only || g_str_has_prefix(name, "name="))
		return true;
	for (; *only; only++)
		if (g_strv_contains((const char *const *)words, *only))
			return true;
	return false;
}

static CgSetEntry *set_new(const struct dump *d, const char *text, uint32_t id)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	CgSetEntry *s = g_new0(CgSetEntry, 1);

	cg_set_entry__init(s);
	s->id = id;
	s->ctls = g_new0(CgMemberEntry *, g_strv_length(lines) + 1);
	for (char **l = lines; *l; l++) {
		g_auto(GStrv) parts = g_strsplit(*l, ":", 3);
		CgMemberEntry *m;

		if (g_strv_length(parts) != 3 || !is_wanted(d, parts[1]))
			continue;
		m = g_new0(CgMemberEntry, 1);
		cg_member_entry__init(m);
		m->name = g_strdup(parts[1]);
		m->path = g_strdup(parts[2]);
		s->ctls[s->n_ctls++] = m;
	}
	return s;
}

static int find_sets(struct dump *d, GPtrArray *sets)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		g_autofree char *text = NULL;
		unsigned k = 0;

		if (t->zombie)
			continue;
		r = file_read_at(t->proc.dir, "cgroup", TEXT_MAX, &text, NULL);
		if (r < 0)
			return r;
		while (k < texts->len && strcmp(g_ptr_array_index(texts, k), text) != 0)
			k++;
		if (k == texts->len) {
			g_ptr_array_add(sets, set_new(d, text, k + 1));
			g_ptr_array_add(texts, g_steal_pointer(&text));
		}
		/* of threads in the first one's place: core_entry of a task's leader */
		t->core->thread_core->has_cg_set = true;
		t->core->thread_core->cg_set = k + 1;
		t->core->tc->has_cg_set = true;
		t->core->tc->cg_set = k + 1;
	}
	return r;
}

static void read_settings(int dir, const GPtrArray *names, CgroupDirEntry *e)
{
	e->properties = g_new0(CgroupPropEntry *, names->len + 1);
	for (unsigned i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *text = NULL;
		CgroupPropEntry *p;

		if (strchr(name, '/') || file_read_at(dir, name, TEXT_MAX, &text, NULL) < 0) {
			err_clear();
			continue;
		}
		p = g_new0(CgroupPropEntry, 1);
		cgroup_prop_entry__init(p);
		p->name = g_strdup(name);
		p->value = g_strdup(g_strchomp(text));
		e->properties[e->n_properties++] = p;
	}
}

static CgroupDirEntry *dir_new(int dir, const GPtrArray *names, const char *name)
{
	CgroupDirEntry *e = g_new0(CgroupDirEntry, 1);
	struct stat st;

	cgroup_dir_entry__init(e);
	e->dir_name = g_strdup(name);
	read_settings(dir, names, e);
	if (fstat(dir, &st) == 0) {
		e->dir_perms = g_new0(CgroupPerms, 1);
		cgroup_perms__init(e->dir_perms);
		e->dir_perms->mode = st.st_mode;
		e->dir_perms->uid = st.st_uid;
		e->dir_perms->gid = st.st_gid;
	}
	return e;
}

/* Groups below one of the tree's are its own, too. */
static void add_children(CgroupDirEntry *e, const GPtrArray *names, int dir)
{
	DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *one;

	while (list && (one = readdir(list)) != NULL) {
		autoclose int fd = -1;
		CgroupDirEntry *child;

		if (one->d_type != DT_DIR || one->d_name[0] == '.')
			continue;
		fd = openat(dir, one->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		child = dir_new(fd, names, one->d_name);
		add_children(child, names, fd);
		e->children = g_renew(CgroupDirEntry *, e->children, e->n_children + 1);
		e->children[e->n_children++] = child;
	}
	if (list)
		closedir(list);
}

static bool is_there(const CgControllerEntry *c, const char *path)
{
	for (size_t i = 0; i < c->n_dirs; i++) {
		size_t len = strlen(c->dirs[i]->dir_name);

		if (strncmp(path, c->dirs[i]->dir_name, len) == 0 &&
		    (!path[len] || path[len] == '/'))
			return true;
	}
	return false;
}

static int add_dirs(const struct dump *d, const struct cgroup_host *h, GPtrArray *sets,
		    const char *name, CgControllerEntry *c)
{
	g_autoptr(GPtrArray) names = settings_of(d, name);
	autoclose int top = -1;
	int r = open_hierarchy(h, d->o.cgroup_yard, name, &top);

	c->dirs = g_new0(CgroupDirEntry *, sets->len + 1);
	for (unsigned i = 0; r == 0 && i < sets->len; i++) {
		const CgSetEntry *s = g_ptr_array_index(sets, i);

		for (size_t k = 0; r == 0 && k < s->n_ctls; k++) {
			const char *path = s->ctls[k]->path;
			autoclose int fd = -1;

			if (strcmp(s->ctls[k]->name, name) != 0 || strcmp(path, "/") == 0 ||
			    strstr(path, "/..") || is_there(c, path))
				continue;
			fd = openat(top, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd < 0)
				return err_errno("control group %s of %s", path, name);
			c->dirs[c->n_dirs] = dir_new(fd, names, path);
			add_children(c->dirs[c->n_dirs++], names, fd);
		}
	}
	return r;
}

static int add_controllers(const struct dump *d, GPtrArray *sets, CgroupEntry *e)
{
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	const CgSetEntry *first = g_ptr_array_index(sets, 0);
	int r = cgroup_host_ours(&h);

	e->controllers = g_new0(CgControllerEntry *, first->n_ctls + 1);
	for (size_t i = 0; r == 0 && i < first->n_ctls; i++) {
		CgControllerEntry *c = g_new0(CgControllerEntry, 1);

		cg_controller_entry__init(c);
		c->cnames = g_strsplit(first->ctls[i]->name, ",", -1);
		c->n_cnames = g_strv_length(c->cnames);
		e->controllers[e->n_controllers++] = c;
		r = add_dirs(d, &h, sets, first->ctls[i]->name, c);
	}
	return r;
}

int cgroups_dump(struct dump *d)
{
	g_autoptr(GPtrArray) sets = g_ptr_array_new();
	CgroupEntry *e;
	int r;

	if (!d->o.manage_cgroups)
		return 0;
	e = g_new0(CgroupEntry, 1);
	cgroup_entry__init(e);
	r = find_sets(d, sets);
	if (r == 0)
		r = add_controllers(d, sets, e);
	e->n_sets = sets->len;
	e->sets = (CgSetEntry **)g_ptr_array_free(g_steal_pointer(&sets), FALSE);
	if (r == 0)
		r = image_write(&d->w, IMG_CGROUP, 0, &e->base);
	cgroup_entry__free_unpacked(e, NULL);
	return r;
}

/* Restore. */

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

		if (!is_setting(p->name, controllers) || !*p->value)
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
		g_autofree char *parent = g_path_get_dirname(relative(path));
		g_autofree char *above = g_strdup_printf("/proc/self/fd/%d/%s", top, parent);

		r = file_mkdirs(above, 0755);
		if (r < 0)
			return r;
		made = mkdirat(top, relative(path), 0755) == 0;
		if (!made && errno != EEXIST)
			return err_errno("make control group %s", path);
		if (!made && mode == CGROUPS_STRICT)
			return err_set(EEXIST, "control group %s is there already (strict)", path);
	}
	fd = openat(top, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
			r = open_hierarchy(&h, c->yard, name, &top);
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
	r = open_hierarchy(h, c->yard, m->name, &top);
	if (r < 0)
		return r;
	fd = openat(top, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
