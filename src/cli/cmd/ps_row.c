/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/ps_row.h"

#include "base/log.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "engine/image.h"
#include "engine/inspect.h"
#include "engine/mounts.h"
#include "engine/rootfs.h"

#include <stdio.h>
#include <string.h>

#define COMMAND_SHOWN 17
#define GO_ZERO_TIME  -62135596800 /* year 1 in seconds since 1970 */
#define SECOND_NS     1000000000

static json_t *label_of(json_t *self, const char *name)
{
	return json_incref(json_object_get(json_object_get(self, "Labels"), name));
}

static const struct go_method ps_methods[] = {{"Label", &go_string, label_of}, {}};

static const struct go_field ns_fields[] = {S("MNT"),	S("Cgroup"), S("IPC"),	S("NET"),
					    S("PIDNS"), S("UTS"),    S("User"), {}};
static const struct go_type ns_type = {"entities.ListContainerNamespaces", GO_STRUCT, NULL,
				       ns_fields};
static const struct go_field ps_fields[] = {{"AutoRemove", NULL, &go_bool},
					    S("Command"),
					    {"Created", NULL, &go_time},
					    S("CreatedAt"),
					    S("CIDFile"),
					    {"Exited", NULL, &go_bool},
					    I("ExitedAt"),
					    I("ExitCode"),
					    {"ExposedPorts", NULL, NULL},
					    S("ID"),
					    {"Id", "ID", &go_string, true},
					    S("Image"),
					    S("ImageID"),
					    {"IsInfra", NULL, &go_bool},
					    {"Labels", NULL, &go_string_map},
					    {"Mounts", NULL, &go_strings},
					    S("Names"),
					    {"Namespaces", NULL, &ns_type},
					    S("Networks"),
					    I("Pid"),
					    S("Pod"),
					    S("PodName"),
					    S("Ports"),
					    I("Restarts"),
					    S("Size"),
					    I("StartedAt"),
					    S("State"),
					    S("Status"),
					    S("CreatedHuman"),
					    S("RunningFor"),
					    S("Cgroup"),
					    S("IPC"),
					    S("MNT"),
					    S("NET"),
					    S("PIDNS"),
					    S("User"),
					    S("USERNS"),
					    S("UTS"),
					    {}};
const struct go_type type_ps = {"containers.psReporter", GO_STRUCT, NULL, ps_fields, ps_methods};

char *ps_status(const struct container *c, int64_t now_ns)
{
	g_autofree char *ago = NULL;
	const char *name;

	switch (c->state.status) {
	case CONTAINER_RUNNING:
		ago = human_duration(now_ns - c->state.started_ns);
		return g_strdup_printf("Up %s", ago);
	case CONTAINER_STOPPED:
	case CONTAINER_EXITED:
		ago = human_ago(c->state.finished_ns, now_ns);
		return g_strdup_printf("Exited (%d) %s", c->state.exit_code, ago);
	default:
		name = container_status_name(c->state.status);
		return g_strdup_printf("%c%s", g_ascii_toupper(name[0]), name + 1);
	}
}

char *ps_command(const struct container *c)
{
	GString *s = g_string_new(NULL);
	json_t *word;
	size_t i;

	json_array_foreach(json_object_get(c->config, "argv"), i, word)
		g_string_append_printf(s, "%s%s", i ? " " : "", json_string_value(word));
	return g_string_free(s, FALSE);
}

static char *short_command(const struct container *c, bool no_trunc)
{
	g_autofree char *whole = ps_command(c);
	g_autofree char *cut = NULL;

	if (no_trunc || g_utf8_strlen(whole, -1) <= COMMAND_SHOWN)
		return g_steal_pointer(&whole);
	cut = g_utf8_substring(whole, 0, COMMAND_SHOWN);
	return g_strconcat(cut, "...", NULL);
}

static void append_range(GString *s, json_int_t first, json_int_t range)
{
	g_string_append_printf(s, "%d", (int)first);
	if (range > 1)
		g_string_append_printf(s, "-%d", (int)(first + range - 1));
}

static json_int_t number(const json_t *p, const char *key)
{
	return json_integer_value(json_object_get(p, key));
}

