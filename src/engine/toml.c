/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/toml.h"

#include <errno.h>
#include <string.h>

struct parser {
	const char *p;
	unsigned line;
};

static int bad(const struct parser *t, const char *what)
{
	return err_set(EINVAL, "line %u: %s", t->line, what);
}

static void skip_blanks(struct parser *t)
{
	while (*t->p == ' ' || *t->p == '\t' || *t->p == '\r')
		t->p++;
}

/* Blanks, line ends and comments. */
static void skip_lines(struct parser *t)
{
	for (;;) {
		skip_blanks(t);
		if (*t->p == '#')
			t->p += strcspn(t->p, "\n");
		if (*t->p != '\n')
			return;
		t->line++;
		t->p++;
	}
}

/* The rest of the line must be empty. */
static int end_line(struct parser *t)
{
	skip_blanks(t);
	if (*t->p == '#')
		t->p += strcspn(t->p, "\n");
	return *t->p && *t->p != '\n' ? bad(t, "something follows the value") : 0;
}

static int escape(struct parser *t, GString *out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *known = *t->p ? strchr(from, *t->p) : NULL;
	unsigned digits = *t->p == 'u' ? 4 : *t->p == 'U' ? 8 : 0;
	gunichar c = 0;

	if (known) {
		g_string_append_c(out, to[known - from]);
		t->p++;
		return 0;
	}
	if (!digits)
		return bad(t, "unknown escape in a string");
	for (t->p++; digits; digits--, t->p++) {
		if (!g_ascii_isxdigit(*t->p))
			return bad(t, "unknown escape in a string");
		c = c << 4 | (gunichar)g_ascii_xdigit_value(*t->p);
	}
	if (!g_unichar_validate(c))
		return bad(t, "not a character");
	g_string_append_unichar(out, c);
	return 0;
}

/* At a quote, single or double, one or three of them. */
static int read_string(struct parser *t, char **ret)
{
	g_autoptr(GString) out = g_string_new(NULL);
	char quote = *t->p;
	bool multi = t->p[1] == quote && t->p[2] == quote;
	int r;

	t->p += multi ? 3 : 1;
	if (multi && *t->p == '\n') {
		t->line++;
		t->p++;
	}
	for (;;) {
		if (!*t->p || (*t->p == '\n' && !multi))
			return bad(t, "a string does not end");
		if (*t->p == quote && (!multi || (t->p[1] == quote && t->p[2] == quote)))
			break;
		if (*t->p == '\\' && quote == '"') {
			t->p++;
			r = escape(t, out);
			if (r < 0)
				return r;
			continue;
		}
		if (*t->p == '\n')
			t->line++;
		g_string_append_c(out, *t->p++);
	}
	t->p += multi ? 3 : 1;
	*ret = g_string_free(g_steal_pointer(&out), FALSE);
	return 0;
}

/* Bare or quoted, with dots in between: "a.b" and a."b" both give a.b. */
static int read_key(struct parser *t, char **ret)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (;;) {
		g_autofree char *part = NULL;
		int r;

		skip_blanks(t);
		if (*t->p == '"' || *t->p == '\'') {
			r = read_string(t, &part);
			if (r < 0)
				return r;
		} else {
			size_t n = strspn(t->p, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-");

			if (!n)
				return bad(t, "a name is missing");
			part = g_strndup(t->p, n);
			t->p += n;
		}
		g_string_append(out, part);
		skip_blanks(t);
		if (*t->p != '.')
			break;
		t->p++;
		g_string_append_c(out, '.');
	}
	*ret = g_string_free(g_steal_pointer(&out), FALSE);
	return 0;
}

/* A number, a boolean, an inline table: as text, to its end. */
static int read_other(struct parser *t, const char *end, char **ret)
{
	size_t n = *t->p == '{' ? strcspn(t->p, "}\n") + 1 : strcspn(t->p, end);

	if (!n || (*t->p == '{' && t->p[n - 1] != '}'))
		return bad(t, "a value is missing");
	*ret = g_strchomp(g_strndup(t->p, n));
	t->p += n;
	return 0;
}

static int read_scalar(struct parser *t, const char *end, GPtrArray *values)
{
	char *v = NULL;
	int r = *t->p == '"' || *t->p == '\'' ? read_string(t, &v) : read_other(t, end, &v);

	if (r == 0)
		g_ptr_array_add(values, v);
	return r;
}

static int read_array(struct parser *t, GPtrArray *values)
{
	int r;

	t->p++;
	for (;;) {
		skip_lines(t);
		if (*t->p == ']')
			break;
		if (!*t->p)
			return bad(t, "an array does not end");
		if (*t->p == '[')
			return bad(t, "an array in an array");
		r = read_scalar(t, ",]#\n", values);
		if (r < 0)
			return r;
		skip_lines(t);
		if (*t->p == ',')
			t->p++;
		else if (*t->p != ']')
			return bad(t, "a comma is missing");
	}
	t->p++;
	return 0;
}

static int read_pair(struct parser *t, const char *table,
		     int (*each)(void *, const struct toml_item *), void *data)
{
	g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *key = NULL;
	struct toml_item item = {.table = table};
	int r = read_key(t, &key);

	if (r < 0)
		return r;
	if (*t->p != '=')
		return bad(t, "\"=\" is missing");
	t->p++;
	skip_blanks(t);
	item.array = *t->p == '[';
	r = item.array ? read_array(t, values) : read_scalar(t, "#\n", values);
	if (r == 0)
		r = end_line(t);
	if (r < 0)
		return r;
	g_ptr_array_add(values, NULL);
	item.key = key;
	item.values = (char **)values->pdata;
	return each(data, &item);
}

static int read_table(struct parser *t, char **table)
{
	bool list = t->p[1] == '[';
	int r;

	t->p += list ? 2 : 1;
	g_clear_pointer(table, g_free);
	r = read_key(t, table);
	if (r < 0)
		return r;
	if (*t->p != ']' || (list && t->p[1] != ']'))
		return bad(t, "\"]\" is missing");
	t->p += list ? 2 : 1;
	return end_line(t);
}

int toml_read(const char *text, int (*each)(void *data, const struct toml_item *item), void *data)
{
	struct parser t = {.p = text, .line = 1};
	g_autofree char *table = g_strdup("");
	int r = 0;

	for (;;) {
		skip_lines(&t);
		if (!*t.p)
			return 0;
		r = *t.p == '[' ? read_table(&t, &table) : read_pair(&t, table, each, data);
		if (r < 0)
			return r;
	}
}
