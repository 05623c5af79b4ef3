/* SPDX-License-Identifier: Apache-2.0 */
/* container cleanup: what conmon runs when a container or an exec session has ended. */
#include "cli/cmd/common.h"
#include "engine/exec.h"
#include "engine/lifecycle.h"

struct cleanup_opts {
	bool all, latest, rm, rmi;
	const char *exec;
};

#define O(field, ...) OPT(struct cleanup_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Cleans up all containers"),
	O(exec, "exec", 0, "Clean up the given exec session instead of the container"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(rm, "rm", 0, "After cleanup, remove the container entirely"),
	O(rmi, "rmi", 0, "After cleanup, remove the image entirely", .hidden = true),
	{}};

static int cleanup_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct cleanup_opts *o = cli->opts;

	return container_cleanup(e, c, o->rm);
}

static bool not_running(const struct container *c)
{
	return !container_is_running(c);
}

static int run(struct cli *cli)
{
	const struct cleanup_opts *o = cli->opts;
	const struct pick_how how = {.all = o->all, .latest = o->latest, .wanted = not_running};
	g_autoptr(GArray) picks = NULL;
	struct engine *e;
	int r = pick_check(cli, o->all, o->latest, false);

	if (r < 0)
		return r;
	if (o->exec) {
		r = cli_engine(cli, &e);
		return r < 0 ? r : exec_cleanup(e, o->exec);
	}
	r = pick_containers(cli, &how, &picks);
	/* Somebody was quicker and removed it: nothing is left to clean. */
	if (r == -ENOENT && cli->nargs == 1 && o->rm) {
		err_clear();
		return 0;
	}
	return r < 0 ? r : pick_each(cli, picks, cleanup_one);
}

const struct command cmd_container_cleanup = {
	.path = "container cleanup",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Clean up network and mountpoints of one or more containers",
	.text = "Cleans up mount points and network of containers that have ended.  The monitor of "
		"each\ncontainer does this by itself; after a crash it can be done by hand.",
	.examples = "--latest\nweb db\n--all",
	.options = options,
	.size = sizeof(struct cleanup_opts),
	.hidden = true,
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
