/* SPDX-License-Identifier: Apache-2.0 */
/* volume create, exists, inspect, rm, prune. */
#include "engine/volume.h"
#include "cli/cmd/common.h"
#include "cli/cmd/object.h"
#include "cli/cmd/volume_filter.h"
#include "cli/report.h"
#include "cli/types.h"

struct create_opts {
	const char *driver;
	bool ignore;
	char **label, **opt;
};

static const struct opt create_options[] = {
	OPT(struct create_opts, driver, "driver", 'd', "Specify volume driver name",
	    .def = "local"),
	OPT(struct create_opts, ignore, "ignore", 0, "Don't fail if volume already exists"),
	OPT_ARRAY(struct create_opts, label, "label", 'l', "Set metadata for a volume"),
	OPT_ARRAY(struct create_opts, opt, "opt", 'o', "Set driver specific options"),
	{}};

static int run_create(struct cli *cli)
{
	const struct create_opts *o = cli->opts;
	const struct volume_options how = {
		.name = cli->args[0], .labels = o->label, .options = o->opt, .ignore = o->ignore};
	g_autofree char *name = NULL;
	struct engine *e;
	int r = args_range(cli, 0, 1);

	if (r < 0)
		return r;
	if (o->driver && strcmp(o->driver, "local") != 0)
		return err_set(EOPNOTSUPP, "volume driver %s: the only driver is local", o->driver);
	r = cli_engine(cli, &e);
	if (r == 0)
		r = volume_create(e, &how, &name);
	if (r == 0)
		puts(name);
	return r;
}

static const struct opt no_options[] = {{}};

static int run_exists(struct cli *cli)
{
	struct engine *e;
	int r = args_range(cli, 1, 1);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = volume_exists(e, cli->args[0]);
	return r < 0 ? r : !r;
}

struct inspect_opts {
	bool all;
	const char *format;
};

static const struct opt inspect_options[] = {
	OPT(struct inspect_opts, all, "all", 'a', "Inspect all volumes"),
	OPT(struct inspect_opts, format, "format", 'f',
	    "Format volume output using Go template or json", .def = "json"),
	{}};

/* Those that exist are shown, whatever the others are. */
static int find_all(struct cli *cli, bool all, json_t **ret)
{
	int r = 0;

	if (all)
		return volume_list(cli->engine, ret);
	*ret = json_array();
	for (size_t i = 0; i < cli->nargs; i++) {
		json_t *j;
		int r1 = volume_find(cli->engine, cli->args[i], &j);

		if (r1 >= 0) {
			json_array_append_new(*ret, j);
			continue;
		}
		if (r1 == -ENOENT)
			r1 = err_set(ENOENT, "inspecting object: no such volume %s", cli->args[i]);
		if (r < 0) {
			ERR_KEEP;

			cli_print_error();
		}
		r = r1;
	}
	return r;
}

static int run_inspect(struct cli *cli)
{
	const struct inspect_opts *o = cli->opts;
	json_t *list = NULL;
	struct engine *e;
	int r, r1 = 0;

	if (o->all == !!cli->nargs)
		return o->all ? err_set(EINVAL, "--all and arguments cannot be used together")
			      : err_set(EINVAL, "provide one or more volume names or use --all");
	r = cli_engine(cli, &e);
	if (r < 0)
		return r;
	r = find_all(cli, o->all, &list);
	if (r < 0) {
		cli_print_error();
		r = 125;
	}
	if (!o->format || report_wants_json(o->format))
		report_json(list, 5);
	else
		r1 = report_template("volume inspect", o->format, &type_volume, list);
	json_decref(list);
	return r1 < 0 ? r1 : r;
}

struct rm_opts {
	bool all, force;
	int64_t time;
};

static const struct opt rm_options[] = {
	OPT(struct rm_opts, all, "all", 'a', "Remove all volumes"),
	OPT(struct rm_opts, force, "force", 'f',
	    "Remove a volume by force, even if it is being used by a container"),
	OPT(struct rm_opts, time, "time", 't',
	    "Seconds to wait for running containers to stop before killing the container",
	    .aliases = "timeout", .def = "10"),
	{}};

