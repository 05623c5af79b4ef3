/* SPDX-License-Identifier: Apache-2.0 */
/* system prune: all that is not in use, in the order in which one holds the other. */
#include "base/json.h"
#include "cli/cmd/common.h"
#include "cli/cmd/prune.h"
#include "cli/human.h"
#include "engine/lifecycle.h"
#include "engine/network.h"
#include "engine/rootfs.h"
#include "engine/usage.h"
#include "engine/volume.h"

struct system_prune_opts {
	bool all, force, volumes;
	char **filter;
};

#define O(field, ...) OPT(struct system_prune_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Remove all unused data"),
	OPT_ARRAY(struct system_prune_opts, filter, "filter", 0,
		  "Provide filter values (e.g. 'label=<key>=<value>')"),
	O(force, "force", 'f', "Do not prompt for confirmation.  The default is false"),
	O(volumes, "volumes", 0, "Prune volumes"),
	{}};

struct pruning {
	const struct system_prune_opts *o;
	struct engine *e;
	uint64_t bytes;
	int status;
};

/* TITLE is printed before the first of its kind. */
static void tell(const char **title, const char *which)
{
	if (*title)
		puts(*title);
	*title = NULL;
	puts(which);
}

/* What is in use by now, or has gone, is passed over. */
static bool is_done(struct pruning *p, int r)
{
	if (r < 0 && r != -EBUSY && r != -ENOENT) {
		cli_print_error();
		p->status = 125;
	} else if (r < 0) {
		err_clear();
	}
	return r >= 0;
}

static int prune_containers(struct pruning *p)
{
	static const struct remove_options how = {.timeout = -1};
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	const char *title = "Deleted Containers";
	int r = container_list(p->e, &all);

	for (guint i = 0; r == 0 && i < all->len; i++) {
		struct container *c = all->pdata[i];
		uint64_t bytes = 0;

		/* what is frozen waits to be thawed */
		if (c->state.checkpointed ||
		    (c->state.status != CONTAINER_CREATED && c->state.status != CONTAINER_EXITED &&
		     c->state.status != CONTAINER_STOPPED) ||
		    !prune_filters_match(p->o->filter, json_object_get(c->config, "labels"),
					 c->created_ns))
			continue;
		if (rootfs_size(p->e, c->id, &bytes) < 0)
			err_clear();
		if (!is_done(p, container_remove(p->e, c, &how)))
			continue;
		tell(&title, c->id);
		p->bytes += bytes;
	}
	return r;
}

static int prune_volumes(struct pruning *p)
{
	const char *title = "Deleted Volumes";
	json_t *all = NULL, *v;
	size_t i;
	int r = p->o->volumes ? volume_list(p->e, &all) : 0;

	json_array_foreach(all, i, v)
	{
		const char *name = json_text_of(v, "Name");
		int64_t made = 0;
		uint64_t bytes;

		human_parse_rfc3339(json_text_of(v, "CreatedAt"), &made);
		if (!prune_filters_match(p->o->filter, json_object_get(v, "Labels"), made))
			continue;
		bytes = usage_of_tree(json_text_of(v, "Mountpoint"));
		if (!is_done(p, volume_remove(p->e, name)))
			continue;
		tell(&title, name);
		p->bytes += bytes;
	}
	json_decref(all);
	return r;
}

static int prune_all_images(struct pruning *p)
{
	int r = prune_images(p->e, p->o->all, p->o->filter, "Deleted Images", &p->bytes);

	p->status |= r > 0 ? r : 0;
	return MIN(r, 0);
}

static int prune_networks(struct pruning *p)
{
	const char *title = "Deleted Networks";
	json_t *all = NULL, *n;
	size_t i;
	int r = network_list(p->e, &all);

	json_array_foreach(all, i, n)
	{
		const char *name = json_text_of(n, "name");
		int64_t made = 0;

		human_parse_rfc3339(json_text_of(n, "created"), &made);
		if (strcmp(name, NETWORK_DEFAULT) != 0 &&
		    prune_filters_match(p->o->filter, json_object_get(n, "labels"), made) &&
		    is_done(p, network_delete(p->e, name)))
			tell(&title, name);
	}
	json_decref(all);
	return r;
}

static int (*const steps[])(struct pruning *p) = {prune_containers, prune_volumes, prune_all_images,
						  prune_networks};

static bool confirm(const struct system_prune_opts *o)
{
	g_autofree char *text = g_strdup_printf(
		"WARNING! This command removes:\n"
		"\t- all stopped containers\n"
		"\t- all networks not used by at least one container\n%s"
		"\t- all %s\n",
		o->volumes ? "\t- all volumes not used by at least one container\n" : "",
		o->all ? "images without at least one container associated with them"
		       : "dangling images");

	return prune_confirm(text);
}

static int run(struct cli *cli)
{
	const struct system_prune_opts *o = cli->opts;
	struct pruning p = {.o = o};
	g_autofree char *size = NULL;
	int r = args_range(cli, 0, 0);

	if (r == 0)
		r = prune_filters_check(o->filter);
	if (r < 0)
		return r;
	if (!o->force && !confirm(o))
		return 0;
	r = cli_engine(cli, &p.e);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](&p);
	if (r < 0)
		return r;
	size = human_size4((double)p.bytes);
	printf("Total reclaimed space: %s\n", size);
	return p.status;
}

const struct command cmd_system_prune = {
	.path = "system prune",
	.usage = "[options]",
	.brief = "Remove unused data",
	.text = "Removes containers that do not run, networks that no container is connected to, "
		"and "
		"images without\na name; with --all every image that no container uses, with "
		"--volumes the volumes, too. Containers that\nwait in a checkpoint, to be "
		"restored, "
		"stay.",
	.examples = "\n--all --volumes --force",
	.options = options,
	.size = sizeof(struct system_prune_opts),
	.run = run,
};
