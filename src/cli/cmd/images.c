/* SPDX-License-Identifier: Apache-2.0 */
/* images: one line per name of each image. */
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"
#include "engine/image.h"

#include <fnmatch.h>

struct images_opts {
	bool all, digests, history, no_trunc, noheading, quiet;
	char **filter;
	const char *format, *sort;
};

#define O(field, ...) OPT(struct images_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all, "all", 'a', "Show all images (default hides intermediate images)"),
	O(digests, "digests", 0, "Show digests"),
	O(filter, "filter", 'f', "Filter output based on conditions provided"),
	O(format, "format", 0, "Change the output format to JSON or a Go template"),
	O(history, "history", 0, "Display the image name history"),
	O(no_trunc, "no-trunc", 0, "Do not truncate output", .aliases = "notruncate"),
	O(noheading, "noheading", 'n', "Do not print column headings"),
	O(quiet, "quiet", 'q', "Display only image IDs"),
	O(sort, "sort", 0, "Sort by created, id, repository, size, tag", .def = "created"),
	{}};

static const struct go_field fields[] = {S("ID"),
					 {"Id", NULL, &go_string},
					 S("Repository"),
					 S("Tag"),
					 S("Digest"),
					 S("Created"),
					 S("CreatedAt"),
					 S("CreatedSince"),
					 {"CreatedTime", "CreatedAt", &go_string},
					 S("Size"),
					 {"VirtualSize", NULL, &go_int},
					 {"SharedSize", NULL, &go_int},
					 {"Containers", NULL, &go_int},
					 {"Names", NULL, &go_strings},
					 {"RepoTags", NULL, &go_strings},
					 {"RepoDigests", NULL, &go_strings},
					 {"Labels", NULL, &go_string_map},
					 S("History"),
					 {"ReadOnly", NULL, &go_bool},
					 {"Dangling", NULL, &go_bool},
					 S("ParentId"),
					 {}};
static const struct go_type type = {"images.imageReporter", GO_STRUCT, NULL, fields};
static const struct report_header headers[] = {
	{"ID", "IMAGE ID"}, {"CreatedSince", "CREATED"}, {"Size", "SIZE"}, {}};

/* One line. */
struct line {
	const struct image *img;
	char *repository, *tag; /* "<none>" for an image without a name */
};

static void line_clear(void *data)
{
	struct line *l = data;

	g_free(l->repository);
	g_free(l->tag);
}

static void append_line(GArray *lines, const struct image *img, const char *name)
{
	const char *slash = name ? strrchr(name, '/') : NULL;
	const char *colon = name ? strrchr(slash ? slash : name, ':') : NULL;
	struct line l = {.img = img};

	l.repository = name ? g_strndup(name, colon ? (size_t)(colon - name) : strlen(name))
			    : g_strdup("<none>");
	l.tag = g_strdup(colon ? colon + 1 : name ? "latest" : "<none>");
	g_array_append_val(lines, l);
}

/* "busybox", "busybox:1", "localhost/busy*": of a name in full, or of its end. */
static bool name_matches(const char *name, const char *wanted)
{
	g_autofree char *tagged = NULL;

	if (!strchr(strrchr(wanted, '/') ? strrchr(wanted, '/') : wanted, ':'))
		tagged = g_strdup_printf("%s:*", wanted);
	for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (!fnmatch(wanted, p, 0) || (tagged && !fnmatch(tagged, p, 0)))
			return true;
	return false;
}

struct bounds {
	int64_t before_ns, since_ns; /* 0: none */
	const char *id, *reference, *digest;
	int dangling, containers; /* -1: not asked */
};

static int image_time(struct engine *e, const char *name, int64_t *ret)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = image_resolve(e, name, &img);

	if (r >= 0)
		*ret = img.created_ns;
	return r;
}

static int parse_filter(struct engine *e, const char *text, struct bounds *b)
{
	const char *eq = strchr(text, '='), *value = eq ? eq + 1 : NULL;
	g_autofree char *key = g_strndup(text, eq ? (size_t)(eq - text) : 0);

	if (!eq)
		return err_set(EINVAL,
			       "invalid image filter \"%s\": must be in the format "
			       "\"filter=value or filter!=value\"",
			       text);
	if (!strcmp(key, "before"))
		return image_time(e, value, &b->before_ns);
	if (!strcmp(key, "since") || !strcmp(key, "after"))
		return image_time(e, value, &b->since_ns);
	if (!strcmp(key, "until"))
		return human_parse_when(value, engine_now_ns(), &b->before_ns)
			       ? 0
			       : err_set(EINVAL, "unable to interpret time value \"%s\"", value);
	if (!strcmp(key, "id"))
		b->id = value;
	else if (!strcmp(key, "reference"))
		b->reference = value;
	else if (!strcmp(key, "digest"))
		b->digest = value;
	else if (!strcmp(key, "dangling"))
		b->dangling = !strcmp(value, "true");
	else if (!strcmp(key, "containers"))
		b->containers = !strcmp(value, "true");
	else if (strcmp(key, "label") && strcmp(key, "label!") && strcmp(key, "readonly") &&
		 strcmp(key, "intermediate") && strcmp(key, "manifest"))
		return err_set(EINVAL, "unsupported image filter \"%s\"", key);
	return 0;
}

