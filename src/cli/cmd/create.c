/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/create_opts.h"
#include "engine/lifecycle.h"

static int create(struct cli *cli, struct create_opts *o)
{
	CLEANUP(container_unref) struct container *c = NULL;
	struct engine *e;
	int r = create_options_resolve(cli, o);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0 || (r = create_pull(cli, o, e)) < 0)
		return r;
	r = container_create(e, &o->o, &c);
	if (r < 0)
		return r;
	r = create_write_cidfile(&o->o, c->id);
	puts(c->id);
	return r;
}

static int run(struct cli *cli)
{
	struct create_opts *o = cli->opts;
	int r = args_range(cli, 1, -1);

	if (r >= 0)
		r = create(cli, o);
	container_options_clear(&o->o);
	return r;
}

const struct command cmd_create = {
	.path = "create,container create",
	.usage = "[options] IMAGE [COMMAND [ARG...]]",
	.brief = "Create but do not start a container",
	.text = "Creates a new container from the given image and prints its ID.",
	.examples = "alpine ls\n--annotation HELLO=WORLD alpine ls\n-t -i --name myctr alpine ls",
	.options = create_options,
	.size = sizeof(struct create_opts),
	.init = create_opts_init,
	.stop_at_arg = true,
	.complete = COMPLETE_IMAGES,
	.run = run,
};
