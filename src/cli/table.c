/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#define MIN_WIDTH 12
#define PADDING	  2

struct table {
	char ***lines;	/* of cells */
	guint *cells;	/* per line */
	GArray *widths; /* of the columns that are being laid out */
	GString *out;
};

static void write_lines(struct table *t, guint from, guint to)
{
	for (guint i = from; i < to; i++) {
		for (guint j = 0; j < t->cells[i]; j++) {
			const char *cell = t->lines[i][j];
			int width = j < t->widths->len ? g_array_index(t->widths, int, j) : 0;

			g_string_append(t->out, cell);
			if (j + 1 < t->cells[i])
				g_string_append_printf(t->out, "%*s",
						       (int)MAX(width - g_utf8_strlen(cell, -1), 0),
						       "");
		}
		g_string_append_c(t->out, '\n');
	}
}

static bool has_cell(const struct table *t, guint line, guint column)
{
	return column + 1 < t->cells[line];
}

/* tabwriter's Writer.format(): one column, then the columns inside its run of lines. */
static void lay_out(struct table *t, guint from, guint to)
{
	guint column = t->widths->len;

	for (guint i = from; i < to; i++) {
		int width = MIN_WIDTH;

		if (!has_cell(t, i, column))
			continue;
		write_lines(t, from, i);
		from = i;
		for (; i < to && has_cell(t, i, column); i++)
			width = MAX(width, PADDING + (int)g_utf8_strlen(t->lines[i][column], -1));
		g_array_append_val(t->widths, width);
		lay_out(t, from, i);
		g_array_set_size(t->widths, column);
		from = i--;
	}
	write_lines(t, from, to);
}

char *table_align(const char *text)
{
	g_auto(GStrv) raw = g_strsplit(text, "\n", -1);
	guint n = g_strv_length(raw);
	g_autofree char ***lines = g_new0(char **, n + 1);
	g_autofree guint *cells = g_new0(guint, n + 1);
	struct table t = {lines, cells, g_array_new(FALSE, FALSE, sizeof(int)), g_string_new(NULL)};

	n -= n && !*raw[n - 1]; /* behind the last newline */
	for (guint i = 0; i < n; i++) {
		lines[i] = g_strsplit(raw[i], "\t", -1);
		cells[i] = g_strv_length(lines[i]);
	}
	lay_out(&t, 0, n);
	for (guint i = 0; i < n; i++)
		g_strfreev(lines[i]);
	g_array_unref(t.widths);
	return g_string_free(t.out, FALSE);
}
