/* SPDX-License-Identifier: Apache-2.0 */
/* rmi: status 1 for an unknown image, 2 for one that a container uses. */
#include "cli/cmd/common.h"
#include "engine/image.h"
#include "engine/lifecycle.h"

struct rmi_opts {
	bool all, force, ignore, no_prune;
};

#define O(field, ...) OPT(struct rmi_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Remove all images"),
	O(force, "force", 'f', "Force Removal of the image"),
	O(ignore, "ignore", 'i', "Ignore errors if a specified image does not exist"),
	O(no_prune, "no-prune", 0, "Do not remove dangling images"),
	{}};

static int remove_container(struct engine *e, const char *id)
{
	static const struct remove_options how = {.force = true, .volumes = true, .timeout = 0};
	CLEANUP(container_unref) struct container *c = NULL;
	int r = container_find(e, id, &c);

	if (r >= 0)
		r = container_remove(e, c, &how);
	return r == -ENOENT ? 0 : r;
}

static void report(void *data, const char *what, const char *which)
{
	printf("%s: %s\n", what, which);
}

static int status_of(int r)
{
	return r == -ENOENT ? 1 : r == -EBUSY ? 2 : 125;
}

static void remove_one(struct engine *e, const char *name, const struct rmi_opts *o, int *status)
{
	const struct image_remove_options how = {
		.force = o->force,
		.ignore = o->ignore || o->force || o->all,
		.all_names = o->all,
		.remove_container = remove_container,
		.report = report,
	};
	int r = image_remove(e, name, &how);

	if (r < 0) {
		cli_print_error();
		*status = status_of(r);
	}
}

static int remove_all(struct engine *e, const struct rmi_opts *o)
{
	g_autoptr(GPtrArray) list = NULL;
	int status = 0, r = image_list(e, &list);

	if (r < 0)
		return r;
	for (guint i = 0; i < list->len; i++) {
		const struct image *img = list->pdata[i];

		remove_one(e, img->id, o, &status);
	}
	return status;
}

static int run(struct cli *cli)
{
	const struct rmi_opts *o = cli->opts;
	struct engine *e;
	int status = 0, r;

	if (!cli->nargs && !o->all)
		return err_set(EINVAL, "image name or ID must be specified");
	if (cli->nargs && o->all)
		return err_set(EINVAL, "when using the --all switch, you may not pass any images "
				       "names or IDs");
	r = cli_engine(cli, &e);
	if (r < 0)
		return r;
	if (o->all)
		return remove_all(e, o);
	for (char **name = cli->args; *name; name++)
		remove_one(e, *name, o, &status);
	return status;
}

const struct command cmd_rmi = {
	.path = "rmi,image rm",
	.aliases = "image remove",
	.usage = "[options] IMAGE [IMAGE...]",
	.brief = "Removes one or more images from local storage",
	.text = "Removes one or more previously pulled or locally created images.",
	.examples = "imageID\n--force alpine\nc4dfb1609ee2 93fd78260bd1 c0ed59d05ff7",
	.options = options,
	.size = sizeof(struct rmi_opts),
	.complete = COMPLETE_IMAGES,
	.run = run,
};
