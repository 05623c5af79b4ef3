/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cgroup.h"
#include "base/file.h"
#include "kernel/mountinfo.h"
#include "kernel/proc.h"
#include "kernel/procstat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cgroup_layout_name(enum cgroup_layout l)
{
	static const char *const names[] = {
		[CGROUP_NONE] = "none",
		[CGROUP_V1] = "v1",
		[CGROUP_HYBRID] = "hybrid",
		[CGROUP_V2] = "v2",
	};

	return names[l];
}

/* Options of the super block that are not names of controllers (kernel/cgroup/cgroup-v1.c). */
static bool is_controller(const char *o)
{
	static const char *const others[] = {
		"rw",	       "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode",
		"favordynmods"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(o, others[i]))
			return false;
	return !g_str_has_prefix(o, "release_agent=");
}

static char *controllers_of(const struct mount_entry *m)
{
	g_auto(GStrv) options = g_strsplit(m->sb_options, ",", -1);
	g_autoptr(GString) all = g_string_new(NULL);

	if (!strcmp(m->fstype, "cgroup2"))
		return g_strdup("");
	for (char **o = options; *o; o++)
		if (is_controller(*o))
			g_string_append_printf(all, "%s%s", all->len ? "," : "", *o);
	return g_string_free(g_steal_pointer(&all), FALSE);
}

int cgroup_host_read(int dir, struct cgroup_host *ret)
{
	CLEANUP(mountinfo_clear) struct mountinfo mounts = {0};
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct cgroup_mount));
	bool one = false, two = false;
	int r = mountinfo_read(dir, &mounts);

	if (r < 0)
		return r;
	for (size_t i = 0; i < mounts.n; i++) {
		const struct mount_entry *m = &mounts.v[i];
		bool v2 = !strcmp(m->fstype, "cgroup2");
		struct cgroup_mount c;

		if (!v2 && strcmp(m->fstype, "cgroup"))
			continue;
		c.controllers = controllers_of(m);
		c.root = g_strdup(m->root);
		c.target = g_strdup(m->target);
		/* A host with only the named hierarchy of systemd has its controllers in v2. */
		one |= !v2 && !g_str_has_prefix(c.controllers, "name=");
		two |= v2;
		g_array_append_val(all, c);
	}
	ret->layout = one ? two ? CGROUP_HYBRID : CGROUP_V1 : two ? CGROUP_V2 : CGROUP_NONE;
	ret->n = all->len;
	ret->v = (struct cgroup_mount *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

int cgroup_host_ours(struct cgroup_host *ret)
{
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (self < 0)
		return err_errno("open /proc/self");
	return cgroup_host_read(self, ret);
}

void cgroup_host_clear(struct cgroup_host *h)
{
	for (size_t i = 0; i < h->n; i++) {
		g_free(h->v[i].controllers);
		g_free(h->v[i].root);
		g_free(h->v[i].target);
	}
	g_free(h->v);
	*h = (struct cgroup_host){0};
}

int cgroup_of(int dir, const char *controller, char **ret)
{
	g_autofree char *text = NULL;
	char *save = NULL;
	int r = file_read_at(dir, "cgroup", 1 << 20, &text, NULL);

	if (r < 0)
		return r;
	/* "6:cpu,cpuacct:/a/b"; the path may hold colons. */
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(l, ':'), *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			return err_set(EBADMSG, "cgroup: cannot read line %s", l);
		*path++ = 0;
		names++;
		if (*controller
			    ? !mount_option(names, controller, NULL) && strcmp(names, controller)
			    : *names != 0)
			continue;
		*ret = g_strdup(path);
		return 0;
	}
	return err_set(ENOENT, "there is no %s cgroup hierarchy",
		       *controller ? controller : "version 2");
}

static const struct cgroup_mount *mount_of(const struct cgroup_host *h, const char *controller)
{
	for (size_t i = 0; i < h->n; i++)
		if (!strcmp(h->v[i].controllers, controller) ||
		    (*controller && mount_option(h->v[i].controllers, controller, NULL)))
			return &h->v[i];
	return NULL;
}

