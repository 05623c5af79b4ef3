/* SPDX-License-Identifier: Apache-2.0 */
/* process: what runs, its environment and working directory. */
#include "base/dir.h"
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

json_t *spec_strings(char *const *list)
{
	json_t *j = json_array();

	for (; list && *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

/* A list of strings in the image's configuration; docker also writes null. */
static char **image_list(const json_t *image, const char *key)
{
	const json_t *j = json_object_get(image, key);
	char **list = g_new0(char *, json_array_size(j) + 1);
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(j); i++) {
		const char *s = json_string_value(json_array_get(j, i));

		if (s)
			list[n++] = g_strdup(s);
	}
	return list;
}

static void append_all(char ***list, char *const *more)
{
	for (; more && *more; more++)
		options_append(list, *more);
}

int spec_argv(const struct container_options *o, const json_t *image_config, char ***ret)
{
	g_auto(GStrv) entry = image_list(image_config, "Entrypoint");
	g_auto(GStrv) cmd = image_list(image_config, "Cmd");
	char **argv = g_new0(char *, 1);

	append_all(&argv, o->entrypoint ? o->entrypoint : entry);
	/* the image's Cmd belongs to the image's own entry point */
	append_all(&argv, o->command ? o->command : o->entrypoint ? NULL : cmd);
	if (!argv[0]) {
		g_strfreev(argv);
		return err_set(EINVAL, "no command or entrypoint provided, and no CMD or "
				       "ENTRYPOINT from image");
	}
	*ret = argv;
	return 0;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && !strncmp(a, b, n);
}

void spec_env_set(char ***env, const char *assignment)
{
	for (char **s = *env; s && *s; s++)
		if (same_name(*s, assignment)) {
			g_free(*s);
			*s = g_strdup(assignment);
			return;
		}
	options_append(env, assignment);
}

const char *spec_env_get(char *const *env, const char *name)
{
	for (; env && *env; env++)
		if (same_name(*env, name))
			return strchr(*env, '=') ? strchr(*env, '=') + 1 : "";
	return NULL;
}

char **spec_env(const struct container_options *o, const json_t *image_config)
{
	g_auto(GStrv) image = image_list(image_config, "Env");
	char **env = NULL;

	spec_env_set(&env, PATH_DEFAULT);
	spec_env_set(&env, "container=cryopod");
	if (o->tty)
		spec_env_set(&env, "TERM=xterm");
	for (char **s = image; *s; s++)
		spec_env_set(&env, *s);
	for (char *const *s = o->env; s && *s; s++)
		spec_env_set(&env, *s);
	return env;
}

int spec_stop_signal(const struct container_options *o, const json_t *image_config)
{
	const char *text = o->stop_signal;
	int sig;

	if (!text)
		text = json_string_value(json_object_get(image_config, "StopSignal"));
	if (!text || !*text)
		return SIGTERM;
	if (options_parse_signal(text, &sig) < 0) {
		err_clear();
		return SIGTERM;
	}
	return sig;
}

/* A mount will be there when the process starts; the runtime complains if it is not a directory. */
static bool below_user_mount(const struct container_options *o, const char *path)
{
	CLEANUP(user_mounts_clear) struct user_mounts m = {};

	if (user_mounts_parse(o, &m) < 0)
		return false;
	for (unsigned i = 0; i < m.n; i++) {
		size_t n = strlen(m.v[i].destination);

		if (!strncmp(path, m.v[i].destination, n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static int put_cwd(struct spec_context *c)
{
	const char *image = json_string_value(json_object_get(c->image, "WorkingDir"));
	const char *wanted = c->o->workdir ? c->o->workdir : image && *image ? image : "/";
	g_autofree char *path = g_canonicalize_filename(wanted, "/");
	autoclose int fd = dir_open_in_root(c->root, path, O_PATH | O_DIRECTORY);
	int r;

	json_object_set_new(c->process, "cwd", json_string(path));
	if (fd >= 0 || below_user_mount(c->o, path))
		return 0;
	if (errno == ENOTDIR)
		return err_errno("working directory \"%s\"", path);
	/* only the image's own is made; a typing mistake on the command line is told */
	if (c->o->workdir)
		return err_set(ENOENT, "workdir \"%s\" does not exist on container %s", path,
			       c->in->id);
	r = dir_make_in_root(c->root, path);
	return r < 0 ? err_wrap(r, "working directory") : 0;
}

static void put_env(struct spec_context *c, const char *hostname)
{
	g_auto(GStrv) env = spec_env(c->o, c->image);
	g_autofree char *home = g_strdup_printf("HOME=%s", c->user.home);
	g_autofree char *host = g_strdup_printf("HOSTNAME=%s", hostname);

	if (!spec_env_get(env, "HOSTNAME"))
		spec_env_set(&env, host);
	if (!spec_env_get(env, "HOME"))
		spec_env_set(&env, home);
	json_object_set_new(c->process, "env", spec_strings(env));
}

/* The first half of the ID, or the host's own where its network or UTS namespace is shared. */
static char *make_hostname(const struct spec_context *c)
{
	struct utsname u;

	if (c->o->hostname)
		return g_strdup(c->o->hostname);
	if (c->in->netns && !(c->o->uts && !strcmp(c->o->uts, "host")))
		return g_strndup(c->in->id, 12);
	return g_strdup(uname(&u) == 0 ? u.nodename : "localhost");
}

int spec_put_process(struct spec_context *c)
{
	g_autofree char *hostname = make_hostname(c);
	g_auto(GStrv) argv = NULL;
	int r = spec_argv(c->o, c->image, &argv);

	if (r == 0)
		r = put_cwd(c);
	if (r < 0)
		return r;
	json_object_set_new(c->process, "args", spec_strings(argv));
	json_object_set_new(c->process, "terminal", json_boolean(c->o->tty));
	put_env(c, hostname);
	/* a shared UTS namespace has the name that it has */
	if (!c->o->uts || !strcmp(c->o->uts, "private"))
		json_object_set_new(c->spec, "hostname", json_string(hostname));
	return 0;
}
