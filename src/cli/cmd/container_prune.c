/* SPDX-License-Identifier: Apache-2.0 */
/* container prune: those that do not run; but what is frozen is not done. */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "engine/lifecycle.h"

struct container_prune_opts {
	char **filter;
	bool force;
};

#define O(field, ...) OPT(struct container_prune_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	OPT_ARRAY(struct container_prune_opts, filter, "filter", 0,
		  "Only containers for which the conditions hold (label=..., name=...)"),
	O(force, "force", 'f', "Do not prompt for confirmation"),
	{}};

static bool is_done(const struct container *c)
{
	return !c->state.checkpointed &&
	       (c->state.status == CONTAINER_CREATED || c->state.status == CONTAINER_EXITED ||
		c->state.status == CONTAINER_STOPPED);
}

static int remove_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct remove_options how = {.timeout = -1};

	return container_remove(e, c, &how);
}

static int run(struct cli *cli)
{
	const struct container_prune_opts *o = cli->opts;
	const struct pick_how how = {.all = true, .filters = o->filter, .wanted = is_done};
	g_autoptr(GArray) picks = NULL;
	int r = args_range(cli, 0, 0);

	if (r < 0)
		return r;
	if (!o->force && !confirm_removal("non running containers"))
		return 0;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, remove_one);
}

const struct command cmd_container_prune = {
	.path = "container prune",
	.usage = "[options]",
	.brief = "Remove all non running containers",
	.text = "Removes containers that have ended or were never started. Those that wait in a\n"
		"checkpoint, to be restored, stay: rm removes them.",
	.examples = "\n--force --filter label=job",
	.options = options,
	.size = sizeof(struct container_prune_opts),
	.run = run,
};