int cgroup_dir(const struct cgroup_host *h, int dir, const char *controller, char **ret)
{
	const struct cgroup_mount *m = mount_of(h, controller);
	g_autofree char *path = NULL;
	const char *below;
	int r = cgroup_of(dir, controller, &path);

	if (r < 0)
		return r;
	if (!m)
		return err_set(ENOENT, "the %s cgroup hierarchy is not mounted",
			       *controller ? controller : "version 2");
	below = path;
	if (strcmp(m->root, "/") && g_str_has_prefix(path, m->root))
		below += strlen(m->root);
	*ret = g_strdup_printf("%s%s", m->target, strcmp(below, "/") ? below : "");
	return 0;
}

int cgroup_procs(int cgroup_fd, struct pid_list *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autofree char *text = NULL;
	char *at, *end;
	int r = file_read_at(cgroup_fd, "cgroup.procs", 64 << 20, &text, NULL);

	if (r < 0)
		return r;
	for (at = text;; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		g_array_append_val(all, pid);
	}
	ret->n = all->len;
	ret->v = (pid_t *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

int freezer_open_at(struct freezer *f, const struct freezer_ops *ops, const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno("open cgroup %s", path);
	*f = (struct freezer){.ops = ops, .dir = dir, .path = g_strdup(path)};
	return 0;
}

int freezer_open(struct freezer *f, const struct cgroup_host *h, int dir)
{
	static const struct {
		const char *controller;
		const struct freezer_ops *ops;
	} ways[] = {{"freezer", &freezer_v1}, {"", &freezer_v2}};
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		g_autofree char *in = NULL, *path = NULL;
		int r = cgroup_of(dir, ways[i].controller, &in);

		if (r == -ENOENT || !mount_of(h, ways[i].controller))
			continue;
		if (r < 0)
			return r;
		any = true;
		if (!strcmp(in, "/"))
			continue;
		r = cgroup_dir(h, dir, ways[i].controller, &path);
		return r < 0 ? r : freezer_open_at(f, ways[i].ops, path);
	}
	return err_set(EOPNOTSUPP, any ? "the process is in the root cgroup, which cannot be frozen"
				       : "no cgroup freezer is mounted");
}

/* Tasks in R or S are those that the freezer does not reach; D is frozen, or as good as. */
static char *not_frozen(const struct freezer *f)
{
	CLEANUP(pid_list_clear) struct pid_list pids = {0};
	g_autoptr(GString) s = g_string_new(NULL);
	unsigned more = 0;

	if (cgroup_procs(f->dir, &pids) < 0)
		return g_strdup("");
	for (size_t i = 0; i < pids.n; i++) {
		CLEANUP(proc_close) struct proc p = PROC_NONE;
		struct procstat st;

		if (proc_open(pids.v[i], &p) < 0 || procstat_read(p.dir, &st) < 0)
			continue;
		if (s->len < 80)
			g_string_append_printf(s, "%s%d (%s, %c)", s->len ? ", " : ": ", st.pid,
					       st.comm, st.state);
		else
			more++;
	}
	if (more)
		g_string_append_printf(s, " and %u more", more);
	return g_string_free(g_steal_pointer(&s), FALSE);
}

int freezer_freeze(struct freezer *f, int timeout_ms)
{
	g_autofree char *who = NULL;
	int r = f->ops->get(f);

	if (r < 0)
		return r;
	if (!r) {
		f->ours = true;
		r = f->ops->set(f, true);
		if (r < 0)
			return err_wrap(r, "freeze cgroup %s", f->path);
	}
	r = f->ops->wait(f, true, timeout_ms);
	if (r > 0)
		return 0;
	if (r == 0)
		who = not_frozen(f);
	if (f->ours && f->ops->set(f, false) == 0)
		f->ours = false;
	if (r < 0)
		return err_wrap(r, "freeze cgroup %s", f->path);
	return err_set(ETIMEDOUT, "cgroup %s did not freeze within %d ms%s", f->path, timeout_ms,
		       who);
}

int freezer_thaw(struct freezer *f)
{
	int r;

	if (!f->ours)
		return 0;
	r = f->ops->set(f, false);
	if (r < 0)
		return err_wrap(r, "thaw cgroup %s", f->path);
	f->ours = false;
	return 0;
}

int freezer_is_frozen(const struct freezer *f)
{
	return f->ops->get(f);
}

void freezer_close(struct freezer *f)
{
	if (f->dir < 0)
		return;
	if (f->ours)
		(void)!f->ops->set(f, false);
	close(f->dir);
	g_free(f->path);
	*f = FREEZER_NONE;
}
