/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of text/template, and those that Podman adds. */
#include "cli/tmpl/exec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct call {
	struct exec *x;
	const char *name;
	const struct go_value *args;
	unsigned n;
	struct go_value *ret;
};

struct func {
	const char *name;
	int min, max; /* number of arguments; max -1: any */
	int (*call)(struct call *c);
};

static int fail(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int fail(struct call *c, const char *fmt, ...)
{
	g_autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	return exec_error(c->x, "error calling %s: %s", c->name, what);
}

static int give_string(struct call *c, const char *text)
{
	/* A template may cut a character in two; JSON strings do not check here. */
	*c->ret = exec_keep(c->x, &go_string, json_string_nocheck(text));
	return 0;
}

static int give_bool(struct call *c, bool value)
{
	*c->ret = exec_keep(c->x, &go_bool, json_boolean(value));
	return 0;
}

/* Argument I has another type than WANTED; told at the argument, a constant by its text. */
static int wrong_type(struct call *c, unsigned i, const char *wanted, const char *wanted_constant)
{
	const GPtrArray *kids = c->x->command->kids;
	const struct node *arg = kids && i + 1 < kids->len ? kids->pdata[i + 1] : NULL;

	if (arg)
		c->x->at = arg;
	if (arg && arg->kind >= N_BOOL && arg->kind <= N_STRING) {
		g_autoptr(GString) text = g_string_new(NULL);

		node_print(arg, text);
		return exec_error(c->x, "expected %s; found %s", wanted_constant, text->str);
	}
	return exec_error(c->x, "wrong type for value; expected %s; got %s", wanted,
			  go_type_name(c->args[i]));
}

static int want_string(struct call *c, unsigned i, const char **ret)
{
	if (go_kind_of(c->args[i]) != GO_STRING)
		return wrong_type(c, i, "string", "string");
	*ret = json_string_value(c->args[i].j);
	if (!*ret)
		*ret = "";
	return 0;
}

static int want_int(struct call *c, unsigned i, int64_t *ret)
{
	if (go_kind_of(c->args[i]) != GO_INT)
		return wrong_type(c, i, "int", "integer");
	*ret = json_integer_value(c->args[i].j);
	return 0;
}

/* How two values of one basic kind compare: -1, 0, 1. */
static int compare(struct call *c, struct go_value a, struct go_value b, int *ret)
{
	enum go_kind ka = go_kind_of(a), kb = go_kind_of(b);

	if ((ka == GO_INT || ka == GO_FLOAT) && (kb == GO_INT || kb == GO_FLOAT)) {
		double x = json_number_value(a.j), y = json_number_value(b.j);

		*ret = (x > y) - (x < y);
		return 0;
	}
	if (ka != kb)
		return fail(c, "incompatible types for comparison");
	if (ka == GO_STRING || ka == GO_TIME) {
		const char *x = json_string_value(a.j), *y = json_string_value(b.j);

		*ret = strcmp(x ? x : "", y ? y : "");
		return 0;
	}
	if (ka == GO_BOOL || ka == GO_ANY) {
		*ret = json_is_true(a.j) - json_is_true(b.j);
		return 0;
	}
	return fail(c, "non-comparable type %s: %s", go_type_name(a), go_type_name(b));
}

static int f_eq(struct call *c)
{
	for (unsigned i = 1; i < c->n; i++) {
		int order, r = compare(c, c->args[0], c->args[i], &order);

		if (r < 0)
			return r;
		if (!order)
			return give_bool(c, true);
	}
	return give_bool(c, false);
}

static int f_ne(struct call *c)
{
	int order, r = compare(c, c->args[0], c->args[1], &order);

	return r < 0 ? r : give_bool(c, order != 0);
}

static int ordered(struct call *c, int *ret)
{
	enum go_kind k = go_kind_of(c->args[0]);

	if (k != GO_INT && k != GO_FLOAT && k != GO_STRING)
		return fail(c, "invalid type for comparison");
	return compare(c, c->args[0], c->args[1], ret);
}

static int f_lt(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : give_bool(c, order < 0);
}

static int f_le(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : give_bool(c, order <= 0);
}

static int f_gt(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : give_bool(c, order > 0);
}

static int f_ge(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : give_bool(c, order >= 0);
}

static int f_not(struct call *c)
{
	return give_bool(c, !go_truth(c->args[0]));
}

/* Functions look behind pointers. */
static const char *pointed_to(const char *type)
{
	return type + (*type == '*');
}

static int f_len(struct call *c)
{
	ssize_t n = go_len(c->args[0]);

	if (n < 0)
		return fail(c, "len of type %s", pointed_to(go_type_name(c->args[0])));
	*c->ret = exec_keep(c->x, &go_int, json_integer(n));
	return 0;
}

static int index_one(struct call *c, struct go_value v, struct go_value key, struct go_value *ret)
{
	json_int_t i;

	switch (go_kind_of(v)) {
	case GO_MAP:
		if (go_kind_of(key) != GO_STRING)
			return fail(c, "value has type %s; should be string", go_type_name(key));
		*ret = go_key(v, json_string_value(key.j));
		return 0;
	case GO_SLICE:
	case GO_STRING:
		if (go_kind_of(key) != GO_INT)
			return fail(c, "cannot index slice/array with type %s", go_type_name(key));
		i = json_integer_value(key.j);
		if (i < 0 || i >= go_len(v))
			return fail(c, "index out of range: %" JSON_INTEGER_FORMAT, i);
		if (go_kind_of(v) == GO_SLICE)
			*ret = go_element(v, i);
		else
			*ret = exec_keep(c->x, &go_int,
					 json_integer((unsigned char)json_string_value(v.j)[i]));
		return 0;
	case GO_ANY:
		return fail(c, "index of untyped nil");
	default:
		return fail(c, "can't index item of type %s", go_type_name(v));
	}
}

static int f_index(struct call *c)
{
	struct go_value v = c->args[0];

	for (unsigned i = 1; i < c->n; i++) {
		int r = index_one(c, v, c->args[i], &v);

		if (r < 0)
			return r;
	}
	*c->ret = v;
	return 0;
}

static int f_slice(struct call *c)
{
	struct go_value v = c->args[0];
	int64_t bounds[2] = {0, go_len(v)};
	enum go_kind kind = go_kind_of(v);
	json_t *part;

	if (kind != GO_SLICE && kind != GO_STRING)
		return fail(c, "can't slice item of type %s", go_type_name(v));
	for (unsigned i = 1; i < c->n; i++) {
		int r = want_int(c, i, &bounds[i - 1]);

		if (r < 0)
			return r;
		if (bounds[i - 1] < 0 || bounds[i - 1] > go_len(v))
			return fail(c, "index out of range: %" PRId64, bounds[i - 1]);
	}
	if (bounds[0] > bounds[1])
		return fail(c, "invalid slice index: %" PRId64 " > %" PRId64, bounds[0], bounds[1]);
	if (kind == GO_STRING) {
		part = json_stringn_nocheck(json_string_value(v.j) + bounds[0],
					    bounds[1] - bounds[0]);
		*c->ret = exec_keep(c->x, &go_string, part);
		return 0;
	}
	part = json_array();
	for (int64_t i = bounds[0]; i < bounds[1]; i++)
		json_array_append(part, json_array_get(v.j, i));
	*c->ret = exec_keep(c->x, v.type, part);
	return 0;
}

/* fmt.Sprint puts blanks between operands when neither is a string; Sprintln always. */
static void print_all(struct call *c, bool line, GString *to)
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

static int f_print(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);

	print_all(c, false, s);
	return give_string(c, s->str);
}

