/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint ls, rm, prune. */
#include "cli/cmd/common.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"
#include "engine/ckinspect.h"
#include "engine/cknamed.h"

struct ls_opts {
	const char *dir, *format;
	bool quiet, noheading;
};

#define HELP_DIR "Use a custom checkpoint storage directory"

static const struct opt ls_options[] = {
	OPT(struct ls_opts, dir, "checkpoint-dir", 0, HELP_DIR),
	OPT(struct ls_opts, format, "format", 0,
	    "Pretty-print checkpoints to JSON or using a Go "
	    "template"),
	OPT(struct ls_opts, noheading, "noheading", 0, "Do not print headers"),
	OPT(struct ls_opts, quiet, "quiet", 'q', "Display only names"),
	{}};

static const struct go_field fields[] = {SK("Container", "containerName"),
					 SK("ContainerID", "container"),
					 SK("Name", "shown"),
					 {.name = "CreatedAt", .key = "created", .type = &go_time},
					 SK("Created", "ago"),
					 SK("Image", "image"),
					 SK("Memory", "memory"),
					 SK("Rootfs", "rootfs"),
					 SK("Frozen", "frozen"),
					 IK("ImagesSize", "imagesSize"),
					 IK("RootfsSize", "rootfsSize"),
					 {}};
static const struct go_type type = {"checkpoints.Report", GO_STRUCT, NULL, fields};
static const struct report_header headers[] = {
	{"Name", "CHECKPOINT NAME"}, {"Rootfs", "ROOT FS"}, {}};

/* Those with names, and the container's own, which has none. */
static int add_container(struct cli *cli, const struct container *c, json_t *to)
{
	const struct ls_opts *o = cli->opts;
	json_t *list = NULL, *own = o->dir ? NULL : ckinspect_own(cli->engine, c);
	int r = cknamed_list(cli->engine, c, o->dir, &list);

	if (r == 0)
		json_array_extend(to, list);
	if (own)
		json_array_append_new(to, own);
	json_decref(list);
	return r;
}

static int collect(struct cli *cli, json_t *to)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < cli->nargs; i++) {
		CLEANUP(container_unref) struct container *c = NULL;

		r = pick_one(cli, false, cli->args[i], &c);
		if (r == 0)
			r = add_container(cli, c, to);
	}
	if (cli->nargs)
		return r;
	r = container_list(cli->engine, &all);
	for (guint i = 0; r == 0 && i < all->len; i++)
		r = add_container(cli, all->pdata[i], to);
	return r;
}

static void set_size(json_t *j, const char *key, const char *from)
{
	json_t *size = json_object_get(j, from);
	g_autofree char *text = size ? human_size((double)json_integer_value(size)) : g_strdup("");

	json_object_set_new(j, key, json_string(text));
}

static void complete_row(json_t *j)
{
	const char *name = json_string_value(json_object_get(j, "name"));
	const char *created = json_string_value(json_object_get(j, "created"));
	json_t *frozen = json_object_get(j, "frozenMicroseconds");
	g_autofree char *ago = NULL, *ms = NULL;
	int64_t ns = 0;

	if (created && human_parse_rfc3339(created, &ns))
		ago = human_ago(ns, engine_now_ns());
	ms = frozen ? g_strdup_printf("%.1fms", (double)json_integer_value(frozen) / 1000)
		    : g_strdup("");
	json_object_set_new(j, "shown", json_string(name && *name ? name : "<none>"));
	json_object_set_new(j, "ago", json_string(ago ? ago : ""));
	json_object_set_new(j, "frozen", json_string(ms));
	set_size(j, "memory", "imagesSize");
	set_size(j, "rootfs", "rootfsSize");
}

/* Called as "docker", it prints what docker prints. */
static bool is_docker(const struct cli *cli)
{
	return !strcmp(cli_name(cli), "docker");
}

static int show(const struct cli *cli, const struct ls_opts *o, json_t *list)
{
	const struct report rep = {
		.name = "checkpoint ls",
		.format = o->format,
		.standard = is_docker(cli)
				    ? "table {{.Name}}\n"
				    : "table {{.Container}}\t{{.Name}}\t{{.Created}}\t{{.Memory}}\t"
				      "{{.Rootfs}}\t{{.Frozen}}\n",
		.row = &type,
		.headers = headers,
		.no_heading = o->noheading,
	};
	json_t *j;
	size_t i;

	if (report_wants_json(o->format)) {
		report_json(list, 5);
		return 0;
	}
	json_array_foreach(list, i, j)
	{
		complete_row(j);
		if (o->quiet)
			puts(json_string_value(json_object_get(j, "shown")));
	}
	return o->quiet ? 0 : report_print(&rep, list);
}

