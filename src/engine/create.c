/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `create`: everything that can be wrong with options and image is found before the record exists;
 * the record exists before any file of the container.
 */
#include "base/file.h"
#include "base/log.h"
#include "engine/container_store.h"
#include "engine/events.h"
#include "engine/image.h"
#include "engine/lifecycle.h"
#include "engine/network.h"
#include "engine/spec.h"
#include "engine/store.h"
#include "engine/volume.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static json_t *strings(char *const *v)
{
	json_t *a = json_array();

	for (; v && *v; v++)
		json_array_append_new(a, json_string(*v));
	return a;
}

/* A later NAME=VALUE replaces an earlier one in its place. */
static void env_set(GPtrArray *env, const char *assignment)
{
	size_t n = strcspn(assignment, "=");

	for (unsigned i = 0; i < env->len; i++) {
		const char *old = env->pdata[i];

		if (!strncmp(old, assignment, n) && old[n] == '=') {
			g_free(env->pdata[i]);
			env->pdata[i] = g_strdup(assignment);
			return;
		}
	}
	g_ptr_array_add(env, g_strdup(assignment));
}

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What inspect shows before the first start; config.json has the final word. */
static json_t *environment(const struct container_options *o, const json_t *image)
{
	g_autoptr(GPtrArray) env = g_ptr_array_new_with_free_func(g_free);
	const json_t *value;
	json_t *all;
	size_t i;

	env_set(env, DEFAULT_PATH);
	if (o->tty)
		env_set(env, "TERM=xterm");
	env_set(env, "container=cryopod");
	json_array_foreach(json_object_get(image, "Env"), i, value) if (json_string_value(value))
		env_set(env, json_string_value(value));
	for (char **p = o->env; p && *p; p++)
		env_set(env, *p);
	g_ptr_array_add(env, NULL);
	all = strings((char *const *)env->pdata);
	return all;
}

static json_t *labels(const struct container_options *o, const json_t *image)
{
	json_t *from_image = json_object_get(image, "Labels");
	json_t *all = json_is_object(from_image) ? json_deep_copy(from_image) : json_object();

	for (char **p = o->labels; p && *p; p++) {
		size_t n = strcspn(*p, "=");
		g_autofree char *key = g_strndup(*p, n);

		json_object_set_new(all, key, json_string((*p)[n] ? *p + n + 1 : ""));
	}
	return all;
}

static json_t *entrypoint(const struct container_options *o, const json_t *image)
{
	json_t *of_image = json_object_get(image, "Entrypoint");

	if (o->entrypoint)
		return strings(o->entrypoint);
	return json_is_array(of_image) ? json_incref(of_image) : json_array();
}

static json_t *command(const struct container_options *o, const json_t *image)
{
	json_t *of_image = json_object_get(image, "Cmd");

	if (o->command && *o->command)
		return strings(o->command);
	return !o->entrypoint && json_is_array(of_image) ? json_incref(of_image) : json_array();
}

static const char *image_text(const json_t *image, const char *key)
{
	const char *s = json_string_value(json_object_get(image, key));

	return s ? s : "";
}

static const char *const network_mode_names[] = {
	[NETWORK_BRIDGE] = "bridge",	   [NETWORK_NONE] = "none", [NETWORK_HOST] = "host",
	[NETWORK_CONTAINER] = "container", [NETWORK_PATH] = "ns",
};

/* Takes OBJECT: as Go prints a map. */
static json_t *sorted(json_t *object)
{
	g_autofree char *text = json_dumps(object, JSON_SORT_KEYS);

	json_decref(object);
	return json_loads(text, 0, NULL);
}

static void set(struct container *c, const char *key, json_t *value)
{
	json_object_set_new(c->config, key, value);
}

static void set_text(struct container *c, const char *key, const char *value)
{
	set(c, key, json_string(value ? value : ""));
}

