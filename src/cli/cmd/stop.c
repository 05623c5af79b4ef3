/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"

struct stop_opts {
	bool all, ignore, latest;
	char **cidfile, **filter;
	int64_t time;
};

#define O(field, ...) OPT(struct stop_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Stop all running containers"),
	OPT_ARRAY(struct stop_opts, cidfile, "cidfile", 0, "Read the container ID from the file"),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(ignore, "ignore", 'i', "Ignore errors when a specified container is missing"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(time, "time", 't', "Seconds to wait for stop before killing the container",
	  .aliases = "timeout", .def = "10"),
	{}};

static bool wanted(const struct container *c)
{
	return container_is_running(c);
}

static int stop_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct stop_opts *o = cli->opts;

	return container_stop(e, c, cli_given(cli, "time") ? (int)o->time : -1);
}

static int run(struct cli *cli)
{
	const struct stop_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all,
				     .latest = o->latest,
				     .ignore = o->ignore,
				     .filters = o->filter,
				     .cidfiles = o->cidfile,
				     .wanted = o->filter ? NULL : wanted};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, o->cidfile || o->filter);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, stop_one);
}

const struct command cmd_stop = {
	.path = "stop,container stop",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Stop one or more containers",
	.text = "Stops one or more running containers.  The container name or ID can be used.\n\n"
		"What has not ended after the time given is killed.",
	.examples = "web\n--latest\n--time 2 web 6e534f14da9d",
	.options = options,
	.size = sizeof(struct stop_opts),
	.complete = COMPLETE_RUNNING,
	.run = run,
};
