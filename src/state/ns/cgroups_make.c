/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups are made, with their settings. */
#include "state/ns/cgroups_parts.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Nobody may enter a new cpuset of version 1 before it has CPUs and memory
 * (kernel/cgroup/cpuset.c: cpuset_can_attach_check(), ENOSPC): those of the group above.
 */
static int inherit_cpuset(int top, const char *path)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	g_autofree char *above = g_path_get_dirname(path);
	autoclose int from = openat(top, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int to = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = from < 0 || to < 0 ? err_errno("open control group %s", path) : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		g_autofree char *has = NULL, *gets = NULL;

		r = file_read_at(to, files[i], 1 << 20, &has, NULL);
		if (r == -ENOENT) { /* mounted with noprefix, or it is another hierarchy's */
			err_clear();
			return 0;
		}
		if (r == 0)
			r = file_read_at(from, files[i], 1 << 20, &gets, NULL);
		if (r == 0 && !*g_strstrip(has) && *g_strstrip(gets))
			r = file_poke_at(to, files[i], gets);
	}
	return r;
}

int cgroups_mkdirs(int top, const char *controllers, const char *path)
{
	g_auto(GStrv) words = g_strsplit(controllers, ",", -1);
	bool cpuset = g_strv_contains((const char *const *)words, "cpuset");
	g_autofree char *dir = g_strdup(cgroups_relative(path));
	bool made = false;

	for (char *end = dir; end;) {
		char *slash = strchr(end, '/');

		if (slash)
			*slash = 0;
		made = *end && mkdirat(top, dir, 0755) == 0;
		if (*end && !made && errno != EEXIST)
			return err_errno("make control group %s", path);
		if (made && cpuset) {
			int r = inherit_cpuset(top, dir);

			if (r < 0)
				return r;
		}
		end = slash ? slash + 1 : NULL;
		if (slash)
			*slash = '/';
	}
	return made;
}

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

/* What is read is a list, what is written are changes: "+cpu +memory". */
static int write_subtree(int dir, const char *list)
{
	g_auto(GStrv) words = g_strsplit(list, " ", -1);
	int r = 0;

	for (char **w = words; r == 0 && *w; w++) {
		g_autofree char *add = g_strdup_printf("+%s", *w);

		r = file_poke_at(dir, "cgroup.subtree_control", add);
	}
	return r;
}

static int write_type(int dir, const char *type)
{
	/* the others follow from what is around it */
	return strcmp(type, "threaded") == 0 ? file_poke_at(dir, "cgroup.type", type) : 0;
}

static const struct {
	const char *name;
	int (*write)(int dir, const char *value);
} odd_settings[] = {
	{"devices.list", write_devices},
	{"cgroup.subtree_control", write_subtree},
	{"cgroup.type", write_type},
};

static int write_setting(int dir, const CgroupPropEntry *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(odd_settings); i++)
		if (strcmp(odd_settings[i].name, p->name) == 0)
			return odd_settings[i].write(dir, p->value);
	return file_poke_at(dir, p->name, p->value);
}

static void write_settings(int dir, const char *controllers, const CgroupDirEntry *e)
{
	for (size_t i = 0; i < e->n_properties; i++) {
		const CgroupPropEntry *p = e->properties[i];

		if (!cgroups_is_setting(p->name, controllers) || !*p->value)
			continue;
		/* some are fixed by others, or by a group above: its owner's business */
		if (write_setting(dir, p) < 0) {
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
		r = cgroups_mkdirs(top, controllers, path);
		if (r < 0)
			return r;
		made = r > 0;
		r = 0;
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

/* Where the tree's root is moved to may be new, and above all that was saved. */
static int make_new_root(const struct cgroups *c, const struct cgroup_host *h,
			 const CgMemberEntry *m)
{
	g_autofree char *path = NULL;
	autoclose int top = -1;
	int r;

	if (c->mode == CGROUPS_NONE || c->mode == CGROUPS_PROPS ||
	    !cgroups_new_root(c->roots, m->name))
		return 0;
	path = cgroups_rebase(c, m->name, m->path);
	if (strstr(path, "/.."))
		return 0;
	r = cgroups_open(h, c->yard, m->name, &top);
	if (r < 0)
		return r;
	r = cgroups_mkdirs(top, m->name, path);
	return r < 0 ? r : 0;
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
			g_autofree char *path = cgroups_rebase(c, name, one->dirs[k]->dir_name);

			if (!strstr(path, "/.."))
				r = make_dir(top, name, one->dirs[k], path, c->mode);
		}
	}
	for (size_t i = 0; r == 0 && i < c->e->sets[0]->n_ctls; i++)
		r = make_new_root(c, &h, c->e->sets[0]->ctls[i]);
	return r;
}
