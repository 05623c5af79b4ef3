/* SPDX-License-Identifier: Apache-2.0 */
/* system df: how much room images, containers and volumes take. */
#include "cli/cmd/common.h"
#include "cli/human.h"
#include "cli/report.h"
#include "engine/usage.h"

struct df_opts {
	const char *format;
};

static const struct opt options[] = {OPT(struct df_opts, format, "format", 0,
					 "Pretty-print images using a Go template or as JSON"),
				     {}};

static const struct go_field fields[] = {{.name = "Type", .type = &go_string},
					 {.name = "Total", .type = &go_int},
					 {.name = "Active", .type = &go_int},
					 {.name = "RawSize", .type = &go_int},
					 {.name = "RawReclaimable", .type = &go_int},
					 {.name = "TotalCount", .type = &go_int},
					 {.name = "Size", .type = &go_string},
					 {.name = "Reclaimable", .type = &go_string},
					 {}};
static const struct go_type type = {"system.dfSummary", GO_STRUCT, NULL, fields};

static const struct {
	const char *name;
	int (*read)(struct engine *e, struct usage *ret);
} kinds[] = {{"Images", usage_images},
	     {"Containers", usage_containers},
	     {"Local Volumes", usage_volumes}};

static json_t *row_of(const char *name, const struct usage *u)
{
	g_autofree char *size = human_size4((double)u->bytes);
	g_autofree char *free = human_size4((double)u->reclaimable);
	int part = u->bytes ? (int)((double)u->reclaimable / (double)u->bytes * 100 + 0.5) : 0;
	g_autofree char *text = g_strdup_printf("%s (%d%%)", free, part);

	return json_pack("{ss si si sI sI si ss ss}", "Type", name, "Total", (int)u->total,
			 "Active", (int)u->active, "RawSize", (json_int_t)u->bytes,
			 "RawReclaimable", (json_int_t)u->reclaimable, "TotalCount", (int)u->total,
			 "Size", size, "Reclaimable", text);
}

static int show(const struct df_opts *o, json_t *rows)
{
	const struct report rep = {
		.name = "df",
		.format = o->format,
		.standard = "table {{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t"
			    "{{.Reclaimable}}\n",
		.row = &type,
		.headers = (const struct report_header[]){{}},
	};

	if (!report_wants_json(o->format))
		return report_print(&rep, rows);
	report_json(rows, 4);
	return 0;
}

static int run(struct cli *cli)
{
	json_t *rows = json_array();
	struct engine *e;
	int r = args_range(cli, 0, 0);

	if (r == 0)
		r = cli_engine(cli, &e);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		struct usage u;

		r = kinds[i].read(e, &u);
		if (r == 0)
			json_array_append_new(rows, row_of(kinds[i].name, &u));
	}
	if (r == 0)
		r = show(cli->opts, rows);
	json_decref(rows);
	return r;
}

const struct command cmd_system_df = {
	.path = "system df",
	.usage = "[options]",
	.brief = "Show disk usage",
	.text = "Shows how much room images, containers and volumes take, and how much of it would "
		"be free without\nthose that nothing uses. Layers that several images have count "
		"once.",
	.examples = "\n--format json",
	.options = options,
	.size = sizeof(struct df_opts),
	.run = run,
};
