/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ns/cgroups_parts.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (1u << 20)

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

/*
 * A first thread that has ended is in the root of each v1 hierarchy (kernel/cgroup/cgroup.c:
 * proc_cgroup_show(), PF_EXITING): the others know.
 */
static int read_membership(const struct dtask *t, char **ret)
{
	char name[48] = "cgroup";

	if (t->leader_dead)
		snprintf(name, sizeof(name), "task/%d/cgroup", t->threads[0].tid);
	return file_read_at(t->proc.dir, name, TEXT_MAX, ret, NULL);
}

/* The number of the set that TEXT tells of. */
static uint32_t set_of(const struct dump *d, GPtrArray *sets, GPtrArray *texts, char *text_take)
{
	unsigned k = 0;

	while (k < texts->len && strcmp(g_ptr_array_index(texts, k), text_take) != 0)
		k++;
	if (k < texts->len) {
		g_free(text_take);
		return k + 1;
	}
	g_ptr_array_add(sets, set_new(d, text_take, k + 1));
	g_ptr_array_add(texts, text_take);
	return k + 1;
}

/* Version 1 has threads in groups of their own, version 2 in threaded ones. */
static int find_thread_sets(struct dtask *t, GPtrArray *sets, GPtrArray *texts)
{
	for (unsigned i = 0; i < t->nthreads; i++) {
		ThreadCoreEntry *c = t->threads[i].core->thread_core;
		char name[48], *text;
		int r = 0;

		c->cg_set = t->core->tc->cg_set;
		if (t->threads[i].tid != t->proc.pid) { /* whom read_membership() asks */
			snprintf(name, sizeof(name), "task/%d/cgroup", t->threads[i].tid);
			r = file_read_at(t->proc.dir, name, TEXT_MAX, &text, NULL);
			if (r < 0)
				return r;
			c->cg_set = set_of(t->dump, sets, texts, text);
		}
		c->has_cg_set = true;
	}
	return 0;
}

static int find_sets(struct dump *d, GPtrArray *sets)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++) {
		struct dtask *t = dump_task(d, i);
		char *text;

		if (t->zombie)
			continue;
		r = read_membership(t, &text);
		if (r < 0)
			return r;
		t->core->tc->has_cg_set = true;
		t->core->tc->cg_set = set_of(d, sets, texts, text);
		/* a first thread that has ended gets its own later: leader.c */
		r = find_thread_sets(t, sets, texts);
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
	g_autoptr(GPtrArray) names = cgroups_settings(d, name);
	autoclose int top = -1;
	int r = cgroups_open(h, d->o.cgroup_yard, name, &top);

	c->dirs = g_new0(CgroupDirEntry *, sets->len + 1);
	for (unsigned i = 0; r == 0 && i < sets->len; i++) {
		const CgSetEntry *s = g_ptr_array_index(sets, i);

		for (size_t k = 0; r == 0 && k < s->n_ctls; k++) {
			const char *path = s->ctls[k]->path;
			autoclose int fd = -1;

			if (strcmp(s->ctls[k]->name, name) != 0 || strcmp(path, "/") == 0 ||
			    strstr(path, "/..") || is_there(c, path))
				continue;
			fd = openat(top, cgroups_relative(path),
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
