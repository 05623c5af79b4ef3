/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct import_opts {
	const char *arch, *message, *os, *variant;
	char **change;
	bool quiet;
};

#define O(field, ...) OPT(struct import_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(arch, "arch", 0, "Set the architecture of the imported image"),
	OPT_ARRAY(
		struct import_opts, change, "change", 'c',
		"Apply the following possible instructions to the created image: CMD | ENTRYPOINT "
		"| ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"),
	O(message, "message", 'm', "Set commit message for imported image"),
	O(os, "os", 0, "Set the OS of the imported image"),
	O(quiet, "quiet", 'q', "Suppress output"),
	O(variant, "variant", 0, "Set the variant of the imported image", .hidden = true),
	{}};

static int run(struct cli *cli)
{
	const struct import_opts *o = cli->opts;
	const struct import_options how = {
		.reference = cli->nargs == 2 ? cli->args[1] : NULL,
		.message = o->message,
		.changes = (const char *const *)o->change,
		.os = o->os,
		.arch = o->arch,
		.quiet = o->quiet,
	};
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct engine *e;
	int r = args_range(cli, 1, 2);

	if (r < 0 || (r = cli_engine(cli, &e)) < 0)
		return r;
	r = image_import(e, cli->args[0], &how, &img);
	if (r < 0)
		return r;
	printf("sha256:%s\n", img.id);
	return 0;
}

const struct command cmd_import = {
	.path = "import,image import",
	.usage = "[options] PATH [REFERENCE]",
	.brief = "Import a tarball to create a filesystem image",
	.text = "Create a container image from the contents of the specified tarball (plain or "
		"compressed).\n\nOptionally tag the image. You can specify the instructions using "
		"the "
		"--change option.",
	.examples = "--message \"imported\" ctr.tar image-imported\n"
		    "--change CMD=/bin/bash - < ctr.tar",
	.options = options,
	.size = sizeof(struct import_opts),
	.run = run,
};
