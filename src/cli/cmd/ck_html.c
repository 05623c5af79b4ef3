/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint inspect --html: one page without scripts and without anything from elsewhere. */
#include "base/file.h"
#include "cli/cmd/ck_inspect.h"
#include "cli/human.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>

#define PAGE_BYTES    4096.0
#define PICTURE_WIDTH 960.0

static const char style[] =
	":root{color-scheme:light dark;--line:#8884;--soft:#8881}"
	"body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
	"h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}"
	"dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}"
	"table{border-collapse:collapse;width:100%}"
	"th,td{text-align:left;padding:.15rem .75rem .15rem 0;border-bottom:1px solid var(--line);"
	"vertical-align:top;overflow-wrap:anywhere}"
	"th{font-weight:600;opacity:.7}td.n,th.n{text-align:right;white-space:nowrap}"
	"code,.m{font-family:ui-monospace,monospace;font-size:.86rem}"
	"ul{list-style:none;padding-left:1.1rem;border-left:1px solid var(--line);margin:.2rem 0}"
	"ul.top{border:0;padding:0}summary{cursor:pointer}details{margin:.15rem 0}"
	"details>div{padding:.3rem 0 .6rem 1.1rem;overflow-x:auto}"
	"svg{width:100%;height:auto;background:var(--soft);border-radius:3px}"
	".key span{display:inline-block;margin-right:1rem}.key i{display:inline-block;width:.8em;"
	"height:.8em;margin-right:.35em;border-radius:2px}";

static const struct {
	const char *kind, *colour;
} colours[] = {
	{"heap", "#d9803c"},  {"anonymous", "#4a8fd0"},	  {"stack", "#c65353"},
	{"file", "#6aa84f"},  {"shared file", "#3d8c78"}, {"shared", "#8d6fc0"},
	{"memfd", "#b05f9e"}, {"AIO ring", "#8a8a55"},	  {"System V shared memory", "#6f5f9e"},
};

static const char *colour_of(const char *kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(colours); i++)
		if (!strcmp(kind, colours[i].kind))
			return colours[i].colour;
	return "#999999";
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static json_int_t int_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static void put(GString *to, const char *text)
{
	g_autofree char *escaped = g_markup_escape_text(text, -1);

	g_string_append(to, escaped);
}

static void put_size(GString *to, double bytes)
{
	g_autofree char *size = human_size(bytes);

	put(to, size);
}

static void put_fact(GString *to, const char *what, const char *value)
{
	if (!*value)
		return;
	g_string_append_printf(to, "<dt>%s</dt><dd>", what);
	put(to, value);
	g_string_append(to, "</dd>");
}

static void put_facts(GString *to, const json_t *j)
{
	const json_t *stats = json_object_get(j, "statistics");
	g_autofree char *size = human_size((double)int_of(j, "imagesSize"));
	g_autofree char *rootfs = json_object_get(j, "rootfsSize")
					  ? human_size((double)int_of(j, "rootfsSize"))
					  : g_strdup("");
	g_autofree char *frozen =
		stats ? g_strdup_printf("%.1f ms", (double)int_of(stats, "frozen_time") / 1000)
		      : g_strdup("");

	g_string_append(to, "<h1>Checkpoint ");
	put(to, *text_of(j, "name") ? text_of(j, "name") : text_of(j, "containerName"));
	g_string_append(to, "</h1><dl>");
	put_fact(to, "Container", text_of(j, "containerName"));
	put_fact(to, "ID", text_of(j, "container"));
	put_fact(to, "Image", text_of(j, "image"));
	put_fact(to, "Created", text_of(j, "created"));
	put_fact(to, "Size of the images", size);
	put_fact(to, "Root file system's changes", rootfs);
	put_fact(to, "Frozen for", frozen);
	g_string_append(to, "</dl>");
}

