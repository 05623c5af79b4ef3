/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network.h"

#include "base/json.h"
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/cmd/filter_table.h"
#include "cli/cmd/network_filter.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"

struct ls_opts {
	bool quiet, noheading, no_trunc;
	const char *format;
	char **filter;
};

static const struct opt options[] = {
	OPT_ARRAY(struct ls_opts, filter, "filter", 'f', "Provide filter values (e.g. 'name=web')"),
	OPT(struct ls_opts, format, "format", 0,
	    "Pretty-print networks to JSON or using a Go "
	    "template"),
	OPT(struct ls_opts, no_trunc, "no-trunc", 0, "Do not truncate the network ID",
	    .aliases = "notruncate"),
	OPT(struct ls_opts, noheading, "noheading", 'n', "Do not print headers"),
	OPT(struct ls_opts, quiet, "quiet", 'q', "Display only names"),
	{}};

static const struct go_field fields[] = {SK("ID", "ID"),
					 SK("Name", "name"),
					 SK("Driver", "driver"),
					 SK("Labels", "Labels"),
					 SK("NetworkInterface", "network_interface"),
					 {.name = "Created", .key = "created", .type = &go_time},
					 {}};
static const struct go_type type = {"networks.ListPrintReports", GO_STRUCT, NULL, fields};

static int is_name(struct engine *e, const json_t *j, const char *value)
{
	return g_regex_match_simple(value, json_text_of(j, "name"), 0, 0);
}

static int is_id(struct engine *e, const json_t *j, const char *value)
{
	return g_str_has_prefix(json_text_of(j, "id"), value);
}

static int is_driver(struct engine *e, const json_t *j, const char *value)
{
	return !strcmp(json_text_of(j, "driver"), value);
}

static int has_label(struct engine *e, const json_t *j, const char *value)
{
	return filter_label(value, json_object_get(j, "labels"));
}

static int lacks_label(struct engine *e, const json_t *j, const char *value)
{
	return !has_label(e, j, value);
}

static const struct filter_test tests[] = {{"name", is_name},	    {"id", is_id},
					   {"driver", is_driver},   {"label", has_label},
					   {"label!", lacks_label}, {}};

int network_filters_check(char *const *filters)
{
	const char *unknown;
	int r = filter_tests_check(tests, filters, &unknown);

	return r > 0 ? err_set(EINVAL, "invalid filter \"%.*s\"", (int)strcspn(unknown, "="),
			       unknown)
		     : r;
}

int network_filters_match(struct engine *e, char *const *filters, const json_t *definition)
{
	return filter_tests_match(tests, e, filters, definition);
}

/* "a=b,c=d" */
static char *labels_text(const json_t *labels)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v) g_string_append_printf(
		text, "%s%s=%s", text->len ? "," : "", key, json_string_value(v));
	return g_strdup(text->str);
}

static void complete_row(const struct ls_opts *o, json_t *j)
{
	g_autofree char *labels = labels_text(json_object_get(j, "labels"));

	json_object_set_new(j, "Labels", json_string(labels));
	json_object_set_new(j, "ID", json_stringn(json_text_of(j, "id"), o->no_trunc ? 64 : 12));
}

static int show(const struct ls_opts *o, json_t *list)
{
	const struct report rep = {
		.name = "network ls",
		.format = o->format,
		.standard = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\n",
		.row = &type,
		.headers = (const struct report_header[]){{"ID", "NETWORK ID"}, {}},
		.no_heading = o->noheading,
	};
	json_t *j;
	size_t i;

	if (report_wants_json(o->format)) {
		report_json(list, 5);
		return 0;
	}
	json_array_foreach(list, i, j)
	{
		if (o->quiet)
			puts(json_text_of(j, "name"));
		else
			complete_row(o, j);
	}
	return o->quiet ? 0 : report_print(&rep, list);
}

static int run(struct cli *cli)
{
	const struct ls_opts *o = cli->opts;
	json_t *all = NULL, *list = json_array(), *j;
	struct engine *e;
	size_t i;
	int r = args_range(cli, 0, 0);

	if (r == 0)
		r = network_filters_check(o->filter);
	if (r == 0)
		r = cli_engine(cli, &e);
	if (r == 0)
		r = network_list(e, &all);
	json_array_foreach(all, i, j)
	{
		r = network_filters_match(e, o->filter, j);
		if (r < 0)
			break;
		if (r > 0)
			json_array_append(list, j);
	}
	if (r >= 0)
		r = show(o, list);
	json_decref(all);
	json_decref(list);
	return r;
}

const struct command cmd_network_ls = {
	.path = "network ls",
	.aliases = "network list",
	.usage = "[options]",
	.brief = "List networks",
	.text = "Lists the networks that containers can be connected to.",
	.examples = "\n--format json\n--filter driver=bridge",
	.options = options,
	.size = sizeof(struct ls_opts),
	.run = run,
};
