/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_trust.h"
#include "engine/spec_parts.h"

#include <errno.h>
#include <string.h>

static const json_t *get(const json_t *j, const char *a, const char *b)
{
	const json_t *v = json_object_get(j, a);

	return b ? json_object_get(v, b) : v;
}

static const char *text(const json_t *j, const char *a, const char *b)
{
	const char *s = json_string_value(get(j, a, b));

	return s && *s ? s : NULL;
}

static void set_list(char ***to, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) if (json_is_string(v))
		options_append(to, json_string_value(v));
}

/* "LABEL": "value" -> LABEL=value */
static void set_pairs(char ***to, const json_t *object)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key, v)
	{
		g_autofree char *pair = NULL;

		if (!json_is_string(v))
			continue;
		pair = g_strdup_printf("%s=%s", key, json_string_value(v));
		options_append(to, pair);
	}
}

static void parse_process(const json_t *spec, struct container_options *o)
{
	const json_t *process = get(spec, "process", NULL), *user = get(process, "user", NULL);
	const char *workdir = text(process, "cwd", NULL);
	size_t i;
	json_t *gid;

	o->entrypoint = g_new0(char *, 1); /* process.args has all of it */
	set_list(&o->command, get(process, "args", NULL));
	set_list(&o->env, get(process, "env", NULL));
	o->workdir = g_strdup(workdir);
	o->user = g_strdup_printf("%lld:%lld", json_integer_value(get(user, "uid", NULL)),
				  json_integer_value(get(user, "gid", NULL)));
	json_array_foreach(get(user, "additionalGids", NULL), i, gid)
	{
		g_autofree char *number = g_strdup_printf("%lld", json_integer_value(gid));

		if (json_integer_value(gid) != json_integer_value(get(user, "gid", NULL)))
			options_append(&o->group_add, number);
	}
	o->tty = json_is_true(get(process, "terminal", NULL));
	if (json_is_true(get(process, "noNewPrivileges", NULL)))
		options_append(&o->security_opt, "no-new-privileges");
}

static void parse_capabilities(const json_t *spec, struct container_options *o)
{
	const json_t *list = get(get(spec, "process", NULL), "capabilities", "bounding");
	uint64_t have = spec_capability_mask(list), standard = spec_default_capabilities();

	for (unsigned i = 0; list && i < 64; i++) {
		const char *name = options_capability_name(i);

		if (!name || (have >> i & 1) == (standard >> i & 1))
			continue;
		options_append(have >> i & 1 ? &o->cap_add : &o->cap_drop, name);
	}
}

