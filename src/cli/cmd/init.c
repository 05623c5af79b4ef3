/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"

struct init_opts {
	bool all, latest;
};

#define O(field, ...) OPT(struct init_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Initialize all containers"), O(latest, "latest", 'l', HELP_LATEST), {}};

static bool initializable(const struct container *c)
{
	return c->state.status == CONTAINER_CREATED || c->state.status == CONTAINER_EXITED;
}

static int init_one(struct cli *cli, struct engine *e, struct container *c)
{
	return container_init(e, c);
}

static int run(struct cli *cli)
{
	const struct init_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all, .latest = o->latest, .wanted = initializable};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, false);

	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, init_one);
}

const struct command cmd_init = {
	.path = "init,container init",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Initialize one or more containers",
	.text = "Initialize one or more containers, creating the OCI spec and mounts for "
		"inspection. "
		"Container names or IDs can be used.",
	.examples = "--latest\n3c45ef19d893\nweb",
	.options = options,
	.size = sizeof(struct init_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
