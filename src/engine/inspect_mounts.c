/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/inspect_parts.h"
#include "engine/volume.h"

#include <string.h>

static const char *const propagations[] = {"private",	 "rprivate",	"shared",
					   "rshared",	 "slave",	"rslave",
					   "unbindable", "runbindable", NULL};

static bool is_propagation(const char *option)
{
	return g_strv_contains(propagations, option);
}

static const char *propagation(const struct user_mount *m)
{
	for (char **p = m->options; p && *p; p++)
		if (is_propagation(*p))
			return *p;
	return "rprivate";
}

/* What is not said elsewhere in the object. */
static json_t *other_options(const struct user_mount *m)
{
	json_t *a = json_array();
	bool bind = false;

	for (char **p = m->options; p && *p; p++) {
		if (is_propagation(*p) || !strcmp(*p, "ro") || !strcmp(*p, "rw"))
			continue;
		bind |= !strcmp(*p, "bind") || !strcmp(*p, "rbind");
		json_array_append_new(a, json_string(*p));
	}
	if (m->type == USER_MOUNT_VOLUME) {
		json_array_append_new(a, json_string("nosuid"));
		json_array_append_new(a, json_string("nodev"));
	}
	if (!bind)
		json_array_append_new(a, json_string("rbind"));
	return a;
}

static json_t *one(const struct inspected *in, const struct user_mount *m)
{
	bool volume = m->type == USER_MOUNT_VOLUME;
	g_autofree char *data = volume ? volume_path(in->e, in->c, m, VOLUME_DATA) : NULL;
	json_t *o = json_object();

	put_text(o, "Type", volume ? "volume" : "bind");
	if (volume)
		put_text(o, "Name", m->source);
	put_text(o, "Source", volume ? data : m->source);
	put_text(o, "Destination", m->destination);
	put_text(o, "Driver", volume ? "local" : "");
	put_text(o, "Mode", "");
	json_object_set_new(o, "Options", other_options(m));
	put_bool(o, "RW", !m->read_only);
	put_text(o, "Propagation", propagation(m));
	return o;
}

typedef void (*each_mount)(const struct inspected *in, const struct user_mount *m, json_t *to);

static void walk(const struct inspected *in, each_mount each, json_t *to)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};

	if (user_mounts_parse(in->o, &all) < 0) {
		err_clear(); /* it was checked at create */
		return;
	}
	for (unsigned i = 0; i < all.n; i++)
		each(in, &all.v[i], to);
}

static void add_mount(const struct inspected *in, const struct user_mount *m, json_t *to)
{
	if (m->type != USER_MOUNT_TMPFS)
		json_array_append_new(to, one(in, m));
}

json_t *inspect_mounts(const struct inspected *in)
{
	json_t *a = json_array();

	walk(in, add_mount, a);
	return a;
}

/* SOURCE:DESTINATION:rw,rprivate,rbind */
static void add_bind(const struct inspected *in, const struct user_mount *m, json_t *to)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_t *options, *option;
	size_t i;

	if (m->type == USER_MOUNT_TMPFS)
		return;
	g_string_printf(text, "%s:%s:%s,%s", m->source, m->destination, m->read_only ? "ro" : "rw",
			propagation(m));
	options = other_options(m);
	json_array_foreach(options, i, option)
		g_string_append_printf(text, ",%s", json_string_value(option));
	json_decref(options);
	json_array_append_new(to, json_string(text->str));
}

json_t *inspect_binds(const struct inspected *in)
{
	json_t *a = json_array();

	walk(in, add_bind, a);
	return a;
}

static void add_tmpfs(const struct inspected *in, const struct user_mount *m, json_t *to)
{
	g_autofree char *given = m->options ? g_strjoinv(",", m->options) : NULL;
	g_autofree char *text = g_strdup_printf("rw,rprivate,nosuid,nodev,tmpcopyup%s%s",
						given && *given ? "," : "", given ? given : "");

	if (m->type == USER_MOUNT_TMPFS)
		put_text(to, m->destination, text);
}

json_t *inspect_tmpfs(const struct inspected *in)
{
	json_t *o = json_object();

	walk(in, add_tmpfs, o);
	return o;
}
