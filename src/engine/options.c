/* SPDX-License-Identifier: Apache-2.0 */
/* The options as data: one row per field serves defaults, clearing and JSON. */
#include "engine/options.h"

#include <errno.h>
#include <string.h>

enum field_type { STRING, LIST, BOOL, INT, REAL };

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
};

#define C(field, type)                                                                             \
	{                                                                                          \
#field, type, offsetof(struct container_options, field)                            \
	}
#define E(field, type)                                                                             \
	{                                                                                          \
#field, type, offsetof(struct exec_options, field)                                 \
	}

static const struct field container_fields[] = {
	C(name, STRING),
	C(image, STRING),
	C(command, LIST),
	C(entrypoint, LIST),
	C(env, LIST),
	C(workdir, STRING),
	C(user, STRING),
	C(hostname, STRING),
	C(umask, STRING),
	C(group_add, LIST),
	C(timezone, STRING),
	C(tty, BOOL),
	C(interactive, BOOL),
	C(stop_signal, STRING),
	C(stop_timeout, INT),
	C(timeout, INT),
	C(volumes, LIST),
	C(mounts, LIST),
	C(tmpfs, LIST),
	C(devices, LIST),
	C(read_only, BOOL),
	C(read_only_tmpfs, BOOL),
	C(shm_size, INT),
	C(network, STRING),
	C(ip, STRING),
	C(mac_address, STRING),
	C(network_aliases, LIST),
	C(publish, LIST),
	C(expose, LIST),
	C(publish_all, BOOL),
	C(add_host, LIST),
	C(dns, LIST),
	C(dns_search, LIST),
	C(dns_option, LIST),
	C(no_hosts, BOOL),
	C(pid, STRING),
	C(ipc, STRING),
	C(uts, STRING),
	C(cgroupns, STRING),
	C(privileged, BOOL),
	C(cap_add, LIST),
	C(cap_drop, LIST),
	C(security_opt, LIST),
	C(ulimits, LIST),
	C(sysctls, LIST),
	C(memory, INT),
	C(memory_swap, INT),
	C(memory_reservation, INT),
	C(cpus, REAL),
	C(cpu_shares, INT),
	C(cpu_period, INT),
	C(cpu_quota, INT),
	C(cpuset_cpus, STRING),
	C(cpuset_mems, STRING),
	C(pids_limit, INT),
	C(has_oom_score_adj, BOOL),
	C(oom_score_adj, INT),
	C(oom_kill_disable, BOOL),
	C(cgroup_parent, STRING),
	C(labels, LIST),
	C(annotations, LIST),
	C(rm, BOOL),
	C(replace, BOOL),
	C(restart, STRING),
	C(log_driver, STRING),
	C(pull, STRING),
	C(log_opts, LIST),
	C(conmon_pidfile, STRING),
	C(pidfile, STRING),
	C(cidfile, STRING),
	C(create_command, LIST),
};

static const struct field exec_fields[] = {
	E(argv, LIST),	 E(env, LIST),	      E(workdir, STRING),
	E(user, STRING), E(tty, BOOL),	      E(interactive, BOOL),
	E(detach, BOOL), E(privileged, BOOL), E(preserve_fds, INT),
};

static void *at(const void *base, const struct field *f)
{
	return (char *)base + f->offset;
}

static void clear(void *o, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++, f++) {
		if (f->type == STRING)
			g_clear_pointer((char **)at(o, f), g_free);
		if (f->type == LIST)
			g_clear_pointer((char ***)at(o, f), g_strfreev);
	}
}

