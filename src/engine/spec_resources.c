/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources: limits by control groups, and sysctls and namespaces. */
#include "engine/spec_parts.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CPU_PERIOD_US 100000
#define PIDS_DEFAULT  2048
#define CGROUP_ROOT   "/sys/fs/cgroup"
#define SYSCTL_PING   "net.ipv4.ping_group_range"

/* What a limit needs: a file of version 1, a controller of version 2. */
struct need {
	const char *v1, *v2, *what;
};
static const struct need need_memory = {"memory", "memory", "memory"};
static const struct need need_swap = {"memory/memory.memsw.limit_in_bytes", "memory", "swap"};
static const struct need need_cpu = {"cpu/cpu.cfs_quota_us", "cpu", "CPU time"};
static const struct need need_shares = {"cpu/cpu.shares", "cpu", "CPU shares"};
static const struct need need_cpuset = {"cpuset", "cpuset", "cpuset"};
static const struct need need_pids = {"pids", "pids", "pids"};

static bool v2_has(const char *controller)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) words = NULL;

	if (file_read_at(AT_FDCWD, CGROUP_ROOT "/cgroup.controllers", 4096, &text, NULL) < 0) {
		err_clear();
		return false;
	}
	words = g_strsplit(g_strchomp(text), " ", -1);
	return g_strv_contains((const char *const *)words, controller);
}

/* A limit whose controller is missing is told and left out, as Podman does. */
static bool has(const struct spec_context *c, const struct need *n, bool asked)
{
	g_autofree char *path = g_build_filename(CGROUP_ROOT, n->v1, NULL);

	if (c->unified ? v2_has(n->v2) : access(path, F_OK) == 0)
		return true;
	if (asked)
		log_warn("this host has no %s limit: it is not set", n->what);
	return false;
}

static void set_number(json_t *j, const char *key, int64_t v)
{
	if (v)
		json_object_set_new(j, key, json_integer(v));
}

static void put_memory(struct spec_context *c, json_t *limits)
{
	const struct container_options *o = c->o;
	int64_t swap = o->memory_swap ? o->memory_swap : o->memory * 2;
	json_t *j = json_object();

	if (has(c, &need_memory, o->memory || o->memory_reservation)) {
		set_number(j, "limit", o->memory);
		set_number(j, "reservation", o->memory_reservation);
		/* with swap accounting only (swapaccount=1) */
		if (swap && has(c, &need_swap, o->memory_swap))
			set_number(j, "swap", swap);
		if (o->oom_kill_disable && !c->unified)
			json_object_set_new(j, "disableOOMKiller", json_true());
	}
	if (json_object_size(j))
		json_object_set(limits, "memory", j);
	json_decref(j);
}

static void put_cpu(struct spec_context *c, json_t *limits)
{
	const struct container_options *o = c->o;
	int64_t period = o->cpus ? CPU_PERIOD_US : o->cpu_period;
	int64_t quota = o->cpus ? (int64_t)(o->cpus * CPU_PERIOD_US + 0.5) : o->cpu_quota;
	json_t *j = json_object();

	if (has(c, &need_shares, o->cpu_shares))
		set_number(j, "shares", o->cpu_shares);
	if (has(c, &need_cpu, period || quota)) {
		set_number(j, "period", period);
		set_number(j, "quota", quota);
	}
	if (has(c, &need_cpuset, o->cpuset_cpus || o->cpuset_mems)) {
		if (o->cpuset_cpus)
			json_object_set_new(j, "cpus", json_string(o->cpuset_cpus));
		if (o->cpuset_mems)
			json_object_set_new(j, "mems", json_string(o->cpuset_mems));
	}
	if (json_object_size(j))
		json_object_set(limits, "cpu", j);
	json_decref(j);
}