static const struct object_kind volumes = {
	.plural = "volumes",
	.name = "Name",
	.list = volume_list,
	.find = volume_find,
	.users = volume_users,
	.remove = volume_remove,
	.check_filters = volume_filters_check,
	.match_filters = volume_filters_match,
};

static int list_names(struct engine *e, char ***ret)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	json_t *list = NULL, *v;
	size_t i;
	int r = volume_list(e, &list);

	json_array_foreach(list, i, v)
		g_strv_builder_add(names, json_string_value(json_object_get(v, "Name")));
	json_decref(list);
	*ret = g_strv_builder_end(names);
	return r;
}

static int run_rm(struct cli *cli)
{
	const struct rm_opts *o = cli->opts;
	g_auto(GStrv) all = NULL;
	struct engine *e;
	int r;

	if (o->all == !!cli->nargs)
		return err_set(EINVAL, "choose either one or more volumes or all");
	r = cli_engine(cli, &e);
	if (r == 0 && o->all)
		r = list_names(e, &all);
	return r < 0 ? r
		     : objects_remove(cli, &volumes, all ? all : cli->args, o->force,
				      cli_given(cli, "time") ? (int)o->time : -1);
}

struct prune_opts {
	bool all, force;
	char **filter;
};

static const struct opt prune_options[] = {
	OPT(struct prune_opts, all, "all", 'a', "Remove all unused volumes, named ones as well"),
	OPT_ARRAY(struct prune_opts, filter, "filter", 0,
		  "Provide filter values (e.g. 'label=<key>=<value>')"),
	OPT(struct prune_opts, force, "force", 'f', "Do not prompt for confirmation"),
	{}};

static int run_prune(struct cli *cli)
{
	const struct prune_opts *o = cli->opts;

	return objects_prune(cli, &volumes, o->force, o->filter);
}

const struct command cmd_volume_create = {
	.path = "volume create",
	.usage = "[options] [NAME]",
	.brief = "Create a new volume",
	.text = "Creates a volume in the volumes directory under the root and prints its name.\n"
		"Without NAME it is 64 random hexadecimal digits.",
	.examples = "myvol\n--label foo=bar myvol",
	.options = create_options,
	.size = sizeof(struct create_opts),
	.run = run_create,
};

const struct command cmd_volume_exists = {
	.path = "volume exists",
	.usage = "VOLUME",
	.brief = "Check if volume exists",
	.text = "Exits with 0 if the given volume exists, otherwise with 1.",
	.examples = "myvol",
	.options = no_options,
	.complete = COMPLETE_VOLUMES,
	.run = run_exists,
};

const struct command cmd_volume_inspect = {
	.path = "volume inspect",
	.usage = "[options] VOLUME [VOLUME...]",
	.brief = "Display detailed information on one or more volumes",
	.text = "Displays detailed information on one or more volumes, as JSON or by a Go "
		"template.",
	.examples = "myvol\n--all\n--format \"{{.Mountpoint}}\" myvol",
	.options = inspect_options,
	.size = sizeof(struct inspect_opts),
	.complete = COMPLETE_VOLUMES,
	.run = run_inspect,
};

const struct command cmd_volume_rm = {
	.path = "volume rm",
	.aliases = "volume remove",
	.usage = "[options] VOLUME [VOLUME...]",
	.brief = "Remove one or more volumes",
	.text = "Removes one or more volumes. Volumes that a container uses are not removed "
		"without\n"
		"--force, which removes the containers first.",
	.examples = "myvol1 myvol2\n--all\n--force myvol",
	.options = rm_options,
	.size = sizeof(struct rm_opts),
	.complete = COMPLETE_VOLUMES,
	.run = run_rm,
};

const struct command cmd_volume_prune = {
	.path = "volume prune",
	.usage = "[options]",
	.brief = "Remove all unused volumes",
	.text = "Removes the volumes that no container uses, after a question that --force leaves "
		"out.\nAll their data is destroyed.",
	.examples = "--force\n--filter label=temporary --force",
	.options = prune_options,
	.size = sizeof(struct prune_opts),
	.run = run_prune,
};
