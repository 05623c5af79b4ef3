/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/cmd/filter_table.h"
#include "cli/cmd/volume_filter.h"
#include "cli/human.h"
#include "cli/report.h"
#include "cli/types.h"

struct ls_opts {
	bool quiet, noheading;
	const char *format;
	char **filter;
};

static const struct opt options[] = {
	OPT_ARRAY(struct ls_opts, filter, "filter", 'f', "Filter volume output"),
	OPT(struct ls_opts, format, "format", 0, "Format volume output using Go template",
	    .def = "{{range .}}{{.Driver}}\\t{{.Name}}\\n{{end -}}"),
	OPT(struct ls_opts, noheading, "noheading", 'n', "Do not print headers"),
	OPT(struct ls_opts, quiet, "quiet", 'q', "Print volume output in quiet mode"),
	{}};

static bool text_is(const json_t *v, const char *key, const char *value)
{
	return !g_strcmp0(json_string_value(json_object_get(v, key)), value);
}

static int is_name(struct engine *e, const json_t *v, const char *value)
{
	const char *name = json_string_value(json_object_get(v, "Name"));

	return g_regex_match_simple(value, name, 0, 0);
}

static int is_driver(struct engine *e, const json_t *v, const char *value)
{
	return text_is(v, "Driver", value);
}

static int is_scope(struct engine *e, const json_t *v, const char *value)
{
	return text_is(v, "Scope", value);
}

static int has_label(struct engine *e, const json_t *v, const char *value)
{
	return filter_label(value, json_object_get(v, "Labels"));
}

static int lacks_label(struct engine *e, const json_t *v, const char *value)
{
	return !has_label(e, v, value);
}

static int has_option(struct engine *e, const json_t *v, const char *value)
{
	return filter_label(value, json_object_get(v, "Options"));
}

static int is_anonymous(struct engine *e, const json_t *v, const char *value)
{
	return json_is_true(json_object_get(v, "Anonymous")) == !strcmp(value, "true");
}

static int is_dangling(struct engine *e, const json_t *v, const char *value)
{
	g_auto(GStrv) ids = NULL;
	int r = volume_users(e, json_string_value(json_object_get(v, "Name")), &ids);

	return r < 0 ? r : !ids[0] == !strcmp(value, "true");
}

static int compare_time(const json_t *v, const char *value)
{
	int64_t made = 0, bound = 0;

	if (!human_parse_when(value, engine_now_ns(), &bound))
		return err_set(EINVAL, "unable to interpret time value \"%s\"", value);
	human_parse_rfc3339(json_string_value(json_object_get(v, "CreatedAt")), &made);
	return (made > bound) + 1; /* 1: before, 2: after */
}

static int is_before(struct engine *e, const json_t *v, const char *value)
{
	int r = compare_time(v, value);

	return r < 0 ? r : r == 1;
}

static int is_after(struct engine *e, const json_t *v, const char *value)
{
	int r = compare_time(v, value);

	return r < 0 ? r : r == 2;
}

static const struct filter_test tests[] = {
	{"name", is_name},	     {"driver", is_driver},	{"scope", is_scope},
	{"label", has_label},	     {"label!", lacks_label},	{"opt", has_option},
	{"anonymous", is_anonymous}, {"dangling", is_dangling}, {"until", is_before},
	{"after", is_after},	     {"since", is_after},	{},
};

int volume_filters_check(char *const *filters)
{
	const char *unknown;
	int r = filter_tests_check(tests, filters, &unknown);

	return r > 0 ? err_set(EINVAL, "\"%.*s\" is an invalid volume filter",
			       (int)strcspn(unknown, "="), unknown)
		     : r;
}

int volume_filters_match(struct engine *e, char *const *filters, const json_t *v)
{
	return filter_tests_match(tests, e, filters, v);
}

static int matching(struct engine *e, char *const *filter, json_t **ret)
{
	json_t *all = NULL, *v;
	size_t i;
	int r = volume_filters_check(filter);

	if (r == 0)
		r = volume_list(e, &all);
	*ret = json_array();
	json_array_foreach(all, i, v)
	{
		r = volume_filters_match(e, filter, v);
		if (r < 0)
			break;
		if (r > 0)
			json_array_append(*ret, v);
	}
	json_decref(all);
	return r < 0 ? r : 0;
}

static int show(const struct ls_opts *o, json_t *list)
{
	const struct report rep = {
		.name = "volume ls",
		.format = o->format,
		.standard = "table {{.Driver}}\t{{.Name}}\n",
		.row = &type_volume,
		.headers = (const struct report_header[]){{"Name", "VOLUME NAME"}, {}},
		.no_heading = o->noheading,
	};
	json_t *v;
	size_t i;

	if (report_wants_json(o->format)) {
		report_json(list, 5);
		return 0;
	}
	if (!o->quiet)
		return json_array_size(list) || o->format ? report_print(&rep, list) : 0;
	json_array_foreach(list, i, v) puts(json_string_value(json_object_get(v, "Name")));
	return 0;
}

static int run(struct cli *cli)
{
	const struct ls_opts *o = cli->opts;
	json_t *list = NULL;
	struct engine *e;
	int r = args_range(cli, 0, 0);

	if (r < 0)
		return r;
	if (o->quiet && o->format)
		return err_set(EINVAL, "quiet and format flags cannot be used together");
	r = cli_engine(cli, &e);
	if (r == 0)
		r = matching(e, o->filter, &list);
	if (r == 0)
		r = show(o, list);
	json_decref(list);
	return r;
}

const struct command cmd_volume_ls = {
	.path = "volume ls",
	.aliases = "volume list",
	.usage = "[options]",
	.brief = "List volumes",
	.text = "Lists all volumes. The output can be filtered, and changed to JSON or a Go "
		"template.",
	.examples = "\n--format json\n--filter label=key=value",
	.options = options,
	.size = sizeof(struct ls_opts),
	.run = run,
};
