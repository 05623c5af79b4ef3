/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/logs.h"

#include "cli/cmd/common.h"

struct logs_opts {
	bool follow, latest, names, timestamps, color;
	const char *since, *until;
	int64_t tail;
};

#define O(field, ...) OPT(struct logs_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(color, "color", 0, "Accepted for compatibility: lines are as they were written",
	  .hidden = true),
	O(follow, "follow", 'f', "Follow log output.  The default is false"),
	O(latest, "latest", 'l', HELP_LATEST),
	O(names, "names", 'n', "Output the container name in the log"),
	O(since, "since", 0, "Show logs since TIMESTAMP"),
	O(tail, "tail", 0,
	  "Output the specified number of LINES at the end of the logs.  Defaults to -1, which "
	  "prints all lines",
	  .def = "-1"),
	O(timestamps, "timestamps", 't', "Output the timestamps in the log"),
	O(until, "until", 0, "Show logs until TIMESTAMP"),
	{}};

static void set_defaults(void *opts)
{
	((struct logs_opts *)opts)->tail = -1;
}

static int parse_when(const char *option, const char *text, int64_t *ret)
{
	int r = !text			   ? 0
		: !strcmp(option, "until") ? logs_parse_until(text, ret)
					   : logs_parse_time(text, ret);

	return r < 0 ? err_wrap(r, "parsing --%s \"%s\"", option, text) : 0;
}

static int show(struct cli *cli, const struct logs_options *lo, const GArray *picks)
{
	g_autofree struct container **c = g_new0(struct container *, picks->len + 1);
	int r;

	for (guint i = 0; i < picks->len; i++)
		c[i] = g_array_index(picks, struct pick, i).c;
	r = logs_show(cli->engine, c, picks->len, lo, stdout, stderr);
	return r < 0 ? r : 0;
}

static int run(struct cli *cli)
{
	const struct logs_opts *o = cli->opts;
	const struct pick_how how = {.latest = o->latest};
	struct logs_options lo = {.follow = o->follow,
				  .timestamps = o->timestamps,
				  .names = o->names,
				  .tail = o->tail};
	g_autoptr(GArray) picks = NULL;
	int r;

	if (cli->nargs && o->latest)
		return err_set(EINVAL, "--latest and containers cannot be used together");
	if (!cli->nargs && !o->latest)
		return err_set(EINVAL, "specify at least one container name or ID to log");
	r = parse_when("since", o->since, &lo.since_ns);
	if (r < 0 || (r = parse_when("until", o->until, &lo.until_ns)) < 0)
		return r;
	r = pick_containers(cli, &how, &picks);
	return r < 0 ? r : show(cli, &lo, picks);
}

const struct command cmd_logs = {
	.path = "logs,container logs",
	.usage = "[options] CONTAINER [CONTAINER...]",
	.brief = "Fetch the logs of one or more containers",
	.text = "Retrieves logs for one or more containers.\n\nTIMESTAMP is a date, a date and "
		"time, "
		"seconds since 1970, or a duration before now (\"10m\").",
	.examples = "web\n--names web db\n--tail 2 web\n--follow=true --since 10m web\nweb db",
	.options = options,
	.size = sizeof(struct logs_opts),
	.init = set_defaults,
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
