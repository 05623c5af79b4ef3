/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"

struct restart_opts {
	bool all, latest, running;
	char **cidfile, **filter;
	int64_t time;
};

#define O(field, ...) OPT(struct restart_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Restart all non-running containers"),
	OPT_ARRAY(struct restart_opts, cidfile, "cidfile", 0,
		  "Read the container ID from the file"),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(running, "running", 0, "Restart only running containers"),
	O(time, "time", 't', "Seconds to wait for stop before killing the container",
	  .aliases = "timeout", .def = "10"),
	{}};

static bool is_running(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING;
}

static int restart_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct restart_opts *o = cli->opts;

	return container_restart(e, c, cli_given(cli, "time") ? (int)o->time : -1);
}

static int run(struct cli *cli)
{
	const struct restart_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all || o->running,
				     .latest = o->latest,
				     .filters = o->filter,
				     .cidfiles = o->cidfile,
				     .wanted = o->running ? is_running : NULL};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, o->cidfile || o->filter || o->running);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, restart_one);
}

const struct command cmd_restart = {
	.path = "restart,container restart",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Restart one or more containers",
	.text = "Stops containers that run and starts them again.  A checkpoint is not looked at.",
	.examples = "web\n--latest\nweb db",
	.options = options,
	.size = sizeof(struct restart_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
