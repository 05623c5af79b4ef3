/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/copy.h"

struct cp_opts {
	bool archive, extract, overwrite, pause;
};

#define O(field, ...) OPT(struct cp_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(archive, "archive", 'a',
	  "Chown copied files to the primary user of the container, or to the caller",
	  .def = "true"),
	O(extract, "extract", 0, "Deprecated, without effect", .hidden = true),
	O(overwrite, "overwrite", 0,
	  "Allow to overwrite directories with non-directories and vice versa"),
	O(pause, "pause", 0, "Deprecated, without effect", .hidden = true),
	{}};

static void set_defaults(void *opts)
{
	((struct cp_opts *)opts)->archive = true;
}

/* "web:/tmp"; what begins with a slash or a dot is always the host's. */
static int parse(struct cli *cli, const char *arg, struct container **ret, char **ret_name,
		 struct copy_end *end)
{
	const char *colon = strchr(arg, ':');
	int r;

	*end = (struct copy_end){.path = arg};
	if (!colon || colon == arg || *arg == '/' || *arg == '.')
		return 0;
	*ret_name = g_strndup(arg, (size_t)(colon - arg));
	r = pick_one(cli, false, *ret_name, ret);
	if (r < 0)
		return r;
	end->c = *ret;
	end->shown = *ret_name;
	end->path = colon[1] ? colon + 1 : "/";
	return 0;
}

static int run(struct cli *cli)
{
	const struct cp_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *a = NULL, *b = NULL;
	g_autofree char *from_name = NULL, *to_name = NULL;
	struct copy_end from, to;
	int r = args_range(cli, 2, 2);

	if (r == 0)
		r = parse(cli, cli->args[0], &a, &from_name, &from);
	if (r == 0)
		r = parse(cli, cli->args[1], &b, &to_name, &to);
	if (r < 0)
		return r;
	if (!from.c && !to.c)
		return err_set(EINVAL,
			       "invalid arguments \"%s\", \"%s\": you must specify one container",
			       cli->args[0], cli->args[1]);
	if (a && b && !strcmp(a->id, b->id)) { /* one lock for both */
		container_unref(&b);
		b = container_ref(a);
		to.c = b;
	}
	return container_copy(
		cli->engine, &from, &to,
		&(struct copy_options){.overwrite = o->overwrite, .archive = o->archive});
}

const struct command cmd_cp = {
	.path = "cp,container cp",
	.usage = "[options] [CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH",
	.brief = "Copy files/folders between a container and the local filesystem",
	.text = "Copies a file or directory from or to a container, which may run or not, or "
		"between containers.\n\nA source that ends in \"/.\" means what is in the "
		"directory. \"-\" reads a tar file from stdin, or writes one to stdout.",
	.examples = "./config web:/etc/app/\nweb:/var/log/app .\nweb:/srv - > srv.tar",
	.options = options,
	.size = sizeof(struct cp_opts),
	.init = set_defaults,
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
