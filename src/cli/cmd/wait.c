/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/human.h"
#include "engine/lifecycle.h"

struct wait_opts {
	bool latest, ignore;
	char **condition;
	const char *interval;
};

#define O(field, ...) OPT(struct wait_opts, field, __VA_ARGS__)
static const struct opt options[] = {O(condition, "condition", 0, "Condition to wait on"),
				     O(ignore, "ignore", 0, "Ignore if a container does not exist"),
				     O(interval, "interval", 'i',
				       "Time Interval to wait before polling for completion",
				       .def = "250ms"),
				     O(latest, "latest", 'l', HELP_LATEST),
				     {}};

static int parse_conditions(const struct wait_opts *o, unsigned *ret)
{
	int64_t ignored;

	*ret = 0;
	for (char **name = o->condition; name && *name; name++) {
		enum container_status s;
		int r = container_status_parse(*name, &s);

		if (r < 0)
			return r;
		*ret |= 1U << s;
	}
	/* The engine is told of the end by the kernel: there is nothing to poll for. */
	if (o->interval && strspn(o->interval, "0123456789") != strlen(o->interval) &&
	    !human_parse_duration(o->interval, &ignored))
		return err_set(EINVAL, "time: invalid duration \"%s\"", o->interval);
	return 0;
}

static int wait_all(struct cli *cli, const GArray *picks, unsigned conditions)
{
	int status = 0;

	for (guint i = 0; i < picks->len; i++) {
		int code = 0;

		if (container_wait(cli->engine, g_array_index(picks, struct pick, i).c, conditions,
				   &code) < 0) {
			cli_print_error();
			status = 125;
			continue;
		}
		printf("%d\n", code);
		fflush(stdout);
	}
	return status;
}

static int run(struct cli *cli)
{
	const struct wait_opts *o = cli->opts;
	const struct pick_how how = {.latest = o->latest, .ignore = o->ignore};
	g_autoptr(GArray) picks = NULL;
	unsigned conditions;
	int r;

	if (o->latest && cli->nargs)
		return err_set(EINVAL, "--latest and containers cannot be used together");
	if (!o->latest && !cli->nargs)
		return err_set(EINVAL, "\"%s %s\" requires a name, id, or the \"--latest\" flag",
			       cli_name(cli), cli->path);
	r = parse_conditions(o, &conditions);
	if (r < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : wait_all(cli, picks, conditions);
}

const struct command cmd_wait = {
	.path = "wait,container wait",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Block on one or more containers",
	.text = "Block until one or more containers stop and then print their exit codes.",
	.examples = "web\n--condition running web db",
	.options = options,
	.size = sizeof(struct wait_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
