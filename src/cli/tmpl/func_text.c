/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that make text, or parts of one. */
#include "cli/tmpl/call.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* fmt.Sprint puts blanks between operands when neither is a string; Sprintln always. */
void call_print(const struct call *c, bool line, GString *to)
{
	for (unsigned i = 0; i < c->n; i++) {
		bool strings = i && (go_kind_of(c->args[i]) == GO_STRING ||
				     go_kind_of(c->args[i - 1]) == GO_STRING);

		if (i && (line || !strings))
			g_string_append_c(to, ' ');
		go_print(c->args[i], to);
	}
	if (line)
		g_string_append_c(to, '\n');
}

int func_print(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);

	call_print(c, false, s);
	return call_give_string(c, s->str);
}

int func_println(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);

	call_print(c, true, s);
	return call_give_string(c, s->str);
}

int func_printf(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);
	const char *fmt;
	int r = call_want_string(c, 0, &fmt);

	if (r < 0)
		return r;
	go_sprintf(fmt, c->args + 1, c->n - 1, s);
	return call_give_string(c, s->str);
}

/* Replaces each byte that ESCAPE knows. */
static int escape_all(struct call *c, void (*escape)(unsigned char b, GString *to))
{
	g_autoptr(GString) plain = g_string_new(NULL), s = g_string_new(NULL);

	call_print(c, false, plain);
	for (size_t i = 0; i < plain->len; i++)
		escape((unsigned char)plain->str[i], s);
	return call_give_string(c, s->str);
}

static void html_byte(unsigned char b, GString *to)
{
	switch (b) {
	case '<':
		g_string_append(to, "&lt;");
		break;
	case '>':
		g_string_append(to, "&gt;");
		break;
	case '&':
		g_string_append(to, "&amp;");
		break;
	case '\'':
		g_string_append(to, "&#39;");
		break;
	case '"':
		g_string_append(to, "&#34;");
		break;
	default:
		g_string_append_c(to, b);
	}
}

static void js_byte(unsigned char b, GString *to)
{
	if (b == '\\' || b == '\'' || b == '"')
		g_string_append_printf(to, "\\%c", b);
	else if (b < 0x20 || b == '<' || b == '>' || b == '&' || b == '=')
		g_string_append_printf(to, "\\u%04X", b);
	else
		g_string_append_c(to, b);
}

static void query_byte(unsigned char b, GString *to)
{
	if (g_ascii_isalnum(b) || strchr("-_.~", b))
		g_string_append_c(to, b);
	else if (b == ' ')
		g_string_append_c(to, '+');
	else
		g_string_append_printf(to, "%%%02X", b);
}

int func_html(struct call *c)
{
	return escape_all(c, html_byte);
}

int func_js(struct call *c)
{
	return escape_all(c, js_byte);
}

int func_urlquery(struct call *c)
{
	return escape_all(c, query_byte);
}

int func_json(struct call *c)
{
	json_t *j = go_to_json(c->args[0]);
	char *text = json_text(j, 0);

	call_give_string(c, text);
	free(text);
	json_decref(j);
	return 0;
}

static int change_case(struct call *c, char *(*change)(const char *, gssize))
{
	g_autofree char *s = NULL;
	const char *text;
	int r = call_want_string(c, 0, &text);

	if (r < 0)
		return r;
	s = change(text, -1);
	return call_give_string(c, s);
}

int func_lower(struct call *c)
{
	return change_case(c, g_utf8_strdown);
}

int func_upper(struct call *c)
{
	return change_case(c, g_utf8_strup);
}

int func_title(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int r = call_want_string(c, 0, &text);

	if (r < 0)
		return r;
	s = g_strdup(text);
	for (size_t i = 0; s[i]; i++)
		if (!i || g_ascii_isspace(s[i - 1]))
			s[i] = g_ascii_toupper(s[i]);
	return call_give_string(c, s);
}

int func_join(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);
	const char *between;
	int r;

	if (go_kind_of(c->args[0]) != GO_SLICE)
		return call_wrong_type(c, 0, "[]string", "[]string");
	r = call_want_string(c, 1, &between);
	if (r < 0)
		return r;
	for (ssize_t i = 0; i < go_len(c->args[0]); i++) {
		g_string_append(s, i ? between : "");
		go_print(go_element(c->args[0], i), s);
	}
	return call_give_string(c, s->str);
}

int func_split(struct call *c)
{
	const char *text, *at;
	g_auto(GStrv) parts = NULL;
	json_t *list;
	int r = call_want_string(c, 0, &text);

	if (r < 0)
		return r;
	r = call_want_string(c, 1, &at);
	if (r < 0)
		return r;
	list = json_array();
	*c->ret = exec_keep(c->x, &go_strings, list);
	if (!*at) {
		for (const char *p = text; *p; p = g_utf8_next_char(p))
			json_array_append_new(list,
					      json_stringn_nocheck(p, g_utf8_next_char(p) - p));
		return 0;
	}
	parts = g_strsplit(text, at, -1);
	for (char **p = parts; *p; p++)
		json_array_append_new(list, json_string_nocheck(*p));
	if (!*text)
		json_array_append_new(list, json_string(""));
	return 0;
}

int func_pad(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int64_t before = 0, after = 0;
	int r = call_want_string(c, 0, &text);

	if (r < 0 || (r = call_want_int(c, 1, &before)) < 0 ||
	    (r = call_want_int(c, 2, &after)) < 0)
		return r;
	if (before < 0 || after < 0 || before > 65536 || after > 65536)
		return call_error(c, "bad width");
	if (!*text)
		return call_give_string(c, "");
	s = g_strdup_printf("%*s%s%*s", (int)before, "", text, (int)after, "");
	return call_give_string(c, s);
}

int func_truncate(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int64_t length = 0;
	int r = call_want_string(c, 0, &text);

	if (r < 0 || (r = call_want_int(c, 1, &length)) < 0)
		return r;
	s = g_strndup(text, MAX(length, 0));
	return call_give_string(c, s);
}
