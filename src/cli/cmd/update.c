/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/create_opts.h"
#include "engine/lifecycle.h"

static int update(struct cli *cli, struct create_opts *o)
{
	CLEANUP(container_unref) struct container *c = NULL;
	json_t *changes;
	int r = args_range(cli, 1, 1);

	if (r == 0)
		r = create_limits_resolve(cli, o);
	if (r == 0)
		r = pick_one(cli, false, cli->args[0], &c);
	if (r < 0)
		return r;
	changes = container_options_to_json(&o->o); /* what was said, and nothing else */
	r = container_update(cli->engine, c, changes);
	json_decref(changes);
	if (r == 0)
		puts(c->id);
	return r;
}

static int run(struct cli *cli)
{
	struct create_opts *o = cli->opts;
	int r = update(cli, o);

	container_options_clear(&o->o);
	return r;
}

const struct command cmd_update = {
	.path = "update,container update",
	.usage = "[options] CONTAINER",
	.brief = "Change the limits of a container",
	.text = "Changes how much a container may use, at once if it runs, and for all later "
		"starts "
		"and\n"
		"restores.  What is not given stays as it is.",
	.examples = "--memory 1g web\n--cpus 1.5 --pids-limit 100 web",
	.options = update_options,
	.size = sizeof(struct create_opts),
	.init = create_opts_init,
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
