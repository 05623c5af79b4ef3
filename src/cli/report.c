/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report.h"

#include "cli/table.h"
#include "cli/tmpl/exec.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool report_wants_json(const char *format)
{
	g_autofree char *bare = NULL;
	size_t n = 0;

	if (!format)
		return false;
	bare = g_strdup(format);
	for (const char *p = format; *p; p++)
		if (!isspace((unsigned char)*p))
			bare[n++] = *p;
	bare[n] = '\0';
	return !strcmp(bare, "json") || !strcmp(bare, "{{json.}}") || !strcmp(bare, "{{json}}");
}

void report_json(const json_t *j, unsigned indent)
{
	char *text = json_text(j, indent);

	puts(text);
	free(text);
}

/* Typed "\t" and "\n" become the characters; in tables a blank divides columns, too. */
static char *normalize(const char *format, bool table)
{
	GString *s = g_string_new(NULL);

	for (const char *p = format; *p; p++) {
		if (*p == '\\' && (p[1] == 't' || p[1] == 'n'))
			g_string_append_c(s, *++p == 't' ? '\t' : '\n');
		else
			g_string_append_c(s, table && *p == ' ' ? '\t' : *p);
	}
	if (!s->len || s->str[s->len - 1] != '\n')
		g_string_append_c(s, '\n');
	return g_string_free(s, FALSE);
}

/* "ImageID" -> "IMAGE ID", "IsInfra" -> "IS INFRA". */
static char *title_of(const char *field)
{
	GString *s = g_string_new(NULL);

	for (const char *p = field; *p; p++) {
		if (p > field && isupper((unsigned char)*p) &&
		    (islower((unsigned char)p[-1]) || islower((unsigned char)p[1])))
			g_string_append_c(s, ' ');
		g_string_append_c(s, toupper((unsigned char)*p));
	}
	return g_string_free(s, FALSE);
}

static json_t *header_of_method(json_t *self, const char *arg)
{
	return json_string(arg);
}

static json_t *header_row(const struct report *r)
{
	json_t *row = json_object();

	for (const struct go_field *f = r->row->fields; f && f->name; f++) {
		g_autofree char *title = title_of(f->name);

		json_object_set_new(row, f->name, json_string(title));
	}
	for (const struct report_header *h = r->headers; h && h->field; h++)
		json_object_set_new(row, h->field, json_string(h->title));
	return row;
}

static int execute(struct tree *t, const struct go_type *row, json_t *rows, GString *out)
{
	const struct go_type list = {"[]interface {}", GO_SLICE, row};

	return tree_execute(t, (struct go_value){&list, rows}, out);
}

static int execute_header(const struct report *r, struct tree *t, GString *out)
{
	static const struct go_method methods[] = {{"Label", &go_string, header_of_method}, {}};
	const struct go_type type = {"map[string]interface {}", GO_MAP, &go_any, NULL, methods};
	json_t *rows = json_pack("[o]", header_row(r));
	int ret = execute(t, &type, rows, out);

	json_decref(rows);
	return ret;
}

/* A template that ranges over all rows by itself gets them at once. */
static char *with_range(const char *text)
{
	if (g_str_has_prefix(text, "{{range .}}"))
		return g_strdup(text);
	return g_strdup_printf("{{range .}}%s{{end -}}", text);
}

int report_print(const struct report *rep, json_t *rows)
{
	const char *format = rep->format && *rep->format ? rep->format : rep->standard;
	bool table = g_str_has_prefix(format, "table ");
	g_autofree char *normal =
		normalize(format + (table ? 6 : 0), table && format == rep->format);
	g_autofree char *text = with_range(normal);
	g_autofree char *raw = with_range(format);
	g_autoptr(GString) out = g_string_new(NULL);
	CLEANUP(tree_free) struct tree *t = NULL;
	int r = tree_parse(rep->name, text, &t);

	/* What was meant may be a "\n" inside of an action; errors speak of what was typed, too. */
	if (r < 0 && !table)
		r = tree_parse(rep->name, raw, &t);
	if (r < 0)
		return r;
	if (table && !rep->no_heading)
		r = execute_header(rep, t, out);
	if (r >= 0)
		r = execute(t, rep->row, rows, out);
	if (table) {
		g_autofree char *aligned = table_align(out->str);

		fputs(aligned, stdout);
	} else {
		fputs(out->str, stdout);
	}
	return r;
}

int report_template(const char *name, const char *format, const struct go_type *row, json_t *rows)
{
	const struct report r = {.name = name, .format = format, .standard = format, .row = row};

	return report_print(&r, rows);
}
