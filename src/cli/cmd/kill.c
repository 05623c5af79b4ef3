/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/lifecycle.h"
#include "engine/options.h"

#include <signal.h>

struct kill_opts {
	bool all, latest;
	char **cidfile;
	const char *signal;
	int number;
};

#define O(field, ...) OPT(struct kill_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Signal all running containers"),
	OPT_ARRAY(struct kill_opts, cidfile, "cidfile", 0, "Read the container ID from the file"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(signal, "signal", 's', "Signal to send to the container", .def = "KILL"),
	{}};

static bool is_running(const struct container *c)
{
	return c->state.status == CONTAINER_RUNNING;
}

static int kill_one(struct cli *cli, struct engine *e, struct container *c)
{
	const struct kill_opts *o = cli->opts;

	return container_kill(e, c, o->number);
}

static int parse_signal(struct kill_opts *o)
{
	int r = o->signal ? options_parse_signal(o->signal, &o->number) : 0;

	if (!o->signal)
		o->number = SIGKILL;
	if (o->signal && o->signal[0] && strspn(o->signal, "0123456789") == strlen(o->signal) &&
	    (r < 0 || o->number < 1 || o->number > 64))
		return err_set(EINVAL, "valid signals are 1 through 64");
	return r;
}

static int run(struct cli *cli)
{
	struct kill_opts *o = cli->opts;
	const struct pick_how how = {
		.all = o->all, .latest = o->latest, .cidfiles = o->cidfile, .wanted = is_running};
	g_autoptr(GArray) picks = NULL;
	int r = pick_check(cli, o->all, o->latest, o->cidfile);

	if (r < 0 || (r = parse_signal(o)) < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : pick_each(cli, picks, kill_one);
}

const struct command cmd_kill = {
	.path = "kill,container kill",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Kill one or more running containers with a specific signal",
	.text = "Sends SIGKILL, or the signal given, to the first process of each container, and "
		"waits "
		"for the end of what has got SIGKILL.",
	.examples = "web\n860a4b23\n--signal TERM web",
	.options = options,
	.size = sizeof(struct kill_opts),
	.complete = COMPLETE_RUNNING,
	.run = run,
};