static void put_descriptors(GString *to, const json_t *p)
{
	json_t *list = json_object_get(p, "descriptors"), *f;
	size_t i;

	if (!json_array_size(list))
		return;
	g_string_append(to, "<table><tr><th class=n>fd</th><th>kind</th><th>access</th>"
			    "<th>what</th></tr>");
	json_array_foreach(list, i, f)
	{
		g_string_append_printf(to, "<tr><td class=n>%" JSON_INTEGER_FORMAT "</td><td>",
				       int_of(f, "fd"));
		put(to, text_of(f, "type"));
		g_string_append(to, "</td><td>");
		put(to, text_of(f, "access"));
		g_string_append(to, "</td><td class=m>");
		put(to, text_of(f, "target"));
		g_string_append(to, "</td></tr>");
	}
	g_string_append(to, "</table>");
}

static void put_mappings(GString *to, const json_t *p)
{
	json_t *list = json_object_get(json_object_get(p, "memory"), "mappings"), *m;
	size_t i;

	if (!json_array_size(list))
		return;
	g_string_append(to, "<details><summary>Mappings</summary><div><table><tr><th>start</th>"
			    "<th>access</th><th class=n>size</th><th class=n>in the image</th>"
			    "<th>kind</th><th>file</th></tr>");
	json_array_foreach(list, i, m)
	{
		g_string_append_printf(to, "<tr><td class=m>%s</td><td class=m>%s</td><td class=n>",
				       text_of(m, "start"), text_of(m, "access"));
		put_size(to, (double)int_of(m, "size"));
		g_string_append(to, "</td><td class=n>");
		put_size(to, (double)int_of(m, "pages") * PAGE_BYTES);
		g_string_append(to, "</td><td>");
		put(to, text_of(m, "kind"));
		g_string_append(to, "</td><td class=m>");
		put(to, text_of(m, "file"));
		g_string_append(to, "</td></tr>");
	}
	g_string_append(to, "</table></div></details>");
}

static void put_process(GString *to, const json_t *p)
{
	g_autofree char *command = checkpoint_command(p);
	const json_t *memory = json_object_get(p, "memory");

	g_string_append_printf(to, "<details><summary><b>%" JSON_INTEGER_FORMAT "</b> <code>",
			       int_of(p, "pid"));
	put(to, command);
	g_string_append(to, "</code> — ");
	put_size(to, (double)int_of(memory, "pages") * PAGE_BYTES);
	g_string_append_printf(to, ", %zu thread%s</summary><div><dl>",
			       json_array_size(json_object_get(p, "threads")),
			       json_array_size(json_object_get(p, "threads")) == 1 ? "" : "s");
	put_fact(to, "State", text_of(p, "state"));
	put_fact(to, "Program", text_of(p, "executable"));
	put_fact(to, "Directory", text_of(p, "directory"));
	g_string_append(to, "</dl>");
	put_descriptors(to, p);
	put_mappings(to, p);
	g_string_append(to, "</div></details>");
}

static void put_tree(GString *to, const json_t *list, json_int_t ppid, unsigned depth)
{
	bool open = false;
	json_t *p;
	size_t i;

	json_array_foreach((json_t *)list, i, p)
	{
		json_int_t pid = int_of(p, "pid");

		if (int_of(p, "ppid") != ppid || pid == ppid)
			continue;
		if (!open)
			g_string_append(to, depth ? "<ul>" : "<ul class=top>");
		open = true;
		g_string_append(to, "<li>");
		put_process(to, p);
		if (depth < 64)
			put_tree(to, list, pid, depth + 1);
		g_string_append(to, "</li>");
	}
	if (open)
		g_string_append(to, "</ul>");
}

/* --- the picture: a strip per process, what is in the image of each mapping, by address --- */

