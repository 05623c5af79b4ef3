/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of text/template, and those that Podman adds. */
#include "cli/tmpl/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct func {
	const char *name;
	int min, max; /* number of arguments; max -1: any */
	int (*call)(struct call *c);
};

int call_error(struct call *c, const char *fmt, ...)
{
	g_autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	return exec_error(c->x, "error calling %s: %s", c->name, what);
}

int call_give_string(struct call *c, const char *text)
{
	/* A template may cut a character in two; JSON strings do not check here. */
	*c->ret = exec_keep(c->x, &go_string, json_string_nocheck(text));
	return 0;
}

int call_give_bool(struct call *c, bool value)
{
	*c->ret = exec_keep(c->x, &go_bool, json_boolean(value));
	return 0;
}

int call_wrong_type(struct call *c, unsigned i, const char *wanted, const char *wanted_constant)
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

int call_want_string(struct call *c, unsigned i, const char **ret)
{
	if (go_kind_of(c->args[i]) != GO_STRING)
		return call_wrong_type(c, i, "string", "string");
	*ret = json_string_value(c->args[i].j);
	if (!*ret)
		*ret = "";
	return 0;
}

int call_want_int(struct call *c, unsigned i, int64_t *ret)
{
	if (go_kind_of(c->args[i]) != GO_INT)
		return call_wrong_type(c, i, "int", "integer");
	*ret = json_integer_value(c->args[i].j);
	return 0;
}

static int f_not(struct call *c)
{
	return call_give_bool(c, !go_truth(c->args[0]));
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
		return call_error(c, "len of type %s", pointed_to(go_type_name(c->args[0])));
	*c->ret = exec_keep(c->x, &go_int, json_integer(n));
	return 0;
}

static int index_one(struct call *c, struct go_value v, struct go_value key, struct go_value *ret)
{
	json_int_t i;

	switch (go_kind_of(v)) {
	case GO_MAP:
		if (go_kind_of(key) != GO_STRING)
			return call_error(c, "value has type %s; should be string",
					  go_type_name(key));
		*ret = go_key(v, json_string_value(key.j));
		return 0;
	case GO_SLICE:
	case GO_STRING:
		if (go_kind_of(key) != GO_INT)
			return call_error(c, "cannot index slice/array with type %s",
					  go_type_name(key));
		i = json_integer_value(key.j);
		if (i < 0 || i >= go_len(v))
			return call_error(c, "index out of range: %" JSON_INTEGER_FORMAT, i);
		if (go_kind_of(v) == GO_SLICE)
			*ret = go_element(v, i);
		else
			*ret = exec_keep(c->x, &go_int,
					 json_integer((unsigned char)json_string_value(v.j)[i]));
		return 0;
	case GO_ANY:
		return call_error(c, "index of untyped nil");
	default:
		return call_error(c, "can't index item of type %s", go_type_name(v));
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
		return call_error(c, "can't slice item of type %s", go_type_name(v));
	for (unsigned i = 1; i < c->n; i++) {
		int r = call_want_int(c, i, &bounds[i - 1]);

		if (r < 0)
			return r;
		if (bounds[i - 1] < 0 || bounds[i - 1] > go_len(v))
			return call_error(c, "index out of range: %" PRId64, bounds[i - 1]);
	}
	if (bounds[0] > bounds[1])
		return call_error(c, "invalid slice index: %" PRId64 " > %" PRId64, bounds[0],
				  bounds[1]);
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

/* Values are data here: nothing that a template can reach is a function. */
static int f_call(struct call *c)
{
	return call_error(c, "non-function %s of type %s", "value", go_type_name(c->args[0]));
}

static const struct func funcs[] = {
	{"eq", 2, -1, func_eq},		{"ne", 2, 2, func_ne},
	{"lt", 2, 2, func_lt},		{"le", 2, 2, func_le},
	{"gt", 2, 2, func_gt},		{"ge", 2, 2, func_ge},
	{"not", 1, 1, f_not},		{"len", 1, 1, f_len},
	{"index", 1, -1, f_index},	{"slice", 1, 3, f_slice},
	{"print", 0, -1, func_print},	{"println", 0, -1, func_println},
	{"printf", 1, -1, func_printf}, {"html", 0, -1, func_html},
	{"js", 0, -1, func_js},		{"urlquery", 0, -1, func_urlquery},
	{"json", 1, 1, func_json},	{"lower", 1, 1, func_lower},
	{"upper", 1, 1, func_upper},	{"title", 1, 1, func_title},
	{"join", 2, 2, func_join},	{"split", 2, 2, func_split},
	{"pad", 3, 3, func_pad},	{"truncate", 2, 2, func_truncate},
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