static int run_ls(struct cli *cli)
{
	const struct ls_opts *o = cli->opts;
	json_t *list = json_array();
	struct engine *e;
	int r = cli_engine(cli, &e);

	if (r == 0)
		r = collect(cli, list);
	if (r == 0)
		r = show(cli, o, list);
	json_decref(list);
	return r;
}

struct rm_opts {
	const char *dir;
};

static const struct opt rm_options[] = {OPT(struct rm_opts, dir, "checkpoint-dir", 0, HELP_DIR),
					{}};

static int run_rm(struct cli *cli)
{
	const struct rm_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	int r = args_range(cli, 2, -1), status = 0;

	if (r == 0)
		r = pick_one(cli, false, cli->args[0], &c);
	if (r == 0)
		r = container_lock(cli->engine, c);
	for (size_t i = 1; r == 0 && i < cli->nargs; i++) {
		if (cknamed_remove(cli->engine, c, o->dir, cli->args[i]) < 0) {
			cli_print_error();
			status = 1;
			continue;
		}
		puts(cli->args[i]);
	}
	return r < 0 ? r : status;
}

struct prune_opts {
	const char *dir;
	uint64_t keep;
	bool force, all;
};

static const struct opt prune_options[] = {
	OPT(struct prune_opts, all, "all", 'a', "Of all containers"),
	OPT(struct prune_opts, dir, "checkpoint-dir", 0, HELP_DIR),
	OPT(struct prune_opts, force, "force", 'f', "Do not prompt for confirmation"),
	OPT(struct prune_opts, keep, "keep", 0, "How many of each container stay, the newest",
	    .def = "0"),
	{}};

static int prune_one(struct cli *cli, struct container *c)
{
	const struct prune_opts *o = cli->opts;
	json_t *list = NULL;
	size_t n;
	int r = container_lock(cli->engine, c);

	if (r == 0)
		r = cknamed_list(cli->engine, c, o->dir, &list);
	n = json_array_size(list);
	for (size_t i = 0; r == 0 && i + o->keep < n; i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(list, i), "name"));

		r = cknamed_remove(cli->engine, c, o->dir, name);
		if (r == 0)
			printf("%s %s\n", c->name, name);
	}
	json_decref(list);
	container_unlock(c);
	return r;
}

static bool confirmed(const struct prune_opts *o)
{
	char answer[16] = "";

	printf("WARNING! This will remove all checkpoints but the newest %" G_GUINT64_FORMAT
	       " of each container.\nAre you sure you want to continue? [y/N] ",
	       (guint64)o->keep);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int run_prune(struct cli *cli)
{
	const struct prune_opts *o = cli->opts;
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	struct engine *e;
	int r;

	if (o->all == !!cli->nargs)
		return o->all ? err_set(EINVAL, "no arguments are needed with --all")
			      : err_set(EINVAL, "name the containers, or use --all");
	if (!o->force && !confirmed(o))
		return 0;
	r = cli_engine(cli, &e);
	if (r == 0 && o->all)
		r = container_list(e, &all);
	for (guint i = 0; r == 0 && all && i < all->len; i++)
		r = prune_one(cli, all->pdata[i]);
	for (size_t i = 0; r == 0 && i < cli->nargs; i++) {
		CLEANUP(container_unref) struct container *c = NULL;

		r = pick_one(cli, false, cli->args[i], &c);
		if (r == 0)
			r = prune_one(cli, c);
	}
	return r;
}

const struct command cmd_checkpoint_ls = {
	.path = "checkpoint ls",
	.aliases = "checkpoint list",
	.usage = "[options] [CONTAINER...]",
	.brief = "List the checkpoints of containers",
	.text = "Lists the checkpoints of the named containers, or of all: those with names, and "
		"as\n"
		"<none> the one that container checkpoint has taken.",
	.examples = "\nweb\n--format json web",
	.options = ls_options,
	.size = sizeof(struct ls_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_ls,
};

const struct command cmd_checkpoint_rm = {
	.path = "checkpoint rm",
	.aliases = "checkpoint remove",
	.usage = "[options] CONTAINER CHECKPOINT [CHECKPOINT...]",
	.brief = "Remove checkpoints of a container",
	.text = "Removes named checkpoints of a container, with their memory images and files.",
	.examples = "web before-upgrade",
	.options = rm_options,
	.size = sizeof(struct rm_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_rm,
};

const struct command cmd_checkpoint_prune = {
	.path = "checkpoint prune",
	.usage = "[options] {CONTAINER...|--all}",
	.brief = "Remove old checkpoints",
	.text = "Removes named checkpoints, the oldest first, until --keep of each container are "
		"left.",
	.examples = "--keep 3 web\n--all --force --keep 1",
	.options = prune_options,
	.size = sizeof(struct prune_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_prune,
};
