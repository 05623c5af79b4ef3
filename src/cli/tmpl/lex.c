/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tmpl/lex.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
	const char *name, *source, *p;
	GArray *tokens;
	int parens;
};

unsigned lex_line(const char *source, size_t pos)
{
	unsigned line = 1;

	for (size_t i = 0; i < pos && source[i]; i++)
		line += source[i] == '\n';
	return line;
}

static int fail(struct lexer *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int fail(struct lexer *l, const char *fmt, ...)
{
	g_autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	return err_set(EINVAL, "template: %s:%u: %s", l->name,
		       lex_line(l->source, l->p - l->source), what);
}

/* Go's %#U. */
static char *char_name(const char *p)
{
	gunichar c = g_utf8_get_char_validated(p, -1);

	if (c >= (gunichar)-2)
		return g_strdup_printf("U+%04X", (unsigned char)*p);
	return g_strdup_printf("U+%04X '%.*s'", c, (int)(g_utf8_next_char(p) - p), p);
}

static void token_clear(void *data)
{
	g_free(((struct token *)data)->text);
}

static void emit(struct lexer *l, enum token_kind kind, const char *from, const char *to)
{
	struct token t = {kind, from - l->source, to - l->source, g_strndup(from, to - from)};

	g_array_append_val(l->tokens, t);
	l->p = to;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static const char *word_end(const char *p)
{
	while (is_word(*p))
		p++;
	return p;
}

static bool trims_left(const char *p)
{
	return p[0] == '-' && is_blank(p[1]);
}

static bool at_right(const char *p)
{
	return !strncmp(p, "}}", 2) || (is_blank(p[0]) && !strncmp(p + 1, "-}}", 3));
}

/* After a name only these may follow; anything else is a typing error that is told at once. */
static int check_terminator(struct lexer *l)
{
	g_autofree char *c = NULL;

	if (!*l->p || is_blank(*l->p) || strchr(".,|:)(=", *l->p) || !strncmp(l->p, "}}", 2))
		return 0;
	c = char_name(l->p);
	return fail(l, "bad character %s", c);
}

static int lex_word(struct lexer *l)
{
	static const char *const keywords[] = {"if",	"else",	    "end",	"range",
					       "with",	"define",   "template", "block",
					       "break", "continue", NULL};
	const char *end = word_end(l->p);
	g_autofree char *word = g_strndup(l->p, end - l->p);
	enum token_kind kind = T_IDENT;

	if (g_strv_contains(keywords, word))
		kind = T_KEYWORD;
	else if (!strcmp(word, "true") || !strcmp(word, "false"))
		kind = T_BOOL;
	else if (!strcmp(word, "nil"))
		kind = T_NIL;
	emit(l, kind, l->p, end);
	return check_terminator(l);
}

static int lex_dot(struct lexer *l)
{
	const char *end = word_end(l->p + 1);
	struct token t;

	if (end == l->p + 1) {
		emit(l, T_DOT, l->p, end);
		return 0;
	}
	t = (struct token){T_FIELD, l->p - l->source, end - l->source,
			   g_strndup(l->p + 1, end - l->p - 1)};
	g_array_append_val(l->tokens, t);
	l->p = end;
	return check_terminator(l);
}

/* "\n", "\x41", "é" ... in interpreted strings. */
static void unquote(const char *p, const char *end, GString *to)
{
	static const char from[] = "abfnrtv\\'\"", into[] = "\a\b\f\n\r\t\v\\'\"";

	while (p < end) {
		const char *known;
		unsigned long code;
		char hex[9] = "";
		size_t len;

		if (*p != '\\' || p + 1 >= end) {
			g_string_append_c(to, *p++);
			continue;
		}
		known = strchr(from, p[1]);
		if (known && p[1]) {
			g_string_append_c(to, into[known - from]);
			p += 2;
			continue;
		}
		len = p[1] == 'x' ? 2 : p[1] == 'u' ? 4 : p[1] == 'U' ? 8 : 0;
		if (!len || p + 2 + len > end) {
			g_string_append_c(to, *p++);
			continue;
		}
		memcpy(hex, p + 2, len);
		code = strtoul(hex, NULL, 16);
		if (len == 2)
			g_string_append_c(to, (char)code);
		else
			g_string_append_unichar(to, code);
		p += 2 + len;
	}
}

static int lex_quoted(struct lexer *l)
{
	char quote = *l->p;
	const char *start = l->p, *p = l->p + 1;
	g_autoptr(GString) text = g_string_new(NULL);
	struct token t;

	while (*p && *p != quote && (*p != '\n' || quote == '`')) {
		if (*p == '\\' && quote != '`' && p[1])
			p++;
		p++;
	}
	if (*p != quote)
		return fail(l, "unterminated %s",
			    quote == '`'    ? "raw quoted string"
			    : quote == '\'' ? "character constant"
					    : "quoted string");
	if (quote == '`')
		g_string_append_len(text, start + 1, p - start - 1);
	else
		unquote(start + 1, p, text);
	t = (struct token){quote == '\'' ? T_CHAR : T_STRING, start - l->source, p + 1 - l->source,
			   g_strdup(text->str)};
	g_array_append_val(l->tokens, t);
	l->p = p + 1;
	return 0;
}

static int lex_number(struct lexer *l)
{
	const char *p = l->p + (*l->p == '-' || *l->p == '+');

	while (isalnum((unsigned char)*p) || *p == '.' || *p == '_' ||
	       ((*p == '-' || *p == '+') && (p[-1] == 'e' || p[-1] == 'E')))
		p++;
	emit(l, T_NUMBER, l->p, p);
	return 0;
}

static int lex_punctuation(struct lexer *l)
{
	static const struct {
		const char *text;
		enum token_kind kind;
	} marks[] = {{":=", T_DECLARE}, {"=", T_ASSIGN}, {"|", T_PIPE},
		     {"(", T_LPAREN},	{")", T_RPAREN}, {",", T_COMMA}};
	g_autofree char *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		size_t n = strlen(marks[i].text);

		if (strncmp(l->p, marks[i].text, n))
			continue;
		l->parens += (marks[i].kind == T_LPAREN) - (marks[i].kind == T_RPAREN);
		if (l->parens < 0)
			return fail(l, "unexpected right paren");
		emit(l, marks[i].kind, l->p, l->p + n);
		return 0;
	}
	c = char_name(l->p);
	return fail(l, "unrecognized character in action: %s", c);
}

static int lex_inside(struct lexer *l)
{
	const char *p = l->p;

	if (is_blank(*p)) {
		while (is_blank(*p) && !at_right(p))
			p++;
		if (p > l->p)
			emit(l, T_SPACE, l->p, p);
		return 0;
	}
	if (*p == '.' && !isdigit((unsigned char)p[1]))
		return lex_dot(l);
	if (*p == '$') {
		emit(l, T_VARIABLE, p, word_end(p + 1));
		return check_terminator(l);
	}
	if (*p == '"' || *p == '`' || *p == '\'')
		return lex_quoted(l);
	if (isdigit((unsigned char)*p) || *p == '.' || *p == '-' || *p == '+')
		return lex_number(l);
	if (is_word(*p))
		return lex_word(l);
	return lex_punctuation(l);
}

/* From behind "{{" to behind "}}".  *RET_TRIM: the text that follows loses its blanks. */
static int lex_action(struct lexer *l, bool *ret_trim)
{
	l->parens = 0;
	while (!at_right(l->p)) {
		int r;

		if (!*l->p)
			return fail(l, "unclosed action");
		r = lex_inside(l);
		if (r < 0)
			return r;
	}
	if (l->parens)
		return fail(l, "unclosed left paren");
	*ret_trim = *l->p != '}';
	emit(l, T_RIGHT, l->p, l->p + (*ret_trim ? 4 : 2));
	return 0;
}

static int lex_comment(struct lexer *l, bool *ret_trim)
{
	const char *end = strstr(l->p, "*/");

	if (!end)
		return fail(l, "unclosed comment");
	l->p = end + 2;
	if (!at_right(l->p))
		return fail(l, "comment ends before closing delimiter");
	*ret_trim = *l->p != '}';
	l->p += *ret_trim ? 4 : 2;
	return 0;
}

static int lex_all(struct lexer *l)
{
	bool trim = false;

	while (*l->p) {
		const char *open = strstr(l->p, "{{"), *end = open ? open : l->p + strlen(l->p);
		bool trims = open && trims_left(open + 2);
		const char *from = l->p, *to = end, *inside;
		int r;

		while (trim && from < to && is_blank(*from))
			from++;
		while (trims && to > from && is_blank(to[-1]))
			to--;
		if (to > from)
			emit(l, T_TEXT, from, to);
		l->p = end;
		if (!open)
			break;
		inside = open + 2 + (trims ? 2 : 0);
		if (!strncmp(inside, "/*", 2)) {
			l->p = inside;
			r = lex_comment(l, &trim);
		} else {
			emit(l, T_LEFT, open, inside);
			r = lex_action(l, &trim);
		}
		if (r < 0)
			return r;
	}
	emit(l, T_EOF, l->p, l->p);
	return 0;
}

int lex_template(const char *name, const char *source, GArray **ret)
{
	struct lexer l = {name, source, source, g_array_new(FALSE, FALSE, sizeof(struct token)), 0};
	int r;

	g_array_set_clear_func(l.tokens, token_clear);
	r = lex_all(&l);
	if (r < 0) {
		g_array_unref(l.tokens);
		return r;
	}
	*ret = l.tokens;
	return 0;
}