static bool labels_match(const struct image *img, char *const *filters)
{
	const json_t *labels = json_object_get(img->config, "Labels");

	for (; filters && *filters; filters++) {
		if (g_str_has_prefix(*filters, "label=") &&
		    !filter_label(*filters + strlen("label="), labels))
			return false;
		if (g_str_has_prefix(*filters, "label!=") &&
		    filter_label(*filters + strlen("label!="), labels))
			return false;
	}
	return true;
}

static size_t users_of(struct engine *e, const struct image *img)
{
	g_auto(GStrv) ids = NULL;

	return image_users(e, img->id, &ids) < 0 ? 0 : g_strv_length(ids);
}

static bool image_matches(struct engine *e, const struct image *img, const struct bounds *b,
			  char *const *filters)
{
	if ((b->before_ns && img->created_ns >= b->before_ns) ||
	    (b->since_ns && img->created_ns <= b->since_ns))
		return false;
	if (b->id &&
	    !g_str_has_prefix(img->id, g_str_has_prefix(b->id, "sha256:") ? b->id + 7 : b->id))
		return false;
	if (b->digest && g_strcmp0(img->digest, b->digest) != 0)
		return false;
	if (b->dangling >= 0 && b->dangling != !img->names[0])
		return false;
	if (b->containers >= 0 && b->containers != (users_of(e, img) > 0))
		return false;
	return labels_match(img, filters);
}

static int collect(struct cli *cli, const GPtrArray *list, GArray *lines)
{
	const struct images_opts *o = cli->opts;
	struct bounds b = {.dangling = -1, .containers = -1};
	const char *wanted = cli->nargs ? cli->args[0] : NULL;
	int r = 0;

	for (char **f = o->filter; r >= 0 && f && *f; f++)
		r = parse_filter(cli->engine, *f, &b);
	for (guint i = 0; r >= 0 && i < list->len; i++) {
		const struct image *img = list->pdata[i];
		bool by_id = wanted && g_str_has_prefix(img->id, wanted);

		if (!image_matches(cli->engine, img, &b, o->filter))
			continue;
		for (char **name = img->names; *name; name++)
			if ((!wanted || by_id || name_matches(*name, wanted)) &&
			    (!b.reference || name_matches(*name, b.reference)))
				append_line(lines, img, *name);
		if (!img->names[0] && (!wanted || by_id) && !b.reference)
			append_line(lines, img, NULL);
	}
	return r;
}

static int compare(const void *pa, const void *pb, void *data)
{
	const struct line *a = pa, *b = pb;
	const char *by = data;

	if (!strcmp(by, "id"))
		return strcmp(a->img->id, b->img->id);
	if (!strcmp(by, "repository"))
		return strcmp(a->repository, b->repository);
	if (!strcmp(by, "tag"))
		return strcmp(a->tag, b->tag);
	if (!strcmp(by, "size"))
		return (a->img->size_bytes > b->img->size_bytes) -
		       (a->img->size_bytes < b->img->size_bytes);
	return (a->img->created_ns < b->img->created_ns) -
	       (a->img->created_ns > b->img->created_ns);
}

