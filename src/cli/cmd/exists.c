/* SPDX-License-Identifier: Apache-2.0 */
/* container exists, image exists: 0 or 1, no output. */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct exists_opts {
	bool external;
};

static const struct opt container_options_table[] = {
	OPT(struct exists_opts, external, "external", 0,
	    "Check external storage containers as well as containers of " CLI_NAME,
	    .aliases = "storage"),
	{}};
static const struct opt no_options[] = {{}};

static int run_container(struct cli *cli)
{
	CLEANUP(container_unref) struct container *c = NULL;
	int r = args_range(cli, 1, 1);

	if (r < 0)
		return r;
	r = pick_one(cli, false, cli->args[0], &c);
	return r == -ENOENT ? 1 : r < 0 ? r : 0;
}

static int run_image(struct cli *cli)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct engine *e;
	int r = args_range(cli, 1, 1);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = image_resolve(e, cli->args[0], &img);
	return r == -ENOENT ? 1 : r < 0 ? r : 0;
}

const struct command cmd_container_exists = {
	.path = "container exists",
	.usage = "[options] CONTAINER",
	.brief = "Check if a container exists in local storage",
	.text = "Exits with 0 if the named container exists in local storage, otherwise with 1.",
	.examples = "web || " CLI_NAME " run --name web [etc...]",
	.options = container_options_table,
	.size = sizeof(struct exists_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run_container,
};

const struct command cmd_image_exists = {
	.path = "image exists",
	.usage = "IMAGE",
	.brief = "Check if an image exists in local storage",
	.text = "Exits with 0 if the named image exists in local storage, otherwise with 1.",
	.examples = "ID\nIMAGE && " CLI_NAME " pull IMAGE",
	.options = no_options,
	.complete = COMPLETE_IMAGES,
	.run = run_image,
};