/* "0.0.0.0:8080->80/tcp, 0.0.0.0:9000-9003->9000-9003/udp" */
static char *ports_text(const struct container *c)
{
	GString *s = g_string_new(NULL);
	json_t *ports = container_ports(c), *p;
	size_t i;

	json_array_foreach(ports, i, p)
	{
		const char *ip = json_string_value(json_object_get(p, "host_ip"));
		const char *proto = json_string_value(json_object_get(p, "protocol"));

		g_string_append_printf(s, "%s%s:", i ? ", " : "", ip && *ip ? ip : "0.0.0.0");
		append_range(s, number(p, "host_port"), number(p, "range"));
		g_string_append(s, "->");
		append_range(s, number(p, "container_port"), number(p, "range"));
		g_string_append_printf(s, "/%s", proto ? proto : "tcp");
	}
	json_decref(ports);
	return g_string_free(s, FALSE);
}

static json_t *mounts_of(struct container *c)
{
	CLEANUP(user_mounts_clear) struct user_mounts m = {0};
	const struct container_options *o;
	json_t *list = json_array();

	if (container_options(c, &o) < 0 || user_mounts_parse(o, &m) < 0)
		log_debug("mounts of %s: %s", c->id, err_message());
	for (unsigned i = 0; i < m.n; i++)
		json_array_append_new(list, json_string(m.v[i].destination));
	return list;
}

static json_t *networks_of(const struct container *c)
{
	json_t *list = json_array(), *value;
	const char *name;

	json_object_foreach(c->state.network, name, value)
		json_array_append_new(list, json_string(name));
	return list;
}

static char *join(json_t *list)
{
	GString *s = g_string_new(NULL);
	json_t *text;
	size_t i;

	json_array_foreach(list, i, text)
		g_string_append_printf(s, "%s%s", i ? "," : "", json_string_value(text));
	json_decref(list);
	return g_string_free(s, FALSE);
}

/* The number in "/proc/PID/ns/NAME" -> "mnt:[4026531841]"; "" when it cannot be read. */
static char *namespace_of(pid_t pid, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/ns/%s", pid, name);
	g_autofree char *link = pid ? g_file_read_link(path, NULL) : NULL;
	char *open = link ? strchr(link, '[') : NULL;

	return open ? g_strndup(open + 1, strcspn(open + 1, "]")) : g_strdup("");
}

static json_t *namespaces_of(const struct container *c)
{
	static const char *const names[][2] = {
		{"MNT", "mnt"},	  {"Cgroup", "cgroup"}, {"IPC", "ipc"},	 {"NET", "net"},
		{"PIDNS", "pid"}, {"UTS", "uts"},	{"User", "user"}};
	pid_t pid = container_is_running(c) ? c->state.pid : 0;
	json_t *j = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		g_autofree char *id = namespace_of(pid, names[i][1]);

		json_object_set_new(j, names[i][0], json_string(id));
	}
	return j;
}

void ps_sizes(struct engine *e, const struct container *c, uint64_t *ret_own, uint64_t *ret_all)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;

	*ret_own = 0;
	if (rootfs_size(e, c->id, ret_own) < 0)
		log_debug("size of %s: %s", c->id, err_message());
	*ret_all = *ret_own;
	if (c->image_id && image_resolve(e, c->image_id, &img) >= 0)
		*ret_all += img.size_bytes;
}

static char *size_text(struct engine *e, const struct container *c)
{
	uint64_t own, all;
	g_autofree char *a = NULL, *b = NULL;

	ps_sizes(e, c, &own, &all);
	a = human_size(own);
	b = human_size(all);
	return g_strdup_printf("%s (virtual %s)", a, b);
}

static json_t *unix_time(int64_t ns)
{
	return json_integer(ns ? ns / SECOND_NS : GO_ZERO_TIME);
}

static bool has_exited(const struct container *c)
{
	return c->state.status == CONTAINER_EXITED || c->state.status == CONTAINER_STOPPED;
}

static json_t *option(const struct container *c, const char *name)
{
	return json_object_get(json_object_get(c->config, "options"), name);
}

