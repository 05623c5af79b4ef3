/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory as pictures: what kinds there are and how much of each is in the images, and the map of a
 * process.  A map with lengths to scale would show one mapping and nothing else: here each is
 * as wide as the logarithm of its size, and filled from below as far as it is in the images.
 */
#include "cli/cmd/ck_html.h"

#include "base/base.h"

#include <string.h>

#define WIDTH	   1000.0
#define HEIGHT	   30.0
#define GAP	   4.0 /* where addresses are missing */
#define SEAM	   0.6
#define KIND_OTHER (ARRAY_SIZE(kinds) - 1)

static const struct {
	const char *kind, *colour;
} kinds[] = {
	{"anonymous", "#4c8bd6"}, {"heap", "#e08a3c"},	      {"stack", "#cf5b5b"},
	{"file", "#74a94f"},	  {"shared file", "#3f9480"}, {"shared", "#9070c8"},
	{"memfd", "#bb649f"},	  {"AIO ring", "#97945a"},    {"System V shared memory", "#6a63b5"},
	{"other", "#9a9a9a"},
};

static unsigned kind_of(const json_t *m)
{
	const char *kind = html_text(m, "kind");

	for (unsigned i = 0; i < KIND_OTHER; i++)
		if (!strcmp(kind, kinds[i].kind))
			return i;
	return KIND_OTHER;
}

static void put_rect(GString *to, double x, double y, double w, double h, const char *more)
{
	char number[4][G_ASCII_DTOSTR_BUF_SIZE];
	const double v[4] = {x, y, w, h};

	for (unsigned i = 0; i < 4; i++)
		g_ascii_formatd(number[i], sizeof(number[i]), "%.2f", v[i]);
	g_string_append_printf(to, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" %s",
			       number[0], number[1], number[2], number[3], more);
}

static double saved(const json_t *m)
{
	return (double)html_int(m, "pages") * HTML_PAGE_BYTES;
}

static json_t *mappings(const json_t *p)
{
	return json_object_get(json_object_get(p, "memory"), "mappings");
}

static void put_bar(GString *to, const double *sums, double all)
{
	double x = 0;

	g_string_append(to, "<svg class=bar viewBox=\"0 0 1000 30\" preserveAspectRatio=none "
			    "role=img aria-label=\"memory by kind\">");
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		g_autofree char *fill = g_strdup_printf("fill=\"%s\"/>", kinds[i].colour);
		double width = sums[i] / all * WIDTH;

		if (sums[i] > 0)
			put_rect(to, x, 0, MAX(width, 1), HEIGHT, fill);
		x += width;
	}
	g_string_append(to, "</svg>");
}

void html_put_kinds(GString *to, const json_t *list)
{
	double sums[ARRAY_SIZE(kinds)] = {0}, all = 0;
	size_t i, k;
	json_t *p, *m;

	json_array_foreach((json_t *)list, i, p) json_array_foreach(mappings(p), k, m)
	{
		sums[kind_of(m)] += saved(m);
		all += saved(m);
	}
	if (all <= 0)
		return;
	put_bar(to, sums, all);
	g_string_append(to, "<p class=key>");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (sums[i] <= 0)
			continue;
		g_string_append_printf(to, "<span><i style=\"background:%s\"></i>%s <b>",
				       kinds[i].colour, kinds[i].kind);
		html_put_size(to, sums[i]);
		g_string_append(to, "</b></span>");
	}
	g_string_append(to, "</p>");
}

static double width_of(const json_t *m)
{
	return 1 + g_bit_storage((gulong)(html_int(m, "size") / HTML_PAGE_BYTES));
}

static void put_title(GString *to, const json_t *m)
{
	g_string_append(to, "<title>");
	html_put(to, html_text(m, "start"));
	g_string_append_c(to, ' ');
	html_put(to, html_text(m, "access"));
	g_string_append_c(to, ' ');
	html_put(to, html_text(m, "kind"));
	g_string_append(to, ": ");
	html_put_size(to, saved(m));
	g_string_append(to, " of ");
	html_put_size(to, (double)html_int(m, "size"));
	g_string_append_c(to, ' ');
	html_put(to, html_text(m, "file"));
	g_string_append(to, "</title></rect>");
}

static void put_mapping(GString *to, const json_t *m, double x, double width)
{
	const char *colour = kinds[kind_of(m)].colour;
	g_autofree char *fill = g_strdup_printf("fill=\"%s\"/>", colour);
	g_autofree char *pale = g_strdup_printf("fill=\"%s\" fill-opacity=\"0.25\">", colour);
	double size = (double)html_int(m, "size"), part = size > 0 ? saved(m) / size : 0;
	double height = part > 0 ? MAX(MIN(part, 1) * HEIGHT, 2) : 0;

	if (height > 0)
		put_rect(to, x, HEIGHT - height, width, height, fill);
	put_rect(to, x, 0, width, HEIGHT, pale);
	put_title(to, m);
}

void html_put_map(GString *to, const json_t *p)
{
	json_t *list = mappings(p), *m;
	double units = 0, gaps = 0, x = 0, scale;
	guint64 end = 0;
	size_t i;

	json_array_foreach(list, i, m)
	{
		guint64 start = g_ascii_strtoull(html_text(m, "start"), NULL, 16);

		units += width_of(m);
		gaps += end && start != end ? GAP : 0;
		end = start + (guint64)html_int(m, "size");
	}
	if (units <= 0)
		return;
	scale = MAX(WIDTH - gaps, WIDTH / 2) / units;
	g_string_append_printf(to,
			       "<svg class=map viewBox=\"0 0 %.0f %.0f\" "
			       "preserveAspectRatio=none role=img aria-label=\"memory map\">",
			       MAX(WIDTH, WIDTH / 2 + gaps), HEIGHT);
	end = 0;
	json_array_foreach(list, i, m)
	{
		guint64 start = g_ascii_strtoull(html_text(m, "start"), NULL, 16);
		double width = width_of(m) * scale;

		x += end && start != end ? GAP : 0;
		end = start + (guint64)html_int(m, "size");
		put_mapping(to, m, x, MAX(width - SEAM, 0.3));
		x += width;
	}
	g_string_append(to, "</svg>");
}
