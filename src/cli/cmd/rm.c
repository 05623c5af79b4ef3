/* SPDX-License-Identifier: Apache-2.0 */
/* rm: status 1 for an unknown container, 2 for one that runs. */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "engine/lifecycle.h"

struct rm_opts {
	bool all, depend, force, ignore, latest, volumes;
	char **cidfile, **filter;
	int64_t time;
};

#define O(field, ...) OPT(struct rm_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Remove all containers"),
	OPT_ARRAY(struct rm_opts, cidfile, "cidfile", 0, "Read the container ID from the file"),
	O(depend, "depend", 0, "Remove container and all containers that depend on it"),
	O(filter, "filter", 0, "Filter output based on conditions given"),
	O(force, "force", 'f', "Force removal of a running or unusable container"),
	O(ignore, "ignore", 'i', "Ignore errors when a specified container is missing"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(time, "time", 't', "Seconds to wait for stop before killing the container",
	  .aliases = "timeout", .def = "10"),
	O(volumes, "volumes", 'v', "Remove anonymous volumes associated with the container"),
	{}};

static int remove_one(struct cli *cli, const struct pick *p)
{
	const struct rm_opts *o = cli->opts;
	const struct remove_options how = {
		.force = o->force,
		.volumes = o->volumes,
		.timeout = cli_given(cli, "time") ? (int)o->time : -1,
	};
	int r = container_remove(cli->engine, p->c, &how);

	/* Somebody else (--rm, another rm) was quicker: it is gone, as was asked. */
	if (r == -ENOENT && (o->force || o->ignore || o->all)) {
		err_clear();
		r = 0;
	}
	if (r >= 0)
		puts(p->shown);
	return r;
}

/* Which status a failure asks for; the last one decides. */
static int status_of(int r)
{
	return r == -ENOENT ? 1 : r == -EBUSY ? 2 : 125;
}

/* Names are looked up one by one: an unknown one does not keep the others. */
static int remove_named(struct cli *cli, const char *name)
{
	const struct rm_opts *o = cli->opts;
	struct pick p = {.shown = name};
	int r = container_find(cli->engine, pick_name(name), &p.c);

	if (r == -ENOENT && (o->ignore || o->force)) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	r = remove_one(cli, &p);
	container_unref(&p.c);
	return r;
}

static int run(struct cli *cli)
{
	const struct rm_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all,
				     .latest = o->latest,
				     .filters = o->filter,
				     .cidfiles = o->cidfile,
				     .ignore = o->ignore || o->force};
	char *const *names = cli->args;
	g_autoptr(GArray) picks = NULL;
	int status = 0, r;

	r = pick_check(cli, o->all, o->latest, o->cidfile || o->filter);
	if (r < 0)
		return r;
	cli->nargs = 0; /* picks has the others only */
	r = pick_containers(cli, &how, &picks);
	if (r < 0)
		return r;
	for (; *names; names++) {
		r = remove_named(cli, *names);
		if (r < 0) {
			cli_print_error();
			status = status_of(r);
		}
	}
	for (guint i = 0; i < picks->len; i++) {
		r = remove_one(cli, &g_array_index(picks, struct pick, i));
		if (r < 0) {
			cli_print_error();
			status = status_of(r);
		}
	}
	return status;
}

const struct command cmd_rm = {
	.path = "rm,container rm",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Remove one or more containers",
	.text = "Removes one or more containers from the host. The container name or ID can be "
		"used.\n\nImages stay. Running containers are not removed without the -f option.",
	.examples = "web\nweb db 860a4b23\n--force --all\n-f c684f0d469f2",
	.options = options,
	.size = sizeof(struct rm_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
