/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image_commit.h"

#include <fcntl.h>
#include <unistd.h>

struct export_opts {
	const char *output;
};

static const struct opt options[] = {
	OPT(struct export_opts, output, "output", 'o',
	    "Write to a specified file (default: stdout, which must be redirected)"),
	{}};

/* A file appears whole under its name or not at all. */
static int to_file(struct engine *e, struct container *c, const char *path)
{
	g_autofree char *aside = g_strdup_printf("%s.partial-%d", path, getpid());
	autoclose int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return err_errno("create %s", path);
	r = container_export(e, c, fd);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno("write %s", path);
	if (r == 0 && rename(aside, path) < 0)
		r = err_errno("create %s", path);
	if (r < 0)
		unlink(aside);
	return r;
}

static int run(struct cli *cli)
{
	const struct export_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	int r = args_range(cli, 1, 1);

	if (r < 0)
		return r;
	if (!o->output && isatty(STDOUT_FILENO))
		return err_set(EINVAL, "refusing to export to terminal. Use -o flag or redirect");
	r = pick_one(cli, false, cli->args[0], &c);
	if (r < 0)
		return r;
	return o->output ? to_file(cli->engine, c, o->output)
			 : container_export(cli->engine, c, STDOUT_FILENO);
}

const struct command cmd_export = {
	.path = "export,container export",
	.usage = "[options] CONTAINER",
	.brief = "Export container's filesystem contents as a tar archive",
	.text = "Writes the root file system of a container as a tar file, without volumes and "
		"other mounts. `import` makes an image of it.",
	.examples = "web > web.tar\n--output web.tar web",
	.options = options,
	.size = sizeof(struct export_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