static int f_println(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);

	print_all(c, true, s);
	return give_string(c, s->str);
}

static int f_printf(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);
	const char *fmt;
	int r = want_string(c, 0, &fmt);

	if (r < 0)
		return r;
	go_sprintf(fmt, c->args + 1, c->n - 1, s);
	return give_string(c, s->str);
}

/* Replaces each byte that ESCAPE knows. */
static int escape_all(struct call *c, void (*escape)(unsigned char b, GString *to))
{
	g_autoptr(GString) plain = g_string_new(NULL), s = g_string_new(NULL);

	print_all(c, false, plain);
	for (size_t i = 0; i < plain->len; i++)
		escape((unsigned char)plain->str[i], s);
	return give_string(c, s->str);
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

static int f_html(struct call *c)
{
	return escape_all(c, html_byte);
}

static int f_js(struct call *c)
{
	return escape_all(c, js_byte);
}

static int f_urlquery(struct call *c)
{
	return escape_all(c, query_byte);
}

static int f_json(struct call *c)
{
	json_t *j = go_to_json(c->args[0]);
	char *text = json_text(j, 0);

	give_string(c, text);
	free(text);
	json_decref(j);
	return 0;
}

static int change_case(struct call *c, char *(*change)(const char *, gssize))
{
	g_autofree char *s = NULL;
	const char *text;
	int r = want_string(c, 0, &text);

	if (r < 0)
		return r;
	s = change(text, -1);
	return give_string(c, s);
}

static int f_lower(struct call *c)
{
	return change_case(c, g_utf8_strdown);
}

static int f_upper(struct call *c)
{
	return change_case(c, g_utf8_strup);
}

static int f_title(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int r = want_string(c, 0, &text);

	if (r < 0)
		return r;
	s = g_strdup(text);
	for (size_t i = 0; s[i]; i++)
		if (!i || g_ascii_isspace(s[i - 1]))
			s[i] = g_ascii_toupper(s[i]);
	return give_string(c, s);
}

static int f_join(struct call *c)
{
	g_autoptr(GString) s = g_string_new(NULL);
	const char *between;
	int r;

	if (go_kind_of(c->args[0]) != GO_SLICE)
		return wrong_type(c, 0, "[]string", "[]string");
	r = want_string(c, 1, &between);
	if (r < 0)
		return r;
	for (ssize_t i = 0; i < go_len(c->args[0]); i++) {
		g_string_append(s, i ? between : "");
		go_print(go_element(c->args[0], i), s);
	}
	return give_string(c, s->str);
}

static int f_split(struct call *c)
{
	const char *text, *at;
	g_auto(GStrv) parts = NULL;
	json_t *list;
	int r = want_string(c, 0, &text);

	if (r < 0)
		return r;
	r = want_string(c, 1, &at);
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

static int f_pad(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int64_t before = 0, after = 0;
	int r = want_string(c, 0, &text);

	if (r < 0 || (r = want_int(c, 1, &before)) < 0 || (r = want_int(c, 2, &after)) < 0)
		return r;
	if (before < 0 || after < 0 || before > 65536 || after > 65536)
		return fail(c, "bad width");
	if (!*text)
		return give_string(c, "");
	s = g_strdup_printf("%*s%s%*s", (int)before, "", text, (int)after, "");
	return give_string(c, s);
}

static int f_truncate(struct call *c)
{
	g_autofree char *s = NULL;
	const char *text;
	int64_t length = 0;
	int r = want_string(c, 0, &text);

	if (r < 0 || (r = want_int(c, 1, &length)) < 0)
		return r;
	s = g_strndup(text, MAX(length, 0));
	return give_string(c, s);
}

/* Values are data here: nothing that a template can reach is a function. */
static int f_call(struct call *c)
{
	return fail(c, "non-function %s of type %s", "value", go_type_name(c->args[0]));
}

static const struct func funcs[] = {
	{"eq", 2, -1, f_eq},	     {"ne", 2, 2, f_ne},
	{"lt", 2, 2, f_lt},	     {"le", 2, 2, f_le},
	{"gt", 2, 2, f_gt},	     {"ge", 2, 2, f_ge},
	{"not", 1, 1, f_not},	     {"len", 1, 1, f_len},
	{"index", 1, -1, f_index},   {"slice", 1, 3, f_slice},
	{"print", 0, -1, f_print},   {"println", 0, -1, f_println},
	{"printf", 1, -1, f_printf}, {"html", 0, -1, f_html},
	{"js", 0, -1, f_js},	     {"urlquery", 0, -1, f_urlquery},
	{"json", 1, 1, f_json},	     {"lower", 1, 1, f_lower},
	{"upper", 1, 1, f_upper},    {"title", 1, 1, f_title},
	{"join", 2, 2, f_join},	     {"split", 2, 2, f_split},
	{"pad", 3, 3, f_pad},	     {"truncate", 2, 2, f_truncate},
	{"call", 1, -1, f_call},
};

static const struct func *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(funcs); i++)
		if (!strcmp(funcs[i].name, name))
			return &funcs[i];
	return NULL;
}

bool func_exists(const char *name)
{
	return !strcmp(name, "and") || !strcmp(name, "or") || find(name);
}

int func_call(struct exec *x, const char *name, const struct go_value *args, unsigned n,
	      struct go_value *ret)
{
	const struct func *f = find(name);
	struct call c = {x, name, args, n, ret};

	if (!f)
		return exec_error(x, "wrong number of args for %s: want at least 1 got 0", name);
	if (n < f->min)
		return exec_error(x, "wrong number of args for %s: want %s%d got %u", name,
				  f->max < 0 ? "at least " : "", f->min, n);
	if (f->max >= 0 && n > f->max)
		return exec_error(x, "wrong number of args for %s: want %d got %u", name, f->max,
				  n);
	x->at = x->command;
	return f->call(&c);
}
