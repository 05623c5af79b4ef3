/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespaces that a tree without a container around it has to itself, by which the box is made
 * again: "box" in IMAGE_EXTRA.  What the images have no record of is refused.
 */
#include "state/ns/cgroups_parts.h"
#include "state/ns/ns.h"

#include "base/file.h"
#include "image/pidns.pb-c.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define REMADE                                                                                     \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWTIME | CLONE_NEWNET | \
	 CLONE_NEWUSER | CLONE_NEWCGROUP)
#define UUID_MAX 64

const char *box_external(const struct dump *d, const char *kind, uint64_t id)
{
	g_autofree char *key = g_strdup_printf("%s[%" PRIu64 "]", kind, id);

	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return d->o.externals[i].name;
	return NULL;
}

int box_check(struct dump *d)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	struct dtask *t = dump_task(d, 0);
	uint64_t ours[NS_COUNT];
	int r;

	d->own = 0;
	d->own_root = false;
	if (!d->o.standalone)
		return 0;
	r = proc_open(getpid(), &self);
	if (r == 0)
		r = ns_ids(self.dir, ours);
	d->external_net = box_external(d, "net", d->ns[NS_NET]);
	d->external_pids = box_external(d, "pid", d->ns[NS_PID]);
	for (unsigned k = 0; r == 0 && k < NS_COUNT; k++) {
		if (d->ns[k] == ours[k])
			continue;
		d->own |= (unsigned)ns_infos[k].flag;
		if (!((unsigned)ns_infos[k].flag & REMADE))
			r = dump_refuse(
				d,
				dtask_wrap(t,
					   err_set(EOPNOTSUPP, "it has %s %s namespace of its own",
						   strchr("aeiou", *ns_infos[k].name) ? "an" : "a",
						   ns_infos[k].name)));
	}
	if (r == 0 && d->own & CLONE_NEWPID && t->nspid != 1 && !d->external_pids)
		r = dump_refuse(d, dtask_wrap(t, err_set(EOPNOTSUPP,
							 "it is not the first process of its pid "
							 "namespace")));
	return r;
}

static int boot_id(char **ret)
{
	return file_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", UUID_MAX, ret, NULL);
}

#define CGROUP_MAX (1u << 20)

/* Lines "4:cpu,cpuacct:/path": {"cpu,cpuacct": "/path"}.  Of the root; cgroups(7). */
static int read_cgroups(const struct dtask *t, json_t **ret)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r = file_read_at(t->proc.dir, "cgroup", CGROUP_MAX, &text, NULL);

	if (r < 0)
		return r;
	*ret = json_object();
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++) {
		g_auto(GStrv) parts = g_strsplit(*l, ":", 3);

		if (g_strv_length(parts) == 3)
			json_object_set_new(*ret, parts[1], json_string(parts[2]));
	}
	return 0;
}

int box_dump(struct dump *d)
{
	g_autofree char *boot = NULL;
	json_t *cgroups = NULL;
	int r = boot_id(&boot);

	if (r == 0)
		r = read_cgroups(dump_task(d, 0), &cgroups);
	if (r < 0)
		return r;
	if (d->external_pids) {
		PidnsEntry e = PIDNS_ENTRY__INIT;

		e.ext_key = (char *)d->external_pids;
		r = image_write(&d->w, IMG_PIDNS, NSID_PID, &e.base);
		if (r < 0)
			return r;
	}
	json_object_set_new(d->extra, "box",
			    json_pack("{s:i,s:b,s:s,s:o}", "namespaces", (int)d->own, "mounts",
				      (d->own & CLONE_NEWNS) != 0, "boot", g_strchomp(boot),
				      "cgroups", cgroups));
	return 0;
}

/* Into the group PATH, which is made if MAKE. */
static int enter_cgroup(const struct cgroup_mount *m, const char *path, pid_t pid, bool make)
{
	autoclose int top = open(m->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	g_autofree char *dir = g_strconcat(m->target, path, NULL);
	char number[16];
	int r = top < 0 ? err_errno("open %s", m->target) : 0;

	if (r == 0 && make)
		r = cgroups_mkdirs(top, m->controllers, path);
	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("control group %s", dir);
	snprintf(number, sizeof(number), "%d", pid);
	r = file_poke_at(fd, "cgroup.procs", number);
	return r < 0 ? err_wrap(r, "control group %s", dir) : 0;
}

static const struct cgroup_mount *find_hierarchy(const struct cgroup_host *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].controllers, name) == 0)
			return &h->v[i];
	return NULL;
}

int box_enter_cgroups(json_t *extra, pid_t pid, bool make, char *const *roots)
{
	json_t *cgroups = json_object_get(json_object_get(extra, "box"), "cgroups"), *path;
	CLEANUP(cgroup_host_clear) struct cgroup_host h = {0};
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	const char *name;
	int r = cgroup_host_ours(&h);

	if (r == 0)
		r = proc_open(pid, &p);
	if (r < 0)
		return r;
	json_object_foreach(cgroups, name, path)
	{
		const struct cgroup_mount *m = find_hierarchy(&h, name);
		const char *want = cgroups_new_root(roots, name) ?: json_string_value(path) ?: "";
		g_autofree char *now = NULL;

		/* "/../x": outside of the dumper's cgroup namespace */
		if (!m || want[0] != '/' || strstr(want, "/.."))
			continue;
		r = cgroup_of(p.dir, name, &now);
		if (r == 0 && strcmp(now, want) == 0)
			continue;
		if (r == 0)
			r = enter_cgroup(m, want, pid, make);
		if (r < 0)
			return r;
	}
	return 0;
}

int box_load(json_t *extra, struct box_record *ret)
{
	json_t *box = json_object_get(extra, "box");
	const char *then = json_string_value(json_object_get(box, "boot"));
	g_autofree char *boot = NULL;
	int r = boot_id(&boot);

	if (r < 0)
		return r;
	*ret = (struct box_record){
		.namespaces = (unsigned)json_integer_value(json_object_get(box, "namespaces")),
		.mounts = json_is_true(json_object_get(box, "mounts")),
		.other_boot = then && strcmp(then, g_strchomp(boot)) != 0,
	};
	if (ret->namespaces & ~(unsigned)REMADE)
		return err_set(EBADMSG, "%s: namespaces %#x", IMAGE_EXTRA, ret->namespaces);
	return 0;
}
