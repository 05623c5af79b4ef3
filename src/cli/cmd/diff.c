/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/report.h"
#include "engine/image.h"
#include "engine/rootfs.h"

struct diff_opts {
	bool latest;
	const char *format;
};

#define O(field, ...) OPT(struct diff_opts, field, __VA_ARGS__)
static const struct opt options[] = {O(format, "format", 0, "Change the output format (json)"),
				     O(latest, "latest", 'l', HELP_LATEST),
				     {}};

static void show_json(const GPtrArray *changes)
{
	static const struct {
		enum rootfs_change_kind kind;
		const char *key;
	} lists[] = {
		{ROOTFS_CHANGED, "changed"}, {ROOTFS_ADDED, "added"}, {ROOTFS_DELETED, "deleted"}};
	json_t *j = json_object();

	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		json_t *list = json_array();

		for (guint i = 0; i < changes->len; i++) {
			const struct rootfs_change *c = changes->pdata[i];

			if (c->kind == lists[k].kind)
				json_array_append_new(list, json_string(c->path));
		}
		if (json_array_size(list))
			json_object_set(j, lists[k].key, list);
		json_decref(list);
	}
	report_json(j, 5);
	json_decref(j);
}

static int run(struct cli *cli)
{
	const struct diff_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autoptr(GPtrArray) changes = NULL;
	int r;

	if (cli->nargs && o->latest)
		return err_set(EINVAL, "--latest and containers cannot be used together");
	if (cli->nargs > 1)
		return err_set(EINVAL, "accepts at most 1 arg(s), received %zu", cli->nargs);
	if (!cli->nargs && !o->latest)
		return err_set(EINVAL, "\"%s %s\" requires a name, id, or the \"--latest\" flag",
			       cli_name(cli), cli->path);
	if (o->format && !report_wants_json(o->format))
		return err_set(EINVAL, "only supported value for '--format' is 'json'");
	r = pick_one(cli, o->latest, cli->args[0], &c);
	if (r < 0 || (r = image_resolve(cli->engine, c->image_id, &img)) < 0 ||
	    (r = rootfs_diff(cli->engine, c->id, img.layers, &changes)) < 0)
		return r;
	if (o->format) {
		show_json(changes);
		return 0;
	}
	for (guint i = 0; i < changes->len; i++) {
		const struct rootfs_change *change = changes->pdata[i];

		printf("%c %s\n", change->kind, change->path);
	}
	return 0;
}

const struct command cmd_diff = {
	.path = "diff,container diff",
	.usage = "[options] CONTAINER",
	.brief = "Inspect changes to the container's file systems",
	.text = "Displays changes on a container's file system against its image: A added, C "
		"changed, "
		"D deleted.",
	.examples = "web\n--format json web",
	.options = options,
	.size = sizeof(struct diff_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