static json_t *strings_of(char **list)
{
	json_t *j = json_array();

	for (; list && *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

static json_t *labels_of(const struct image *img)
{
	json_t *labels = json_object_get(img->config, "Labels");

	return json_object_size(labels) ? json_incref(labels) : json_null();
}

static char *shown_id(const struct images_opts *o, const struct image *img)
{
	return o->no_trunc ? g_strconcat("sha256:", img->id, NULL) : g_strndup(img->id, 12);
}

static json_t *row_of(struct engine *e, const struct images_opts *o, const struct line *l)
{
	const struct image *img = l->img;
	g_autofree char *id = shown_id(o, img);
	g_autofree char *since = human_ago(img->created_ns, engine_now_ns());
	g_autofree char *at = human_go_time_ns(img->created_ns, false);
	g_autofree char *size = human_size_blank(img->size_bytes);
	g_autofree char *names = g_strjoinv(", ", img->names);
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "Id",
			      img->id, "Repository", l->repository, "Tag", l->tag, "Digest",
			      img->digest ? img->digest : "", "Created", since, "CreatedAt", at,
			      "CreatedSince", since, "Size", size, "History", names);

	json_object_set_new(j, "VirtualSize", json_integer((json_int_t)img->size_bytes));
	json_object_set_new(j, "Names", strings_of(img->names));
	json_object_set_new(j, "RepoTags", strings_of(img->names));
	json_object_set_new(j, "RepoDigests", strings_of(img->repo_digests));
	json_object_set_new(j, "Labels", labels_of(img));
	json_object_set_new(j, "Dangling", json_boolean(!img->names[0]));
	if (o->format && strstr(o->format, ".Containers"))
		json_object_set_new(j, "Containers", json_integer(users_of(e, img)));
	return j;
}

static json_t *document_of(struct engine *e, const struct image *img)
{
	g_autofree char *at = human_rfc3339(img->created_ns / 1000000000 * 1000000000, false);
	json_t *j = json_object();

	json_object_set_new(j, "Id", json_string(img->id));
	json_object_set_new(j, "ParentId", json_string(""));
	json_object_set_new(j, "RepoTags", json_null());
	json_object_set_new(j, "RepoDigests", strings_of(img->repo_digests));
	json_object_set_new(j, "Size", json_integer((json_int_t)img->size_bytes));
	json_object_set_new(j, "SharedSize", json_integer(0));
	json_object_set_new(j, "VirtualSize", json_integer((json_int_t)img->size_bytes));
	json_object_set_new(j, "Labels", labels_of(img));
	json_object_set_new(j, "Containers", json_integer(users_of(e, img)));
	if (!img->names[0])
		json_object_set_new(j, "Dangling", json_true());
	json_object_set_new(j, "Names", strings_of(img->names));
	json_object_set_new(j, "Digest", json_string(img->digest ? img->digest : ""));
	json_object_set_new(j, "History", strings_of(img->names));
	json_object_set_new(j, "Created", json_integer(img->created_ns / 1000000000));
	json_object_set_new(j, "CreatedAt", json_string(at));
	return j;
}

/* An image once, however many names it has. */
static bool is_first(const GArray *lines, guint i)
{
	for (guint k = 0; k < i; k++)
		if (g_array_index(lines, struct line, k).img ==
		    g_array_index(lines, struct line, i).img)
			return false;
	return true;
}

static void show_ids(const struct images_opts *o, const GArray *lines)
{
	for (guint i = 0; i < lines->len; i++) {
		g_autofree char *id = shown_id(o, g_array_index(lines, struct line, i).img);

		if (is_first(lines, i))
			puts(id);
	}
}

static void show_json(struct engine *e, const GArray *lines)
{
	json_t *rows = json_array();

	for (guint i = 0; i < lines->len; i++)
		if (is_first(lines, i))
			json_array_append_new(
				rows, document_of(e, g_array_index(lines, struct line, i).img));
	report_json(rows, 4);
	json_decref(rows);
}

static int show_table(struct engine *e, const struct images_opts *o, const GArray *lines)
{
	g_autofree char *standard = g_strdup_printf(
		"table {{.Repository}}\t{{.Tag}}\t%s{{.ID}}\t{{.CreatedSince}}\t{{.Size}}%s\n",
		o->digests ? "{{.Digest}}\t" : "", o->history ? "\t{{.History}}" : "");
	const struct report rep = {.name = "images",
				   .format = o->format,
				   .standard = standard,
				   .row = &type,
				   .headers = headers,
				   .no_heading = o->noheading};
	json_t *rows = json_array();
	int r;

	for (guint i = 0; i < lines->len; i++)
		json_array_append_new(rows, row_of(e, o, &g_array_index(lines, struct line, i)));
	r = report_print(&rep, rows);
	json_decref(rows);
	return r;
}

static int check(const struct cli *cli, const struct images_opts *o)
{
	static const char *const sorts[] = {"size", "tag", "created", "id", "repository", NULL};

	if (cli->nargs > 1)
		return err_set(EINVAL, "accepts at most 1 arg(s), received %zu", cli->nargs);
	if (cli->nargs && o->all)
		return err_set(EINVAL, "cannot specify an image and --all");
	if (o->sort && !g_strv_contains(sorts, o->sort))
		return err_set(EINVAL,
			       "\"%s\" is not a valid field for sorting. Choose from: size, tag, "
			       "created, id, repository",
			       o->sort);
	return 0;
}

static int run(struct cli *cli)
{
	const struct images_opts *o = cli->opts;
	g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(struct line));
	g_autoptr(GPtrArray) list = NULL;
	struct engine *e;
	int r = check(cli, o);

	g_array_set_clear_func(lines, line_clear);
	if (r < 0 || (r = cli_engine(cli, &e)) < 0 || (r = image_list(e, &list)) < 0 ||
	    (r = collect(cli, list, lines)) < 0)
		return r;
	if (o->sort)
		g_array_sort_with_data(lines, compare, (void *)o->sort);
	if (report_wants_json(o->format))
		show_json(e, lines);
	else if (o->quiet)
		show_ids(o, lines);
	else
		r = show_table(e, o, lines);
	return r < 0 ? r : 0;
}

const struct command cmd_images = {
	.path = "images,image list",
	.aliases = "image ls",
	.usage = "[options] [IMAGE]",
	.brief = "List images in local storage",
	.text = "Lists images previously pulled to the system or created on the system.",
	.examples = "--format json\n"
		    "--sort repository --format \"table {{.ID}} {{.Repository}} {{.Tag}}\"\n"
		    "--filter dangling=true",
	.options = options,
	.size = sizeof(struct images_opts),
	.complete = COMPLETE_IMAGES,
	.run = run,
};
