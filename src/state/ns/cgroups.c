/* SPDX-License-Identifier: Apache-2.0 */
/* Hierarchies, and which of a group's files are settings. */
#include "state/ns/cgroups_parts.h"

#include "kernel/cgroup.h"
#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What a new group needs to be like the old one; the order is that in which they are written. */
static const char *const settings[] = {
	"cgroup.type",
	"cgroup.subtree_control",
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

int cgroups_open(const struct cgroup_host *h, const char *yard, const char *name, int *ret)
{
	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->v[i].controllers, name) != 0 || strcmp(h->v[i].root, "/") != 0 ||
		    !is_below(h->v[i].target, yard))
			continue;
		*ret = open(h->v[i].target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return *ret < 0 ? err_errno("open %s", h->v[i].target) : 0;
	}
	return yard ? cgroups_open(h, NULL, name, ret) : mount_hierarchy(name, ret);
}

bool cgroups_is_setting(const char *name, const char *controllers)
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
	/* version 2 has all controllers in one hierarchy; what else is called so is no setting */
	return !*controllers && strchr(name, '.') && !g_str_has_prefix(name, "cgroup.");
}

GPtrArray *cgroups_settings(const struct dump *d, const char *controllers)
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

const char *cgroups_relative(const char *path)
{
	path += strspn(path, "/");
	return *path ? path : ".";
}
