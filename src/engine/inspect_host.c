/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/inspect_parts.h"

#include <stdlib.h>
#include <string.h>

static const char *mode(const char *given, const char *normal)
{
	return given && *given ? given : normal;
}

static json_t *log_config(const struct inspected *in)
{
	const char *driver = mode(in->o->log_driver, "k8s-file");
	const char *size = "0B", *tag = "";
	json_t *o = json_object();

	for (char **p = in->o->log_opts; p && *p; p++) {
		if (g_str_has_prefix(*p, "max-size="))
			size = *p + strlen("max-size=");
		else if (g_str_has_prefix(*p, "tag="))
			tag = *p + strlen("tag=");
	}
	put_text(o, "Type", driver);
	put_copy(o, "Config", NULL);
	put_text(o, "Path", strcmp(driver, "none") ? container_text(in->c, "logPath") : "");
	put_text(o, "Tag", tag);
	put_text(o, "Size", size);
	return o;
}

static json_t *restart_policy(const struct inspected *in)
{
	g_auto(GStrv) parts = g_strsplit(mode(in->o->restart, ""), ":", 2);
	json_t *o = json_object();

	put_text(o, "Name", parts[0]);
	put_int(o, "MaximumRetryCount", parts[0] && parts[1] ? atoi(parts[1]) : 0);
	return o;
}

/* Capabilities as options name them: "net_admin" is CAP_NET_ADMIN. */
static void put_caps(json_t *o, const char *key, char *const *v)
{
	json_t *a = json_array();

	for (; v && *v; v++) {
		const char *name = options_capability(*v);

		json_array_append_new(a, json_string(name ? name : *v));
	}
	json_object_set_new(o, key, a);
}

static json_t *ulimits(const struct inspected *in)
{
	json_t *all = json_array(), *limit;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(in->spec, "process"), "rlimits"), i,
			   limit)
	{
		json_t *o = json_object();

		put_copy(o, "Name", json_object_get(limit, "type"));
		put_copy(o, "Soft", json_object_get(limit, "soft"));
		put_copy(o, "Hard", json_object_get(limit, "hard"));
		json_array_append_new(all, o);
	}
	return all;
}

static json_t *devices(const struct inspected *in)
{
	json_t *all = json_array();

	for (char **p = in->o->devices; p && *p; p++) {
		g_auto(GStrv) parts = g_strsplit(*p, ":", 3);
		const char *inside = parts[0] && parts[1] ? parts[1] : parts[0];

		json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "PathOnHost", parts[0],
						     "PathInContainer", inside, "CgroupPermissions",
						     ""));
	}
	return all;
}

static const char *network_mode(const struct inspected *in, char **ret_owned)
{
	json_t *partner = json_object_get(json_object_get(in->c->config, "partners"), "network");

	if (partner)
		return *ret_owned = g_strdup_printf("container:%s", json_string_value(partner));
	if (in->o->network && g_str_has_prefix(in->o->network, "ns:"))
		return in->o->network;
	return container_text(in->c, "networkMode");
}

static void put_first(json_t *o, const struct inspected *in)
{
	g_autofree char *owned = NULL;

	json_object_set_new(o, "Binds", inspect_binds(in));
	put_text(o, "CgroupManager", "cgroupfs");
	put_text(o, "CgroupMode", mode(in->o->cgroupns, "private"));
	put_text(o, "ContainerIDFile", in->o->cidfile);
	json_object_set_new(o, "LogConfig", log_config(in));
	put_text(o, "NetworkMode", network_mode(in, &owned));
	json_object_set_new(o, "PortBindings", inspect_port_bindings(in));
	json_object_set_new(o, "RestartPolicy", restart_policy(in));
	put_bool(o, "AutoRemove", in->o->rm);
	put_bool(o, "AutoRemoveImage", false);
	json_object_set_new(o, "Annotations", json_object());
	put_text(o, "VolumeDriver", "");
	put_copy(o, "VolumesFrom", NULL);
	put_caps(o, "CapAdd", in->o->cap_add);
	put_caps(o, "CapDrop", in->o->cap_drop);
	put_strings(o, "Dns", in->o->dns);
	put_strings(o, "DnsOptions", in->o->dns_option);
	put_strings(o, "DnsSearch", in->o->dns_search);
	put_strings(o, "ExtraHosts", in->o->add_host);
	put_text(o, "HostsFile", "");
	put_strings(o, "GroupAdd", in->o->group_add);
}

