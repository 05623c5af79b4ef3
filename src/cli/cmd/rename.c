/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"

static const struct opt options[] = {{}};

static int run(struct cli *cli)
{
	CLEANUP(container_unref) struct container *c = NULL;
	int r = args_range(cli, 2, 2);

	if (r < 0)
		return r;
	r = pick_one(cli, false, cli->args[0], &c);
	return r < 0 ? r : container_rename(cli->engine, c, pick_name(cli->args[1]));
}

const struct command cmd_rename = {
	.path = "rename,container rename",
	.usage = "CONTAINER NAME",
	.brief = "Rename an existing container",
	.text = "Gives a container another name.",
	.examples = "web frontend",
	.options = options,
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