static json_t *labels_of(const struct container *c)
{
	json_t *labels = json_object_get(c->config, "labels");

	return json_object_size(labels) ? json_incref(labels) : json_null();
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* What both forms have in common. */
static void set_plain(json_t *j, const struct container *c)
{
	const char *cidfile = json_string_value(option(c, "cidfile"));

	json_object_set_new(j, "AutoRemove", json_boolean(json_is_true(option(c, "rm"))));
	json_object_set_new(j, "CIDFile", json_string(text_or_empty(cidfile)));
	json_object_set_new(j, "Exited", json_boolean(has_exited(c)));
	json_object_set_new(j, "ExitedAt", unix_time(c->state.finished_ns));
	json_object_set_new(j, "ExitCode", json_integer(c->state.exit_code));
	json_object_set_new(j, "ExposedPorts", json_null());
	json_object_set_new(j, "Image", json_string(text_or_empty(c->image_name)));
	json_object_set_new(j, "ImageID", json_string(text_or_empty(c->image_id)));
	json_object_set_new(j, "IsInfra", json_false());
	json_object_set_new(j, "Labels", labels_of(c));
	json_object_set_new(j, "Pid", json_integer(container_is_running(c) ? c->state.pid : 0));
	json_object_set_new(j, "Pod", json_string(""));
	json_object_set_new(j, "PodName", json_string(""));
	json_object_set_new(j, "Restarts", json_integer(c->state.restarts));
	json_object_set_new(j, "StartedAt", unix_time(c->state.started_ns));
	json_object_set_new(j, "State", json_string(container_status_name(c->state.status)));
}

json_t *ps_document(struct engine *e, struct container *c, const struct ps_show *s)
{
	g_autofree char *ago = human_ago(c->created_ns, s->now_ns);
	g_autofree char *status = ps_status(c, s->now_ns);
	json_t *j = json_object(), *ports = container_ports(c), *size = json_null();

	if (s->size) {
		uint64_t own, all;

		ps_sizes(e, c, &own, &all);
		size = json_pack("{s:I, s:I}", "rootFsSize", (json_int_t)all, "rwSize",
				 (json_int_t)own);
	}
	set_plain(j, c);
	json_object_set(j, "Command", json_object_get(c->config, "argv"));
	json_object_set_new(j, "CreatedAt", json_string(ago));
	json_object_set_new(j, "Id", json_string(c->id));
	json_object_set_new(j, "Mounts", mounts_of(c));
	json_object_set_new(j, "Names", json_pack("[s]", c->name));
	json_object_set_new(j, "Namespaces", s->namespaces ? namespaces_of(c) : json_object());
	json_object_set_new(j, "Networks", networks_of(c));
	json_object_set_new(j, "Ports", json_array_size(ports) ? json_incref(ports) : json_null());
	json_object_set_new(j, "Size", size);
	json_object_set_new(j, "Status", json_string(status));
	json_object_set_new(j, "Created", unix_time(c->created_ns));
	json_decref(ports);
	return j;
}

static void set_take(json_t *j, const char *key, char *text)
{
	json_object_set_new(j, key, json_string(text));
	g_free(text);
}

json_t *ps_row(struct engine *e, struct container *c, const struct ps_show *s)
{
	g_autofree char *created = human_rfc3339(c->created_ns, false);
	json_t *j = json_object();

	set_plain(j, c);
	json_object_set_new(j, "ID", json_stringn(c->id, s->no_trunc ? strlen(c->id) : 12));
	json_object_set_new(j, "Names", json_string(c->name));
	json_object_set_new(j, "Created", json_string(created));
	json_object_set_new(j, "Mounts", mounts_of(c));
	set_take(j, "Command", short_command(c, s->no_trunc));
	set_take(j, "CreatedAt", human_go_time_ns(c->created_ns, true));
	set_take(j, "CreatedHuman", human_ago(c->created_ns, s->now_ns));
	set_take(j, "RunningFor", human_ago(c->created_ns, s->now_ns));
	set_take(j, "Status", ps_status(c, s->now_ns));
	set_take(j, "Ports", ports_text(c));
	set_take(j, "Networks", join(networks_of(c)));
	if (s->size)
		set_take(j, "Size", size_text(e, c));
	if (s->namespaces) {
		json_t *ns = namespaces_of(c);

		json_object_update(j, ns);
		json_object_set(j, "USERNS", json_object_get(ns, "User"));
		json_object_set_new(j, "Namespaces", ns);
	}
	return j;
}
