/* SPDX-License-Identifier: Apache-2.0 */
/* tag and untag. */
#include "cli/cmd/common.h"
#include "engine/image.h"

static const struct opt options[] = {{}};

static int run_tag(struct cli *cli)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct engine *e;
	int r = args_range(cli, 2, -1);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = image_resolve(e, cli->args[0], &img);
	for (size_t i = 1; r >= 0 && i < cli->nargs; i++)
		r = image_tag(e, &img, cli->args[i]);
	return r < 0 ? r : 0;
}

static int run_untag(struct cli *cli)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct engine *e;
	int r = args_range(cli, 1, -1);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = image_resolve(e, cli->args[0], &img);
	return r < 0 ? r : image_untag(e, &img, (const char *const *)cli->args + 1);
}

const struct command cmd_tag = {
	.path = "tag,image tag",
	.usage = "IMAGE TARGET_NAME [TARGET_NAME...]",
	.brief = "Add an additional name to a local image",
	.text = "Adds one or more additional names to locally-stored image.",
	.examples = "0e3bbc2 fedora:latest\nimageID:latest myNewImage:newTag\n"
		    "httpd myregistryhost:5000/fedora/httpd:v2",
	.options = options,
	.complete = COMPLETE_IMAGES,
	.run = run_tag,
};

const struct command cmd_untag = {
	.path = "untag,image untag",
	.usage = "IMAGE [IMAGE...]",
	.brief = "Remove a name from a local image",
	.text = "Removes one or more names from a locally-stored image; without names, all of "
		"them.",
	.examples = "0e3bbc2\nimageID:latest otherImageName:latest",
	.options = options,
	.complete = COMPLETE_IMAGES,
	.run = run_untag,
};