static void put_limits(struct spec_context *c, json_t *limits)
{
	int64_t pids = c->o->pids_limit ? c->o->pids_limit : PIDS_DEFAULT;

	put_memory(c, limits);
	put_cpu(c, limits);
	if (has(c, &need_pids, c->o->pids_limit > 0))
		json_object_set_new(limits, "pids", json_pack("{s:I}", "limit", (json_int_t)pids));
}

void spec_change_limits(json_t *spec, const struct container_options *o, json_t **ret)
{
	static const char *const keys[] = {"memory", "cpu", "pids"};
	struct spec_context c = {.o = o, .unified = spec_is_unified()};
	json_t *all = json_object_get(json_object_get(spec, "linux"), "resources");
	json_t *limits = json_object();

	put_limits(&c, limits);
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_del(all, keys[i]);
	json_object_update(all, limits);
	*ret = limits;
}

int spec_put_resources(struct spec_context *c)
{
	g_autofree char *path = g_strdup_printf(
		"%s/cryopod-%s", c->o->cgroup_parent ? c->o->cgroup_parent : "/cryopod", c->in->id);

	put_limits(c, json_object_get(c->os, "resources")); /* made with the devices */
	json_object_set_new(c->os, "cgroupsPath",
			    json_string(c->in->cgroup_path ? c->in->cgroup_path : path));
	return 0;
}

static int put_sysctls(struct spec_context *c)
{
	json_t *j = json_object();

	json_object_set_new(c->os, "sysctl", j);
	/* lets ping work without CAP_NET_RAW; the namespace is ours or the setting is not */
	if (c->in->netns && access("/proc/sys/net/ipv4/ping_group_range", F_OK) == 0)
		json_object_set_new(j, SYSCTL_PING, json_string("0 0"));
	for (char *const *s = c->o->sysctls; s && *s; s++) {
		g_auto(GStrv) pair = g_strsplit(*s, "=", 2);

		if (!pair[0] || !pair[1])
			return err_set(EINVAL, "invalid sysctl: %s is not NAME=VALUE", *s);
		json_object_set_new(j, pair[0], json_string(pair[1]));
	}
	return 0;
}

static void add_namespace(json_t *list, const char *type, const char *path)
{
	json_t *j = json_pack("{s:s}", "type", type);

	if (path && *path)
		json_object_set_new(j, "path", json_string(path));
	json_array_append_new(list, j);
}

/* MODE is what was asked for; JOINED the path that the engine resolved for "container:ID". */
static int add_by_mode(json_t *list, const char *type, const char *mode, const char *joined)
{
	if (!mode || !*mode || !strcmp(mode, "private") || !strcmp(mode, "shareable"))
		add_namespace(list, type, NULL);
	else if (g_str_has_prefix(mode, "ns:"))
		add_namespace(list, type, mode + 3);
	else if (g_str_has_prefix(mode, "container:") && joined)
		add_namespace(list, type, joined);
	else if (strcmp(mode, "host"))
		return err_set(EINVAL, "invalid %s namespace mode \"%s\"", type, mode);
	return 0;
}

int spec_put_namespaces(struct spec_context *c)
{
	const char *cgroup = c->o->cgroupns;
	json_t *list = json_array();
	int r;

	json_object_set_new(c->os, "namespaces", list);
	add_namespace(list, "mount", NULL);
	if (c->in->netns)
		add_namespace(list, "network", c->in->netns);
	r = add_by_mode(list, "pid", c->o->pid, c->in->pidns);
	if (r == 0)
		r = add_by_mode(list, "ipc", c->o->ipc, c->in->ipcns);
	if (r == 0)
		r = add_by_mode(list, "uts", c->o->uts, c->in->utsns);
	/* Podman's default: private on cgroup v2, the host's on v1 */
	if (r == 0)
		r = add_by_mode(list, "cgroup",
				cgroup	     ? cgroup
				: c->unified ? "private"
					     : "host",
				NULL);
	return r < 0 ? r : put_sysctls(c);
}
