/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/create_opts.h"

#include "base/file.h"
#include "cli/cmd/env.h"
#include "engine/engine.h"
#include "engine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int size_option(const char *text, const char *what, int64_t *ret)
{
	return text ? options_parse_size(text, what, ret) : 0;
}

int create_limits_resolve(const struct cli *cli, struct create_opts *o)
{
	int r;

	if ((r = size_option(o->memory, "memory", &o->o.memory)) < 0 ||
	    (r = size_option(o->memory_reservation, "memory-reservation",
			     &o->o.memory_reservation)) < 0 ||
	    (r = size_option(o->shm_size, "shm-size", &o->o.shm_size)) < 0)
		return r;
	if (o->memory_swap && !strcmp(o->memory_swap, "-1"))
		o->o.memory_swap = -1;
	else if ((r = size_option(o->memory_swap, "memory-swap", &o->o.memory_swap)) < 0)
		return r;
	if (cli_given(cli, "pids-limit") && !o->o.pids_limit)
		o->o.pids_limit = -1; /* asked for no limit; 0 stands for the default */
	o->o.has_oom_score_adj = cli_given(cli, "oom-score-adj");
	if (o->o.stop_timeout < 0 || o->o.stop_timeout > INT32_MAX)
		return err_set(EINVAL, "invalid --stop-timeout");
	return 0;
}

/* "prog", or a JSON array of words, or "" for no entry point at all. */
static int resolve_entrypoint(struct create_opts *o)
{
	json_t *list, *word;
	size_t i;

	if (!o->entrypoint)
		return 0;
	o->o.entrypoint = g_new0(char *, 1);
	if (!*o->entrypoint)
		return 0;
	list = *o->entrypoint == '[' ? json_loads(o->entrypoint, 0, NULL) : NULL;
	if (!list) {
		options_append(&o->o.entrypoint, o->entrypoint);
		return 0;
	}
	json_array_foreach(list, i, word) if (json_is_string(word))
		options_append(&o->o.entrypoint, json_string_value(word));
	json_decref(list);
	return 0;
}

/* What follows the network's name: ip=, mac=, alias=, as --ip, --mac-address, --network-alias. */
static int network_option(struct create_opts *o, const char *option, const char *whole)
{
	const char *value = strchr(option, '=');

	value = value ? value + 1 : "";
	if (g_str_has_prefix(option, "ip=")) {
		g_free(o->o.ip);
		o->o.ip = g_strdup(value);
	} else if (g_str_has_prefix(option, "mac=")) {
		g_free(o->o.mac_address);
		o->o.mac_address = g_strdup(value);
	} else if (g_str_has_prefix(option, "alias=")) {
		options_append(&o->o.network_aliases, value);
	} else if (strcmp(option, "interface_name=eth0") != 0) {
		return err_set(EINVAL, "unknown bridge network option: %s in --network %s", option,
			       whole);
	}
	return 0;
}

/* NAME:ip=...,mac=... */
static int resolve_network_options(struct create_opts *o)
{
	const char *text = o->network[0], *colon = strchr(text, ':');
	g_auto(GStrv) options = NULL;
	int r = 0;

	if (!colon || g_str_has_prefix(text, "container:") || g_str_has_prefix(text, "ns:"))
		return 0;
	g_free(o->o.network);
	o->o.network = g_strndup(text, (gsize)(colon - text));
	options = g_strsplit(colon + 1, ",", -1);
	for (char **p = options; r == 0 && *p; p++)
		r = network_option(o, *p, text);
	return r;
}

static int resolve_network(struct create_opts *o)
{
	if (!o->network || !o->network[0])
		return 0;
	if (o->network[1])
		return err_set(EINVAL, "a container is connected to one network only: --network %s",
			       o->network[1]);
	o->o.network = g_strdup(o->network[0]);
	return resolve_network_options(o);
}