static void put_isolation(json_t *o, const struct inspected *in)
{
	put_text(o, "IpcMode", mode(in->o->ipc, "shareable"));
	put_text(o, "Cgroup", "");
	put_text(o, "Cgroups", "default");
	put_copy(o, "Links", NULL);
	put_int(o, "OomScoreAdj", in->o->oom_score_adj);
	put_text(o, "PidMode", mode(in->o->pid, "private"));
	put_bool(o, "Privileged", in->o->privileged);
	put_bool(o, "PublishAllPorts", in->o->publish_all);
	put_bool(o, "ReadonlyRootfs", in->o->read_only);
	put_strings(o, "SecurityOpt", in->o->security_opt);
	json_object_set_new(o, "Tmpfs", inspect_tmpfs(in));
	put_text(o, "UTSMode", mode(in->o->uts, "private"));
	put_text(o, "UsernsMode", "");
	put_int(o, "ShmSize", in->o->shm_size ? in->o->shm_size : 65536000);
	put_text(o, "Runtime", "oci");
	json_object_set_new(o, "ConsoleSize", json_pack("[i, i]", 0, 0));
	put_text(o, "Isolation", "");
}

static void put_resources(json_t *o, const struct inspected *in)
{
	static const char *const none[] = {"BlkioWeightDevice", "BlkioDeviceReadBps",
					   "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
					   "BlkioDeviceWriteIOps"};
	const struct container_options *c = in->o;

	put_int(o, "CpuShares", c->cpu_shares);
	put_int(o, "Memory", c->memory);
	put_int(o, "NanoCpus", (int64_t)(c->cpus * 1e9));
	put_text(o, "CgroupParent", c->cgroup_parent);
	put_int(o, "BlkioWeight", 0);
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
		put_copy(o, none[i], NULL);
	put_int(o, "CpuPeriod", c->cpus > 0 ? 100000 : c->cpu_period);
	put_int(o, "CpuQuota", c->cpus > 0 ? (int64_t)(c->cpus * 100000) : c->cpu_quota);
	put_int(o, "CpuRealtimePeriod", 0);
	put_int(o, "CpuRealtimeRuntime", 0);
	put_text(o, "CpusetCpus", c->cpuset_cpus);
	put_text(o, "CpusetMems", c->cpuset_mems);
	json_object_set_new(o, "Devices", devices(in));
	put_int(o, "DiskQuota", 0);
	put_int(o, "KernelMemory", 0);
	put_int(o, "MemoryReservation", c->memory_reservation);
	put_int(o, "MemorySwap", c->memory_swap ? c->memory_swap : c->memory * 2);
	put_int(o, "MemorySwappiness", 0);
	put_bool(o, "OomKillDisable", c->oom_kill_disable);
	put_int(o, "PidsLimit", c->pids_limit ? c->pids_limit : 2048);
	json_object_set_new(o, "Ulimits", ulimits(in));
	put_int(o, "CpuCount", 0);
	put_int(o, "CpuPercent", 0);
	put_int(o, "IOMaximumIOps", 0);
	put_int(o, "IOMaximumBandwidth", 0);
	put_copy(o, "CgroupConf", NULL);
}

json_t *inspect_host_config(const struct inspected *in)
{
	json_t *o = json_object();

	put_first(o, in);
	put_isolation(o, in);
	put_resources(o, in);
	return o;
}