/* What every engine mounts by itself. */
static bool is_standard_mount(const char *destination)
{
	static const char *const places[] = {
		"/proc",
		"/dev",
		"/dev/pts",
		"/dev/mqueue",
		"/dev/shm",
		"/sys",
		"/sys/fs/cgroup",
		"/etc/resolv.conf",
		"/etc/hostname",
		"/etc/hosts",
		"/run/.containerenv",
		"/run/secrets",
		"/var/run/.containerenv",
		"/var/run/secrets",
		"/run/podman-init",
		"/run",
		"/run/lock",
		"/tmp",
		"/var/tmp",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (!strcmp(places[i], destination))
			return true;
	return false;
}

static bool is_volume(const json_t *config, const char *destination)
{
	size_t i;
	json_t *v;

	json_array_foreach(get(config, "namedVolumes", NULL), i,
			   v) if (!g_strcmp0(json_string_value(get(v, "dest", NULL)),
					     destination)) return true;
	return false;
}

static void parse_mount(const json_t *m, struct container_options *o)
{
	const char *type = text(m, "type", NULL), *source = text(m, "source", NULL);
	const char *destination = text(m, "destination", NULL);
	bool ro = false;
	size_t i;
	json_t *v;
	g_autofree char *line = NULL;

	json_array_foreach(get(m, "options", NULL), i, v) ro |=
		!g_strcmp0(json_string_value(v), "ro");
	if (!g_strcmp0(type, "tmpfs")) {
		options_append(&o->tmpfs, destination);
	} else if (source) {
		line = g_strdup_printf("%s:%s%s", source, destination, ro ? ":ro" : "");
		options_append(&o->volumes, line);
	}
}

static void parse_mounts(const struct archive_in *in, struct container_options *o)
{
	size_t i;
	json_t *v;

	json_array_foreach(get(in->config, "namedVolumes", NULL), i, v)
	{
		const char *name = text(v, "volumeName", NULL), *dest = text(v, "dest", NULL);
		g_autofree char *line = name && dest ? g_strdup_printf("%s:%s", name, dest) : NULL;

		if (line)
			options_append(&o->volumes, line);
	}
	json_array_foreach(get(in->spec, "mounts", NULL), i, v)
	{
		const char *dest = text(v, "destination", NULL);

		if (dest && !is_standard_mount(dest) && !is_volume(in->config, dest))
			parse_mount(v, o);
	}
	o->shm_size = json_integer_value(get(in->config, "shmSize", NULL));
	o->read_only = json_is_true(get(in->spec, "root", "readonly"));
}

static bool has_namespace(const json_t *spec, const char *type)
{
	size_t i;
	json_t *v;

	json_array_foreach(
		get(spec, "linux", "namespaces"), i,
		v) if (!g_strcmp0(json_string_value(get(v, "type", NULL)), type)) return true;
	return false;
}

/* A namespace that is not made is the host's. */
static void parse_namespaces(const struct archive_in *in, struct container_options *o)
{
	const struct {
		const char *type;
		char **option;
	} all[] = {{"pid", &o->pid}, {"ipc", &o->ipc}, {"uts", &o->uts}};
	const char *mode = text(in->config, "networkMode", NULL);

	if (!get(in->spec, "linux", "namespaces"))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (!has_namespace(in->spec, all[i].type))
			*all[i].option = g_strdup("host");
	if (!has_namespace(in->spec, "network"))
		o->network = g_strdup("host");
	else if (!g_strcmp0(mode, "none") || !g_strcmp0(mode, "host"))
		o->network = g_strdup(mode);
	else if (!mode && json_is_false(get(in->config, "createNetNS", NULL)) &&
		 !text(in->config, "netNsCtr", NULL))
		o->network = g_strdup("none"); /* Podman writes no mode for it */
}

/* "orderedNetworks": [{name, ...}] or, before, "newNetworks": {name: {...}}. */
static void parse_network(const struct archive_in *in, struct container_options *o)
{
	const json_t *list = get(in->config, "orderedNetworks", NULL);
	json_t *one = json_array_get(list, 0), *v;
	const char *name = text(one, "name", NULL), *key;

	if (!one)
		json_object_foreach((json_t *)get(in->config, "newNetworks", NULL), key, v)
		{
			name = key;
			one = v;
			break;
		}
	/* The default network has another name with each engine. */
	if (name && strcmp(name, "podman") && !o->network)
		o->network = g_strdup(name);
	o->ip = g_strdup(json_string_value(json_array_get(get(one, "static_ips", NULL), 0)));
	o->mac_address = g_strdup(text(one, "static_mac", NULL));
	set_list(&o->dns, get(in->config, "dnsServer", NULL));
	set_list(&o->dns_search, get(in->config, "dnsSearch", NULL));
	set_list(&o->dns_option, get(in->config, "dnsOption", NULL));
	set_list(&o->add_host, get(in->config, "hostsAdd", NULL));
}

static void parse_limits(const json_t *spec, struct container_options *o)
{
	const json_t *all = get(spec, "linux", "resources"), *memory = get(all, "memory", NULL);
	const json_t *cpu = get(all, "cpu", NULL);

	o->memory = MAX(json_integer_value(get(memory, "limit", NULL)), 0);
	o->memory_reservation = MAX(json_integer_value(get(memory, "reservation", NULL)), 0);
	o->cpu_shares = json_integer_value(get(cpu, "shares", NULL));
	o->cpu_quota = json_integer_value(get(cpu, "quota", NULL));
	o->cpu_period = json_integer_value(get(cpu, "period", NULL));
	o->cpuset_cpus = g_strdup(text(cpu, "cpus", NULL));
	o->cpuset_mems = g_strdup(text(cpu, "mems", NULL));
	o->pids_limit = json_integer_value(get(all, "pids", "limit"));
}

static void parse_rest(const struct archive_in *in, struct container_options *o)
{
	const json_t *c = in->config;
	const json_t *notes = get(in->spec, "annotations", NULL);
	json_int_t sig = json_integer_value(get(c, "stopSignal", NULL));

	set_pairs(&o->labels, get(c, "labels", NULL));
	set_list(&o->create_command, get(c, "CreateCommand", NULL));
	o->interactive = json_is_true(get(c, "stdin", NULL));
	o->privileged = json_is_true(get(c, "privileged", NULL));
	o->rm = !g_strcmp0(text(notes, "io.podman.annotations.autoremove", NULL), "TRUE");
	o->hostname = g_strdup(text(in->spec, "hostname", NULL));
	o->umask = g_strdup(text(c, "umask", NULL));
	o->restart = g_strdup(text(c, "restart_policy", NULL));
	if (sig > 0)
		o->stop_signal = g_strdup_printf("%lld", sig);
	if (json_is_integer(get(c, "stopTimeout", NULL)))
		o->stop_timeout = json_integer_value(get(c, "stopTimeout", NULL));
	o->timeout = json_integer_value(get(c, "timeout", NULL));
	o->timezone = g_strdup(text(c, "timezone", NULL));
}

/* The default hostname is the start of the old ID: a new container gets its own. */
static void drop_default_hostname(const struct archive_in *in, struct container_options *o)
{
	const char *id = text(in->config, "id", NULL);

	if (id && o->hostname && strlen(o->hostname) == 12 && g_str_has_prefix(id, o->hostname))
		g_clear_pointer(&o->hostname, g_free);
}

static int parse_foreign(const struct archive_in *in, struct container_options *o)
{
	container_options_init(o);
	parse_process(in->spec, o);
	parse_capabilities(in->spec, o);
	parse_mounts(in, o);
	parse_namespaces(in, o);
	parse_network(in, o);
	parse_limits(in->spec, o);
	parse_rest(in, o);
	drop_default_hostname(in, o);
	if (!o->command)
		return err_set(EBADMSG, "spec.dump has no command line");
	return 0;
}

static void clear(char **text)
{
	g_clear_pointer(text, g_free);
}

/* "[IP:]HOST:CONTAINER/PROTOCOL" of what was published: also a port that the host chose. */
static void take_ports(const json_t *ports, struct container_options *o)
{
	size_t i;
	json_t *p;

	if (!json_is_array(ports))
		return;
	g_clear_pointer(&o->publish, g_strfreev);
	o->publish_all = false;
	json_array_foreach(ports, i, p)
	{
		const char *ip = text(p, "host_ip", NULL), *proto = text(p, "protocol", NULL);
		json_int_t host = json_integer_value(get(p, "host_port", NULL));
		json_int_t ctr = json_integer_value(get(p, "container_port", NULL));
		json_int_t n = MAX(json_integer_value(get(p, "range", NULL)), 1);
		bool v6 = ip && strchr(ip, ':');
		g_autoptr(GString) s = g_string_new(NULL);

		if (ip)
			g_string_append_printf(s, v6 ? "[%s]:" : "%s:", ip);
		if (n > 1)
			g_string_append_printf(s, "%lld-%lld:%lld-%lld", host, host + n - 1, ctr,
					       ctr + n - 1);
		else
			g_string_append_printf(s, "%lld:%lld", host, ctr);
		g_string_append_printf(s, "/%s", proto ? proto : "tcp");
		options_append(&o->publish, s->str);
	}
}

int archive_parse(const struct archive_in *in, struct container_options *ret)
{
	const json_t *ours = get(in->config, ARCHIVE_OURS, "options");
	int r = ours ? container_options_from_json(ours, ret) : parse_foreign(in, ret);

	if (r < 0)
		return err_wrap(r, "config.dump");
	take_ports(get(in->config, "newPortMappings", NULL), ret);
	/* Never: files and programs of this host that somebody else names. */
	clear(&ret->conmon_pidfile);
	clear(&ret->pidfile);
	clear(&ret->cidfile);
	g_clear_pointer(&ret->log_opts, g_strfreev);
	clear(&ret->log_driver);
	clear(&ret->name);
	clear(&ret->image);
	clear(&ret->pull);
	ret->replace = false;
	if (!g_strcmp0(json_string_value(get(in->config, "logDriver", NULL)), "none"))
		ret->log_driver = g_strdup("none");
	return 0;
}