static void resolve(struct engine *e, struct container *c, const struct container_options *o,
		    const struct image *img, char **argv)
{
	const json_t *image = img->config;
	g_autofree char *log = NULL, *short_id = g_strndup(c->id, 12);
	bool own_uts = !o->uts || !strcmp(o->uts, "private");

	set(c, "options", container_options_to_json(o));
	set(c, "argv", strings(argv));
	set(c, "env", environment(o, image));
	set(c, "entrypoint", entrypoint(o, image));
	set(c, "command", command(o, image));
	set(c, "labels", sorted(labels(o, image)));
	set(c, "exposed", json_incref(json_object_get(image, "ExposedPorts")));
	set_text(c, "workdir", o->workdir ? o->workdir : image_text(image, "WorkingDir"));
	set_text(c, "user", o->user ? o->user : image_text(image, "User"));
	set(c, "stopSignal", json_integer(spec_stop_signal(o, image)));
	set_text(c, "runtime", e->runtime_name);
	set_text(c, "runtimePath", e->runtime_path);
	set(c, "createCommand", strings(o->create_command));
	set_text(c, "hostname", o->hostname ? o->hostname : own_uts ? short_id : "");
	set(c, "terminal", json_boolean(o->tty));
	set(c, "stdin", json_boolean(o->interactive));
	set(c, "remove", json_boolean(o->rm));
	set_text(c, "imageDigest", img->digest);
	log = g_build_filename(e->root, "overlay-containers", c->id, "userdata", "ctr.log", NULL);
	set_text(c, "logPath", log);
}

/* The ID of the container that --network, --pid ... container:X names, fixed now. */
static int fix_partner(struct engine *e, struct container *c, const char *what, const char *ref)
{
	CLEANUP(container_unref) struct container *other = NULL;
	json_t *partners = json_object_get(c->config, "partners");
	int r = container_find(e, ref, &other);

	if (r < 0)
		return r;
	if (!partners) {
		partners = json_object();
		set(c, "partners", partners);
	}
	json_object_set_new(partners, what, json_string(other->id));
	return 0;
}

static int partners(struct engine *e, struct container *c, const struct container_options *o)
{
	const struct {
		const char *what, *mode;
	} all[] = {{"network", o->network}, {"pid", o->pid}, {"ipc", o->ipc}, {"uts", o->uts}};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		int r = 0;

		if (all[i].mode && g_str_has_prefix(all[i].mode, "container:"))
			r = fix_partner(e, c, all[i].what, all[i].mode + strlen("container:"));
		if (r < 0)
			return r;
	}
	return 0;
}

static int network(struct engine *e, struct container *c, const struct container_options *o,
		   const struct image *img)
{
	CLEANUP(network_choice_clear) struct network_choice choice = {0};
	json_t *ports = NULL, *definition = NULL;
	g_autofree char *mac = NULL;
	int r = network_choice_parse(o->network, &choice);

	if (r == 0 && o->ip)
		r = network_check_ip(o->ip);
	if (r == 0 && o->mac_address)
		r = network_check_mac(o->mac_address, &mac);
	if (r == 0 && choice.mode == NETWORK_BRIDGE) {
		r = network_definition(e, choice.arg, &definition);
		json_decref(definition);
		if (r == 0)
			r = network_ports(o, img->config, &ports);
	}
	if (r < 0)
		return r;
	set_text(c, "networkMode", network_mode_names[choice.mode]);
	set_text(c, "networkArg", choice.arg);
	set(c, "ports", ports ? ports : json_array());
	return 0;
}

/* --replace: `run` prints nothing about it, the old one just goes. */
static int replace(struct engine *e, const char *name)
{
	const struct remove_options o = {.force = true, .volumes = false, .timeout = -1};
	CLEANUP(container_unref) struct container *old = NULL;

	if (!container_name_used(e, name))
		return 0;
	if (container_find(e, name, &old) < 0 || strcmp(old->name, name) != 0) {
		err_clear();
		return 0;
	}
	return container_remove(e, old, &o);
}

