/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint inspect --html: one page without scripts and without anything from elsewhere. */
#include "cli/cmd/ck_html.h"
#include "base/file.h"
#include "cli/cmd/ck_inspect.h"
#include "cli/human.h"

#include <fcntl.h>
#include <string.h>

static const char style[] =
	":root{color-scheme:light dark;--line:#8883;--soft:#8881;--dim:#777;--blue:#4c8bd6}"
	"@media(prefers-color-scheme:dark){:root{--dim:#999}}"
	"*{box-sizing:border-box}"
	"body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;margin:0 auto;max-width:72rem;"
	"padding:2rem 1.25rem 4rem}"
	"h1{font-size:1.7rem;line-height:1.2;margin:0}h1 small{font-weight:400;color:var(--dim)}"
	"h2{font-size:1.05rem;margin:2.2rem 0 .6rem}h2 small{font-weight:400;color:var(--dim)}"
	".sub{color:var(--dim);margin:.3rem 0 1.2rem;overflow-wrap:anywhere}"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.7rem}"
	".tiles div{background:var(--soft);border-radius:8px;padding:.65rem .85rem}"
	".tiles b{display:block;font-size:1.3rem;line-height:1.3}.tiles span{color:var(--dim);"
	"font-size:.85rem}"
	"svg{display:block;width:100%}svg.bar{height:1.5rem;border-radius:5px}"
	"svg.map{height:1.9rem;border-radius:4px;background:var(--soft)}"
	".key{margin:.5rem 0 0;font-size:.88rem}.key span{display:inline-block;margin-right:1.2rem}"
	".key i{display:inline-block;width:.75em;height:.75em;margin-right:.4em;border-radius:2px}"
	".key b{font-weight:600}"
	"table{border-collapse:collapse;width:100%;font-size:.9rem}"
	"th,td{text-align:left;padding:.22rem .8rem .22rem 0;border-bottom:1px solid var(--line);"
	"vertical-align:top;overflow-wrap:anywhere}th{font-weight:500;color:var(--dim)}"
	"td.n,th.n{text-align:right;white-space:nowrap}"
	"code,.m{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:.85rem}"
	"ul{list-style:none;margin:0;padding-left:1.15rem;border-left:1px solid var(--line)}"
	"ul.top{border:0;padding:0}"
	"summary{cursor:pointer;display:flex;gap:.8rem;align-items:center;padding:.28rem .4rem;"
	"border-radius:6px}summary:hover{background:var(--soft)}summary::marker{content:''}"
	"summary::-webkit-details-marker{display:none}"
	"summary .c{flex:1;min-width:0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}"
	"details[open]>summary .c{white-space:normal;overflow-wrap:anywhere}"
	"summary .b{flex:0 0 9rem;height:.55rem;border-radius:3px;background:var(--soft)}"
	"summary .b i{display:block;height:100%;border-radius:3px;background:var(--blue);"
	"min-width:1px}summary .s{flex:0 0 4.6rem;text-align:right;white-space:nowrap}"
	"summary .x{flex:0 0 8.4rem;color:var(--dim);font-size:.85rem;white-space:nowrap}"
	"summary.more{display:inline-block;color:var(--dim)}"
	"details>div{padding:.4rem 0 1rem 1.2rem;overflow-x:auto}"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0 0 .6rem}"
	"dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}"
	".row{display:grid;grid-template-columns:13rem 1fr;gap:.8rem;align-items:center;"
	"margin:.3rem 0}.row code{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}"
	"@media(max-width:42rem){.row{grid-template-columns:1fr;gap:.1rem}summary .b,summary .x"
	"{display:none}}";

const char *html_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

