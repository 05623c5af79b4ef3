/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"
#include "engine/image.h"

#define CREATED_BY_SHOWN 45

struct history_opts {
	bool human, no_trunc, quiet;
	const char *format;
};

#define O(field, ...) OPT(struct history_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(format, "format", 0, "Change the output to JSON or a Go template"),
	O(human, "human", 'H', "Display sizes and dates in human readable format", .def = "true"),
	O(no_trunc, "no-trunc", 0, "Do not truncate the output", .aliases = "notruncate"),
	O(quiet, "quiet", 'q', "Display the numeric IDs only"),
	{}};

static const struct go_field fields[] = {S("ID"),
					 S("Created"),
					 S("CreatedAt"),
					 S("CreatedSince"),
					 S("CreatedBy"),
					 S("Size"),
					 S("Comment"),
					 {.name = "Tags", .type = &go_strings},
					 {}};
static const struct go_type type = {"images.historyReporter", GO_STRUCT, NULL, fields};
static const struct report_header headers[] = {
	{"CreatedSince", "CREATED SINCE"}, {"CreatedBy", "CREATED BY"}, {}};

static void set_defaults(void *opts)
{
	((struct history_opts *)opts)->human = true;
}

static char *shown_id(const struct history_opts *o, const struct image_history *h)
{
	if (!h->id)
		return g_strdup("<missing>");
	return o->no_trunc ? g_strdup(h->id) : g_strndup(h->id, 12);
}

static char *shown_command(const struct history_opts *o, const char *command)
{
	const char *text = command ? command : "";
	g_autofree char *cut = NULL;

	if (o->no_trunc || g_utf8_strlen(text, -1) <= CREATED_BY_SHOWN)
		return g_strdup(text);
	cut = g_utf8_substring(text, 0, CREATED_BY_SHOWN - 3);
	return g_strconcat(cut, "...", NULL);
}

static json_t *strings_of(char **list)
{
	json_t *j = json_array();

	for (; list && *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

static json_t *row_of(const struct history_opts *o, const struct image_history *h)
{
	g_autofree char *id = shown_id(o, h);
	g_autofree char *by = shown_command(o, h->created_by);
	g_autofree char *since = human_ago(h->created_ns, engine_now_ns());
	g_autofree char *at = human_go_time_ns(h->created_ns, false);
	g_autofree char *size = o->human ? human_size_blank(h->size_bytes)
					 : g_strdup_printf("%" G_GUINT64_FORMAT, h->size_bytes);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "ID", id, "Created",
			 o->human ? since : at, "CreatedAt", at, "CreatedSince", since, "CreatedBy",
			 by, "Size", size, "Comment", h->comment ? h->comment : "", "Tags",
			 strings_of(h->tags));
}

static json_t *document_of(const struct image_history *h)
{
	g_autofree char *at = human_rfc3339(h->created_ns, false);

	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "id", h->id ? h->id : "", "created", at,
			 "CreatedBy", h->created_by ? h->created_by : "", "size",
			 (json_int_t)h->size_bytes, "comment", h->comment ? h->comment : "", "tags",
			 strings_of(h->tags));
}

static int show(const struct history_opts *o, const GPtrArray *list)
{
	const struct report rep = {
		.name = "history",
		.format = o->format,
		.standard =
			"table {{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}\n",
		.row = &type,
		.headers = headers,
	};
	bool json = report_wants_json(o->format);
	json_t *rows = json_array();
	int r = 0;

	for (guint i = 0; i < list->len; i++) {
		const struct image_history *h = list->pdata[i];
		g_autofree char *id = shown_id(o, h);

		if (o->quiet)
			puts(id);
		else
			json_array_append_new(rows, json ? document_of(h) : row_of(o, h));
	}
	if (!o->quiet && json)
		report_json(rows, 0);
	else if (!o->quiet)
		r = report_print(&rep, rows);
	json_decref(rows);
	return r;
}

static int run(struct cli *cli)
{
	const struct history_opts *o = cli->opts;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autoptr(GPtrArray) list = NULL;
	struct engine *e;
	int r = args_range(cli, 1, 1);

	if (r < 0)
		return r;
	if (o->quiet && o->format)
		return err_set(EINVAL, "quiet and format are mutually exclusive");
	r = cli_engine(cli, &e);
	if (r < 0 || (r = image_resolve(e, cli->args[0], &img)) < 0 ||
	    (r = image_get_history(e, &img, &list)) < 0)
		return r;
	return show(o, list);
}

const struct command cmd_history = {
	.path = "history,image history",
	.usage = "[options] IMAGE",
	.brief = "Show history of a specified image",
	.text = "Displays the history of an image.\n\nThe information can be printed out in an "
		"easy to "
		"read, or user specified format, and can be truncated.",
	.examples = "quay.io/fedora/fedora",
	.options = options,
	.size = sizeof(struct history_opts),
	.init = set_defaults,
	.complete = COMPLETE_IMAGES,
	.run = run,
};