static int check_attach(const struct create_opts *o)
{
	for (char **a = o->attach; a && *a; a++)
		if (g_ascii_strcasecmp(*a, "stdin") && g_ascii_strcasecmp(*a, "stdout") &&
		    g_ascii_strcasecmp(*a, "stderr"))
			return err_set(EINVAL,
				       "invalid stream \"%s\" for --attach - must be one of stdin, "
				       "stdout, or stderr",
				       *a);
	return 0;
}

static int check_combinations(const struct create_opts *o)
{
	enum pull_policy policy;
	struct stat st;

	if (o->o.rm && o->o.restart && *o->o.restart && strcmp(o->o.restart, "no") != 0)
		return err_set(EINVAL, "the --rm option conflicts with --restart, when the "
				       "restartPolicy is not \"\" and \"no\"");
	if (o->init)
		return err_set(ENOTSUP, "--init is not supported: start an init program of the "
					"image as the command instead");
	if (o->o.replace && !o->o.name)
		return err_set(EINVAL, "cannot replace container without --name being set");
	if (o->platform && (o->arch || o->os))
		return err_set(EINVAL,
			       "--platform option can not be specified with --arch or --os");
	if (o->o.cidfile && !stat(o->o.cidfile, &st))
		return err_set(EEXIST,
			       "container id file exists. Ensure another container is not using it "
			       "or delete %s",
			       o->o.cidfile);
	return o->o.pull ? pull_policy_parse(o->o.pull, &policy) : 0;
}

static int resolve_environment(struct create_opts *o)
{
	int r;

	if (o->env_host)
		env_host(&o->o.env);
	else if (o->http_proxy)
		env_proxy(&o->o.env);
	r = env_collect(o->env_file, o->env, &o->o.env);
	return r < 0 ? r : env_labels(o->label_file, o->label, &o->o.labels);
}

int create_options_resolve(struct cli *cli, struct create_opts *o)
{
	int r;

	for (char **a = cli->argv; *a; a++)
		options_append(&o->o.create_command, *a);
	o->o.image = g_strdup(cli->args[0]);
	for (char **a = cli->args + 1; *a; a++)
		options_append(&o->o.command, *a);
	if ((r = check_combinations(o)) < 0 || (r = check_attach(o)) < 0 ||
	    (r = create_limits_resolve(cli, o)) < 0 || (r = resolve_entrypoint(o)) < 0 ||
	    (r = resolve_network(o)) < 0 || (r = resolve_environment(o)) < 0)
		return r;
	return container_options_check(&o->o);
}

static char *platform_of(const struct create_opts *o)
{
	if (o->platform)
		return g_strdup(o->platform);
	if (!o->arch && !o->os && !o->variant)
		return NULL;
	return g_strdup_printf("%s/%s%s%s", o->os ? o->os : "linux", o->arch ? o->arch : "amd64",
			       o->variant ? "/" : "", o->variant ? o->variant : "");
}

int create_obtain(struct cli *cli, struct create_opts *o, struct engine *e, struct image *ret)
{
	g_autofree char *platform = platform_of(o);
	struct pull_options p = {.quiet = o->quiet, .authfile = o->authfile, .platform = platform};
	int r;

	if (cli_given(cli, "tls-verify"))
		p.tls_verify = o->tls_verify ? 1 : -1;
	r = pull_policy_parse(o->o.pull, &p.policy);
	if (r >= 0)
		r = image_obtain(e, o->o.image, &p, ret);
	if (r >= 0)
		g_clear_pointer(&o->o.pull, g_free); /* it is there now */
	return r;
}

int create_pull(struct cli *cli, struct create_opts *o, struct engine *e)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;

	if (!o->quiet && !o->authfile && !o->platform && !o->arch && !o->os && !o->variant &&
	    !cli_given(cli, "tls-verify"))
		return 0;
	return create_obtain(cli, o, e, &img);
}

int create_write_cidfile(const struct container_options *o, const char *id)
{
	int r = o->cidfile ? file_replace_at(AT_FDCWD, o->cidfile, id, strlen(id), 0644) : 0;

	return r < 0 ? err_wrap(r, "write container id to %s", o->cidfile) : 0;
}