json_int_t html_int(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

void html_put(GString *to, const char *text)
{
	g_autofree char *escaped = g_markup_escape_text(text, -1);

	g_string_append(to, escaped);
}

void html_put_size(GString *to, double bytes)
{
	g_autofree char *size = human_size(bytes);

	html_put(to, size);
}

static double memory_of(const json_t *j)
{
	return (double)html_int(json_object_get(j, "memory"), "pages") * HTML_PAGE_BYTES;
}

static void put_fact(GString *to, const char *what, const char *value)
{
	if (!*value)
		return;
	g_string_append_printf(to, "<dt>%s</dt><dd>", what);
	html_put(to, value);
	g_string_append(to, "</dd>");
}

static void put_tile(GString *to, const char *what, const char *value)
{
	g_string_append(to, "<div><b>");
	html_put(to, value);
	g_string_append_printf(to, "</b><span>%s</span></div>", what);
}

static void put_size_tile(GString *to, const char *what, double bytes)
{
	g_autofree char *size = human_size(bytes);

	put_tile(to, what, size);
}

static size_t count(const json_t *list, const char *key)
{
	size_t i, n = 0;
	json_t *p;

	json_array_foreach((json_t *)list, i, p) n += json_array_size(json_object_get(p, key));
	return n;
}

static void put_tiles(GString *to, const json_t *j)
{
	const json_t *list = json_object_get(j, "processes"),
		     *stats = json_object_get(j, "statistics");
	g_autofree char *tasks =
		g_strdup_printf("%zu / %zu", json_array_size(list), count(list, "threads"));
	g_autofree char *fds = g_strdup_printf("%zu / %zu", count(list, "descriptors"),
					       json_array_size(json_object_get(j, "sockets")));
	g_autofree char *frozen =
		g_strdup_printf("%.1f ms", (double)html_int(stats, "frozen_time") / 1000);

	g_string_append(to, "<div class=tiles>");
	put_size_tile(to, "memory", memory_of(j));
	put_size_tile(to, "images on disk", (double)html_int(j, "imagesSize"));
	if (json_object_get(j, "rootfsSize"))
		put_size_tile(to, "changed files", (double)html_int(j, "rootfsSize"));
	put_tile(to, "processes / threads", tasks);
	put_tile(to, "descriptors / sockets", fds);
	if (stats)
		put_tile(to, "frozen for", frozen);
	g_string_append(to, "</div>");
}

static void put_head(GString *to, const json_t *j)
{
	g_autofree char *id = g_strndup(html_text(j, "container"), 12);
	const char *name = html_text(j, "containerName");

	g_string_append(to, "<h1><small>Checkpoint</small> ");
	html_put(to, *html_text(j, "name") ? html_text(j, "name") : name);
	g_string_append(to, "</h1><p class=sub>");
	if (*name) {
		g_string_append(to, "of container <b>");
		html_put(to, name);
		g_string_append(to, "</b> <code>");
		html_put(to, id);
		g_string_append(to, "</code>, image ");
		html_put(to, html_text(j, "image"));
		g_string_append(to, ", ");
	}
	html_put(to, html_text(j, "created"));
	g_string_append(to, "</p>");
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
				       html_int(f, "fd"));
		html_put(to, html_text(f, "type"));
		g_string_append(to, "</td><td>");
		html_put(to, html_text(f, "access"));
		g_string_append(to, "</td><td class=m>");
		html_put(to, html_text(f, "target"));
		g_string_append(to, "</td></tr>");
	}
	g_string_append(to, "</table>");
}

static void put_mapping(GString *to, const json_t *m)
{
	g_string_append(to, "<tr><td class=m>");
	html_put(to, html_text(m, "start"));
	g_string_append(to, "</td><td class=m>");
	html_put(to, html_text(m, "access"));
	g_string_append(to, "</td><td class=n>");
	html_put_size(to, (double)html_int(m, "size"));
	g_string_append(to, "</td><td class=n>");
	html_put_size(to, (double)html_int(m, "pages") * HTML_PAGE_BYTES);
	g_string_append(to, "</td><td>");
	html_put(to, html_text(m, "kind"));
	g_string_append(to, "</td><td class=m>");
	html_put(to, html_text(m, "file"));
	g_string_append(to, "</td></tr>");
}

static void put_mappings(GString *to, const json_t *p)
{
	json_t *list = json_object_get(json_object_get(p, "memory"), "mappings"), *m;
	size_t i;

	if (!json_array_size(list))
		return;
	g_string_append_printf(to,
			       "<details><summary class=more>%zu mappings…</summary><div><table>"
			       "<tr><th>start</th><th>access</th><th class=n>size</th>"
			       "<th class=n>in the images</th><th>kind</th><th>file</th></tr>",
			       json_array_size(list));
	json_array_foreach(list, i, m) put_mapping(to, m);
	g_string_append(to, "</table></div></details>");
}

