/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/top.h"

#include "cli/cmd/common.h"
#include "cli/table.h"

struct top_opts {
	bool latest;
};

static const struct opt options[] = {OPT(struct top_opts, latest, "latest", 'l', HELP_LATEST), {}};

static void print_rows(const GPtrArray *rows)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *aligned = NULL;

	for (guint i = 0; i < rows->len; i++) {
		g_autofree char *line = g_strjoinv("\t", rows->pdata[i]);

		g_string_append_printf(text, "%s\n", line);
	}
	aligned = table_align(text->str);
	fputs(aligned, stdout);
}

static int run(struct cli *cli)
{
	const struct top_opts *o = cli->opts;
	CLEANUP(container_unref) struct container *c = NULL;
	g_autoptr(GPtrArray) rows = NULL;
	char *const *descriptors = cli->args + !o->latest;
	int r;

	if (!cli->nargs && !o->latest)
		return err_set(EINVAL, "you must provide the name or id of a running container");
	r = pick_one(cli, o->latest, cli->args[0], &c);
	if (r < 0)
		return r;
	r = container_top(cli->engine, c, *descriptors ? (const char *const *)descriptors : NULL,
			  &rows);
	if (r < 0)
		return r;
	print_rows(rows);
	return 0;
}

const struct command cmd_top = {
	.path = "top,container top",
	.usage = "[options] CONTAINER [FORMAT-DESCRIPTORS|ARGS...]",
	.brief = "Display the running processes of a container",
	.text = "Display the running processes of a container, in the columns that are named.",
	.examples = "web\n--latest\nweb pid seccomp args %C",
	.options = options,
	.size = sizeof(struct top_opts),
	.stop_at_arg = true,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