static json_t *list_to_json(char *const *list)
{
	json_t *j = json_array();

	for (; *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

/* NULL when the field is as it is at the start. */
static json_t *field_to_json(const void *o, const void *start, const struct field *f)
{
	switch (f->type) {
	case STRING: {
		const char *s = *(char **)at(o, f);

		return s ? json_string(s) : NULL;
	}
	case LIST: {
		char **list = *(char ***)at(o, f);

		return list ? list_to_json(list) : NULL;
	}
	case BOOL: {
		bool v = *(bool *)at(o, f);

		return v != *(bool *)at(start, f) ? json_boolean(v) : NULL;
	}
	case INT: {
		int64_t v = *(int64_t *)at(o, f);

		return v != *(int64_t *)at(start, f) ? json_integer(v) : NULL;
	}
	case REAL: {
		double v = *(double *)at(o, f);

		return v != *(double *)at(start, f) ? json_real(v) : NULL;
	}
	}
	return NULL;
}

static json_t *to_json(const void *o, const void *start, const struct field *f, size_t n)
{
	json_t *j = json_object();

	for (size_t i = 0; i < n; i++, f++) {
		json_t *v = field_to_json(o, start, f);

		if (v)
			json_object_set_new(j, f->name, v);
	}
	return j;
}

static bool list_from_json(const json_t *v, char ***list)
{
	if (!json_is_array(v))
		return false;
	*list = g_new0(char *, json_array_size(v) + 1);
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *s = json_string_value(json_array_get(v, i));

		if (!s)
			return false;
		(*list)[i] = g_strdup(s);
	}
	return true;
}

static bool field_from_json(void *o, const struct field *f, const json_t *v)
{
	switch (f->type) {
	case STRING:
		*(char **)at(o, f) = g_strdup(json_string_value(v));
		return json_is_string(v);
	case LIST:
		return list_from_json(v, at(o, f));
	case BOOL:
		*(bool *)at(o, f) = json_is_true(v);
		return json_is_boolean(v);
	case INT:
		*(int64_t *)at(o, f) = json_integer_value(v);
		return json_is_integer(v);
	case REAL:
		*(double *)at(o, f) = json_number_value(v);
		return json_is_number(v);
	}
	return false;
}

static int from_json(void *o, const json_t *j, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++, f++) {
		const json_t *v = json_object_get(j, f->name);

		if (v && !field_from_json(o, f, v))
			return err_set(EBADMSG, "stored option %s has the wrong type", f->name);
	}
	return 0;
}

void container_options_init(struct container_options *o)
{
	*o = (struct container_options){.stop_timeout = 10, .read_only_tmpfs = true};
}

void container_options_clear(struct container_options *o)
{
	clear(o, container_fields, ARRAY_SIZE(container_fields));
}

json_t *container_options_to_json(const struct container_options *o)
{
	struct container_options start;

	container_options_init(&start);
	return to_json(o, &start, container_fields, ARRAY_SIZE(container_fields));
}

int container_options_from_json(const json_t *j, struct container_options *ret)
{
	int r;

	container_options_init(ret);
	r = from_json(ret, j, container_fields, ARRAY_SIZE(container_fields));
	if (r < 0)
		container_options_clear(ret);
	return r;
}

static bool list_is_text(char *const *list)
{
	for (; list && *list; list++)
		if (!g_utf8_validate(*list, -1, NULL))
			return false;
	return true;
}

int container_options_check_text(const struct container_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(container_fields); i++) {
		const struct field *f = &container_fields[i];
		bool ok = true;

		if (f->type == STRING && *(char **)at(o, f))
			ok = g_utf8_validate(*(char **)at(o, f), -1, NULL);
		if (f->type == LIST)
			ok = list_is_text(*(char ***)at(o, f));
		if (!ok)
			return err_set(EILSEQ, "the value of %s is not valid UTF-8", f->name);
	}
	return 0;
}

void exec_options_init(struct exec_options *o)
{
	*o = (struct exec_options){};
}

void exec_options_clear(struct exec_options *o)
{
	clear(o, exec_fields, ARRAY_SIZE(exec_fields));
}

json_t *exec_options_to_json(const struct exec_options *o)
{
	struct exec_options start = {};

	return to_json(o, &start, exec_fields, ARRAY_SIZE(exec_fields));
}

int exec_options_from_json(const json_t *j, struct exec_options *ret)
{
	int r;

	exec_options_init(ret);
	r = from_json(ret, j, exec_fields, ARRAY_SIZE(exec_fields));
	if (r < 0)
		exec_options_clear(ret);
	return r;
}

void options_append(char ***list, const char *value)
{
	size_t n = *list ? g_strv_length(*list) : 0;

	*list = g_renew(char *, *list, n + 2);
	(*list)[n] = g_strdup(value);
	(*list)[n + 1] = NULL;
}