static void put_number(GString *to, size_t n, const char *what)
{
	g_string_append_printf(to, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

/* MOST: bytes of the largest one. */
static void put_process(GString *to, const json_t *p, double most)
{
	g_autofree char *command = checkpoint_command(p);
	char part[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(part, sizeof(part), "%.2f", memory_of(p) / most * 100);
	g_string_append_printf(
		to, "<details><summary><span class=c><b>%" JSON_INTEGER_FORMAT "</b> <code>",
		html_int(p, "pid"));
	html_put(to, command);
	g_string_append_printf(to,
			       "</code></span><span class=b><i style=\"width:%s%%\"></i></span>"
			       "<span class=s>",
			       part);
	html_put_size(to, memory_of(p));
	g_string_append(to, "</span><span class=x>");
	put_number(to, json_array_size(json_object_get(p, "threads")), "thread");
	g_string_append(to, ", ");
	put_number(to, json_array_size(json_object_get(p, "descriptors")), "fd");
	g_string_append(to, "</span></summary><div><dl>");
	put_fact(to, "State", html_text(p, "state"));
	put_fact(to, "Program", html_text(p, "executable"));
	put_fact(to, "Directory", html_text(p, "directory"));
	g_string_append(to, "</dl>");
	put_descriptors(to, p);
	put_mappings(to, p);
	g_string_append(to, "</div></details>");
}

static void put_tree(GString *to, const json_t *list, json_int_t ppid, double most, unsigned depth)
{
	bool open = false;
	json_t *p;
	size_t i;

	json_array_foreach((json_t *)list, i, p)
	{
		json_int_t pid = html_int(p, "pid");

		if (html_int(p, "ppid") != ppid || pid == ppid)
			continue;
		if (!open)
			g_string_append(to, depth ? "<ul>" : "<ul class=top>");
		open = true;
		g_string_append(to, "<li>");
		put_process(to, p, most);
		if (depth < 64)
			put_tree(to, list, pid, most, depth + 1);
		g_string_append(to, "</li>");
	}
	if (open)
		g_string_append(to, "</ul>");
}

static void put_memory(GString *to, const json_t *list)
{
	json_t *p;
	size_t i;

	g_string_append(to, "<h2>Memory <small>in the images, by kind</small></h2>");
	html_put_kinds(to, list);
	g_string_append(to,
			"<h2>Memory maps <small>by address; wider is larger (logarithm), filled is "
			"what is in the images</small></h2>");
	json_array_foreach((json_t *)list, i, p)
	{
		g_autofree char *command = checkpoint_command(p);

		if (!json_array_size(json_object_get(json_object_get(p, "memory"), "mappings")))
			continue;
		g_string_append_printf(to, "<div class=row><code><b>%" JSON_INTEGER_FORMAT "</b> ",
				       html_int(p, "pid"));
		html_put(to, command);
		g_string_append(to, "</code>");
		html_put_map(to, p);
		g_string_append(to, "</div>");
	}
}

static void put_list(GString *to, const char *title, const json_t *list, const char *const *columns)
{
	json_t *row;
	size_t i;

	if (!json_array_size(list))
		return;
	g_string_append_printf(to, "<h2>%s <small>%zu</small></h2><table><tr>", title,
			       json_array_size(list));
	for (const char *const *c = columns; *c; c++)
		g_string_append_printf(to, "<th>%s</th>", *c);
	g_string_append(to, "</tr>");
	json_array_foreach((json_t *)list, i, row)
	{
		g_string_append(to, "<tr>");
		for (const char *const *c = columns; *c; c++) {
			g_string_append(to, "<td class=m>");
			html_put(to, html_text(row, *c));
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
	double most = 1;
	json_t *p;
	size_t i;

	json_array_foreach((json_t *)list, i, p) most = MAX(most, memory_of(p));
	html_put(page, *html_text(j, "name") ? html_text(j, "name") : "Checkpoint");
	g_string_append_printf(page, "</title><style>%s</style></head><body>", style);
	put_head(page, j);
	put_tiles(page, j);
	put_memory(page, list);
	g_string_append(page, "<h2>Processes</h2>");
	put_tree(page, list, 0, most, 0);
	put_list(page, "Sockets", json_object_get(j, "sockets"), socket_columns);
	put_list(page, "Mounts", json_object_get(j, "mounts"), mount_columns);
	g_string_append(page, "</body></html>\n");
	return file_replace_at(AT_FDCWD, file, page->str, page->len, 0644);
}
