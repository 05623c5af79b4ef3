/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/yaml.h"

#include <stdlib.h>
#include <string.h>

static int key_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Plain text that a reader would take for something else than a string. */
static bool reads_as_other(const char *s)
{
	static const char *const words[] = {"true", "false", "null", "yes", "no",
					    "on",   "off",   "~",    "y",   "n"};
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!g_ascii_strcasecmp(s, words[i]))
			return true;
	g_ascii_strtod(s, &end);
	return !*s || (end != s && !*end);
}

static bool needs_quotes(const char *s)
{
	size_t n = strlen(s);

	return strchr("-?:,[]{}#&*!|>'\"%@` ", s[0]) || strstr(s, ": ") || strstr(s, " #") ||
	       s[n - 1] == ' ' || s[n - 1] == ':';
}

static void print_string(const char *s, int indent, GString *to)
{
	g_auto(GStrv) parts = NULL;
	g_autofree char *escaped = NULL;

	if (reads_as_other(s)) {
		g_string_append_printf(to, " \"%s\"\n", s);
	} else if (strchr(s, '\n')) {
		parts = g_strsplit(s, "\n", -1);
		g_string_append(to, " |-\n");
		for (char **line = parts; *line; line++)
			g_string_append_printf(to, "%*s%s\n", indent, "", *line);
	} else if (needs_quotes(s)) {
		parts = g_strsplit(s, "'", -1);
		escaped = g_strjoinv("''", parts);
		g_string_append_printf(to, " '%s'\n", escaped);
	} else {
		g_string_append_printf(to, " %s\n", s);
	}
}

static void print_value(const json_t *j, int indent, bool in_list, GString *to);

static void print_object(const json_t *j, int indent, bool in_list, GString *to)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)j, key, value) g_ptr_array_add(keys, (void *)key);
	g_ptr_array_sort(keys, key_order);
	for (guint i = 0; i < keys->len; i++) {
		g_string_append_printf(to, "%*s%s:", in_list && !i ? 1 : indent, "",
				       (char *)keys->pdata[i]);
		print_value(json_object_get(j, keys->pdata[i]), indent, false, to);
	}
}

static void print_array(const json_t *j, int indent, GString *to)
{
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)j, i, value)
	{
		g_string_append_printf(to, "%*s-", indent, "");
		print_value(value, indent, true, to);
	}
}

/* Behind a key or a dash, on the same line or below. */
static void print_value(const json_t *j, int indent, bool in_list, GString *to)
{
	char *text;

	if (json_is_object(j) && json_object_size(j)) {
		if (!in_list)
			g_string_append_c(to, '\n');
		print_object(j, indent + 2, in_list, to);
	} else if (json_is_array(j) && json_array_size(j)) {
		g_string_append_c(to, '\n');
		print_array(j, in_list ? indent + 2 : indent, to);
	} else if (json_is_string(j)) {
		print_string(json_string_value(j), indent + 2, to);
	} else {
		text = json_dumps(j, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		g_string_append_printf(to, " %s\n", text ? text : "null");
		free(text);
	}
}

void yaml_print(const json_t *j, GString *to)
{
	print_object(j, 0, false, to);
}