/* -v /data: a volume that nobody has named gets its ID as its name, and goes with the container. */
static void name_volumes(struct container *c, struct container_options *o)
{
	json_t *made = json_array();

	for (char **p = o->volumes; p && *p; p++) {
		char id[ENGINE_ID_LEN + 1], *named;

		if (**p != '/' || strchr(*p, ':'))
			continue;
		engine_random_id(id);
		named = g_strdup_printf("%s:%s", id, *p);
		g_free(*p);
		*p = named;
		json_array_append_new(made, json_string(id));
	}
	set(c, "volumes", made);
}

static int name_it(struct engine *e, struct container *c, const struct container_options *o)
{
	int r;

	if (!o->name || !*o->name)
		return container_random_name(e, &c->name);
	c->name = g_strdup(o->name[0] == '/' ? o->name + 1 : o->name);
	r = container_check_name(c->name);
	if (r == 0 && o->replace)
		return replace(e, c->name);
	return r == 0 && container_name_used(e, c->name) ? container_name_taken(e, c) : r;
}

static int make_dirs(struct engine *e, struct container *c)
{
	static const char *const names[] = {"artifacts", "secrets"};
	g_autofree char *dir = container_static_dir(e, c);

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		g_autofree char *path = g_build_filename(dir, names[i], NULL);
		int r = file_mkdirs(path, 0700);

		if (r < 0)
			return r;
	}
	return 0;
}

static int insert(struct engine *e, struct container *c)
{
	int r;

	r = container_insert(e, c);
	if (r < 0)
		return r;
	r = make_dirs(e, c);
	if (r == 0)
		r = volume_ensure_all(e, c);
	if (r < 0) {
		ERR_KEEP;

		if (container_delete_record(e, c) < 0)
			log_warn("container %s: %s", c->name, err_message());
		return r;
	}
	store_keep_reserve(e);
	event_container(e, c, "create");
	return 0;
}

/* Everything that may be refused has been; AS may be NULL. */
static int make(struct engine *e, struct container *c, struct container_options *o,
		const struct image *img, const struct container_as *as)
{
	g_auto(GStrv) argv = NULL;
	int r = spec_argv(o, img->config, &argv);

	if (r < 0)
		return r;
	if (as && as->id)
		g_strlcpy(c->id, as->id, sizeof(c->id));
	else
		engine_random_id(c->id);
	c->created_ns = engine_now_ns();
	c->image_id = g_strdup(img->id);
	c->image_name = g_strdup(img->name);
	c->config = json_object();
	name_volumes(c, o);
	if (as && as->volumes)
		json_array_extend(json_object_get(c->config, "volumes"), as->volumes);
	resolve(e, c, o, img, argv);
	r = partners(e, c, o);
	if (r == 0)
		r = network(e, c, o, img);
	return r < 0 ? r : insert(e, c);
}

int container_create(struct engine *e, struct container_options *o, struct container **ret)
{
	CLEANUP(container_unref) struct container *c = container_new();
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct pull_options pull = {0};
	int r;

	r = container_options_check(o);
	if (r == 0)
		r = pull_policy_parse(o->pull, &pull.policy);
	if (r == 0)
		r = engine_runtime(e);
	if (r == 0)
		r = name_it(e, c, o);
	if (r == 0)
		r = image_obtain(e, o->image, &pull, &img);
	if (r == 0)
		r = make(e, c, o, &img, NULL);
	if (r == 0)
		*ret = g_steal_pointer(&c);
	return r;
}

int container_create_as(struct engine *e, struct container_options *o,
			const struct container_as *as, struct container **ret)
{
	CLEANUP(container_unref) struct container *c = container_new();
	int r = container_options_check(o);

	if (r == 0)
		r = engine_runtime(e);
	if (r == 0)
		r = name_it(e, c, o);
	if (r == 0)
		r = make(e, c, o, as->image, as);
	if (r == 0)
		*ret = g_steal_pointer(&c);
	return r;
}
