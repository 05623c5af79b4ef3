/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint create: a checkpoint with a name. */
#include "cli/cmd/common.h"
#include "engine/checkpoint.h"
#include "engine/cksave.h"

struct ck_create_opts {
	struct checkpoint_options o;
	const char *dir;
};

#define O(field, ...) OPT(struct ck_create_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(dir, "checkpoint-dir", 0, "Use a custom checkpoint storage directory"),
	O(o.file_locks, "file-locks", 0, "Checkpoint a container with file locks"),
	O(o.leave_running, "leave-running", 'R', "Leave the container running after checkpoint"),
	O(o.skip_in_flight, "skip-in-flight", 0,
	  "Drop TCP connections that wait to be accepted, instead of refusing"),
	O(o.tcp_established, "tcp-established", 0,
	  "Checkpoint a container with established TCP connections"),
	{}};

static int run(struct cli *cli)
{
	const struct ck_create_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	struct checkpoint_options how = o->o;
	struct named_options named = {.dir = o->dir};
	struct checkpoint_report report;
	int r = args_range(cli, 2, 2);

	if (r < 0)
		return r;
	named.name = cli->args[1];
	how.named = &named;
	r = pick_one(cli, false, cli->args[0], &c);
	if (r == 0)
		r = container_checkpoint(cli->engine, c, &how, &report);
	if (r == 0)
		puts(named.name);
	return r;
}

const struct command cmd_checkpoint_create = {
	.path = "checkpoint create",
	.usage = "[options] CONTAINER CHECKPOINT",
	.brief = "Create a checkpoint from a running container",
	.text = "Freezes a running container into a checkpoint with a name, of which it can have "
		"many.\nThe root file system's changes are part of it: container restore "
		"--checkpoint, "
		"or\nstart --checkpoint, goes back to exactly that instant, any number of times.",
	.examples = "web before-upgrade\n--leave-running web hourly-1",
	.options = options,
	.size = sizeof(struct ck_create_opts),
	.complete = COMPLETE_RUNNING,
	.run = run,
};