static void put_segment(GString *to, const json_t *m, double x, double width)
{
	char number[G_ASCII_DTOSTR_BUF_SIZE], length[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(number, sizeof(number), "%.2f", x);
	g_ascii_formatd(length, sizeof(length), "%.2f", width);
	g_string_append_printf(to, "<rect x=\"%s\" y=\"0\" width=\"%s\" height=\"22\" fill=\"%s\">",
			       number, length, colour_of(text_of(m, "kind")));
	g_string_append_printf(to, "<title>%s %s ", text_of(m, "start"), text_of(m, "access"));
	put(to, text_of(m, "kind"));
	g_string_append_c(to, ' ');
	put_size(to, (double)int_of(m, "pages") * PAGE_BYTES);
	g_string_append_c(to, ' ');
	put(to, text_of(m, "file"));
	g_string_append(to, "</title></rect>");
}

/* All strips have the same scale. */
static void put_strip(GString *to, const json_t *p, double pages_per_width)
{
	json_t *list = json_object_get(json_object_get(p, "memory"), "mappings"), *m;
	g_autofree char *command = checkpoint_command(p);
	double x = 0;
	size_t i;

	g_string_append_printf(to, "<p><b>%" JSON_INTEGER_FORMAT "</b> <code>", int_of(p, "pid"));
	put(to, command);
	g_string_append(to, "</code></p><svg viewBox=\"0 0 960 22\" role=img>");
	json_array_foreach(list, i, m)
	{
		double width = (double)int_of(m, "pages") / pages_per_width * PICTURE_WIDTH;

		if (width > 0)
			put_segment(to, m, x, MAX(width, 0.5));
		x += width;
	}
	g_string_append(to, "</svg>");
}

static void put_picture(GString *to, const json_t *list)
{
	double most = 1;
	json_t *p;
	size_t i;

	json_array_foreach((json_t *)list, i, p) most =
		MAX(most, (double)int_of(json_object_get(p, "memory"), "pages"));
	g_string_append(to, "<h2>Memory</h2><p class=key>");
	for (unsigned k = 0; k < ARRAY_SIZE(colours); k++)
		g_string_append_printf(to, "<span><i style=\"background:%s\"></i>%s</span>",
				       colours[k].colour, colours[k].kind);
	g_string_append(to, "</p>");
	json_array_foreach((json_t *)list, i, p)
	{
		if (int_of(json_object_get(p, "memory"), "pages"))
			put_strip(to, p, most);
	}
}

static void put_list(GString *to, const char *title, const json_t *list, const char *const *columns)
{
	json_t *row;
	size_t i;

	if (!json_array_size(list))
		return;
	g_string_append_printf(to, "<h2>%s</h2><table><tr>", title);
	for (const char *const *c = columns; *c; c++)
		g_string_append_printf(to, "<th>%s</th>", *c);
	g_string_append(to, "</tr>");
	json_array_foreach((json_t *)list, i, row)
	{
		g_string_append(to, "<tr>");
		for (const char *const *c = columns; *c; c++) {
			g_string_append(to, "<td class=m>");
			put(to, text_of(row, *c));
			g_string_append(to, "</td>");
		}
		g_string_append(to, "</tr>");
	}
	g_string_append(to, "</table>");
}

int checkpoint_html(const json_t *j, const char *file)
{
	static const char *const socket_columns[] = {"protocol", "local", "peer", "state", NULL};
	static const char *const mount_columns[] = {"mountpoint", "type", "source", NULL};
	const json_t *list = json_object_get(j, "processes");
	g_autoptr(GString) page = g_string_new("<!DOCTYPE html><html lang=en><head><meta "
					       "charset=utf-8><meta name=viewport content="
					       "\"width=device-width,initial-scale=1\"><title>");

	put(page, *text_of(j, "name") ? text_of(j, "name") : "Checkpoint");
	g_string_append_printf(page, "</title><style>%s</style></head><body>", style);
	put_facts(page, j);
	g_string_append(page, "<h2>Processes</h2>");
	put_tree(page, list, 0, 0);
	put_picture(page, list);
	put_list(page, "Sockets", json_object_get(j, "sockets"), socket_columns);
	put_list(page, "Mounts", json_object_get(j, "mounts"), mount_columns);
	g_string_append(page, "</body></html>\n");
	return file_replace_at(AT_FDCWD, file, page->str, page->len, 0644);
}
