/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct save_opts {
	const char *format, *output;
	bool compress, multi, quiet, uncompressed;
};

#define O(field, ...) OPT(struct save_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(compress, "compress", 0, "Compress tarball image layers when saving to a directory",
	  .hidden = true),
	O(format, "format", 0,
	  "Save image to oci-archive, oci-dir (directory with oci manifest type), docker-archive, "
	  "docker-dir (directory with v2s2 manifest type)",
	  .def = "docker-archive"),
	O(multi, "multi-image-archive", 'm',
	  "Interpret additional arguments as images not tags and create a multi-image-archive",
	  .hidden = true),
	O(output, "output", 'o',
	  "Write to a specified file (default: stdout, which must be "
	  "redirected)"),
	O(quiet, "quiet", 'q', "Suppress the output"),
	O(uncompressed, "uncompressed", 0, "Accept uncompressed layers when copying OCI images"),
	{}};

static int run(struct cli *cli)
{
	const struct save_opts *o = cli->opts;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
	struct image_save_options how = {
		.output = o->output, .format = o->format, .quiet = o->quiet};
	struct engine *e;
	int r = 0;

	if (!cli->nargs)
		return err_set(EINVAL, "need at least 1 argument");
	if (o->multi && cli->nargs > 1)
		return err_set(EOPNOTSUPP,
			       "--multi-image-archive is not supported: save %s to an "
			       "archive of its own",
			       cli->args[1]);
	if (!o->output && isatty(STDOUT_FILENO))
		return err_set(EINVAL, "refusing to save to terminal. Use -o flag or redirect");
	for (size_t i = 1; r == 0 && i < cli->nargs; i++) {
		char *full = NULL;

		r = image_normalize(cli->args[i], &full);
		if (r == 0)
			g_ptr_array_add(tags, full);
	}
	g_ptr_array_add(tags, NULL);
	how.tags = (char *const *)tags->pdata;
	if (r < 0 || (r = cli_engine(cli, &e)) < 0 ||
	    (r = image_resolve(e, cli->args[0], &img)) < 0)
		return r;
	return image_save(e, &img, &how);
}

const struct command cmd_save = {
	.path = "save,image save",
	.usage = "[options] IMAGE [NAME...]",
	.brief = "Save image(s) to an archive",
	.text = "Saves an image to a docker-archive or oci-archive on the local machine, by "
		"default\n"
		"a docker-archive. Further names are names of the same image in the archive.",
	.examples = "--quiet -o myimage.tar imageID\n--format oci-archive -o alpine.tar alpine",
	.options = options,
	.size = sizeof(struct save_opts),
	.complete = COMPLETE_IMAGES,
	.run = run,
};
