/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct load_opts {
	const char *input;
	bool quiet;
};

#define O(field, ...) OPT(struct load_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(input, "input", 'i', "Read from specified archive file (default: stdin)"),
	O(quiet, "quiet", 'q', "Suppress the output"),
	{}};

static int run(struct cli *cli)
{
	const struct load_opts *o = cli->opts;
	g_auto(GStrv) names = NULL;
	struct engine *e;
	int r;

	if (cli->nargs)
		return err_set(EINVAL, "accepts at most 0 arg(s), received %zu", cli->nargs);
	if (!o->input && isatty(STDIN_FILENO))
		return err_set(EINVAL,
			       "cannot read from terminal, use command-line redirection or the "
			       "--input flag");
	r = cli_engine(cli, &e);
	if (r < 0 || (r = image_load(e, o->input, o->quiet, &names)) < 0)
		return r;
	for (char **name = names; *name; name++)
		printf("Loaded image: %s\n", *name);
	return 0;
}

const struct command cmd_load = {
	.path = "load,image load",
	.usage = "[options]",
	.brief = "Load image(s) from a tar archive",
	.text = "Loads an image from a locally stored archive (tar file) into container storage.",
	.examples = "-i image.tar",
	.options = options,
	.size = sizeof(struct load_opts),
	.run = run,
};
