/* SPDX-License-Identifier: Apache-2.0 */
/* pause and unpause. */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"

struct pause_opts {
	bool all, latest;
	char **cidfile, **filter;
};

#define O(field, ...) OPT(struct pause_opts, field, __VA_ARGS__)
static const struct opt pause_options[] = {
	O(all, "all", 'a', "Pause all running containers"),
	OPT_ARRAY(struct pause_opts, cidfile, "cidfile", 0, "Read the container ID from the file"),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(latest, "latest", 'l', HELP_LATEST),
	{}};
static const struct opt unpause_options[] = {
	O(all, "all", 'a', "Unpause all paused containers"),
	OPT_ARRAY(struct pause_opts, cidfile, "cidfile", 0, "Read the container ID from the file"),
	O(filter, "filter", 'f', "Filter output based on conditions given"),
	O(latest, "latest", 'l', HELP_LATEST),
	{}};

static bool is_running(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING;
}

static bool is_paused(const struct container *c)
{
	return c->state.status == CONTAINER_PAUSED;
}

static int pause_one(struct cli *cli, struct engine *e, struct container *c)
{
	return container_pause(e, c);
}

static int unpause_one(struct cli *cli, struct engine *e, struct container *c)
{
	return container_unpause(e, c);
}

static int run_with(struct cli *cli, bool (*wanted)(const struct container *),
		    int (*each)(struct cli *, struct engine *, struct container *))
{
	const struct pause_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all,
				     .latest = o->latest,
				     .filters = o->filter,
				     .cidfiles = o->cidfile,
				     .wanted = wanted};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, o->cidfile || o->filter);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, each);
}

static int run_pause(struct cli *cli)
{
	return run_with(cli, is_running, pause_one);
}

static int run_unpause(struct cli *cli)
{
	return run_with(cli, is_paused, unpause_one);
}

const struct command cmd_pause = {
	.path = "pause,container pause",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Pause all the processes in one or more containers",
	.text = "Stops all processes of the containers where they are, by the cgroup freezer.  "
		"They\n"
		"stay in memory; see container checkpoint for the other way.",
	.examples = "web\n--all",
	.options = pause_options,
	.size = sizeof(struct pause_opts),
	.complete = COMPLETE_RUNNING,
	.run = run_pause,
};

const struct command cmd_unpause = {
	.path = "unpause,container unpause",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Unpause the processes in one or more containers",
	.text = "Lets the processes of paused containers go on.",
	.examples = "web\n--all",
	.options = unpause_options,
	.size = sizeof(struct pause_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_unpause,
};
