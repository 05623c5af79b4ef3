/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tmpl/exec.h"

#include "cli/tmpl/lex.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define DEPTH_MAX 1000 /* {{template}} calls */

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE }; /* positive answers of statements */

struct exec_var {
	const char *name;
	struct go_value value;
};

struct go_value exec_keep(struct exec *x, const struct go_type *type, json_t *j)
{
	g_ptr_array_add(x->made, j);
	return (struct go_value){type, j};
}

int exec_error(struct exec *x, const char *fmt, ...)
{
	g_autoptr(GString) context = g_string_new(NULL);
	g_autofree char *what = NULL;
	size_t column = 0;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	while (column < x->at->pos && x->tree->source[x->at->pos - column - 1] != '\n')
		column++;
	node_print(x->at, context);
	return err_set(EINVAL, "template: %s:%u:%zu: executing \"%s\" at <%s>: %s", x->tree->name,
		       lex_line(x->tree->source, x->at->pos), column, x->name, context->str, what);
}

static int eval_pipe(struct exec *x, struct go_value dot, const struct node *pipe,
		     struct go_value *ret);

static const struct go_method *find_method(struct go_value v, const char *name)
{
	if (v.type)
		for (const struct go_method *m = v.type->methods; m && m->name; m++)
			if (!strcmp(m->name, name))
				return m;
	return NULL;
}

static int call_method(struct exec *x, struct go_value v, const struct go_method *m,
		       const struct go_value *args, unsigned n, struct go_value *ret)
{
	if (n != 1)
		return exec_error(x, "wrong number of args for %s: want 1 got %u", m->name, n);
	if (go_kind_of(args[0]) != GO_STRING)
		return exec_error(x, "wrong type for value; expected string; got %s",
				  go_type_name(args[0]));
	*ret = exec_keep(x, m->type, m->call(v.j, json_string_value(args[0].j)));
	return 0;
}

/* One ".name" of a chain; ARGS only for the last one. */
static int eval_field(struct exec *x, struct go_value v, const char *name,
		      const struct go_value *args, unsigned n, struct go_value *ret)
{
	const struct go_method *m = find_method(v, name);
	struct go_value field;

	if (m)
		return call_method(x, v, m, args, n, ret);
	*ret = (struct go_value){NULL, NULL};
	if (!v.type)
		return 0; /* a field of no value is no value */
	switch (go_kind_of(v)) {
	case GO_ANY:
		return exec_error(x, "nil pointer evaluating %s.%s", go_type_name(v), name);
	case GO_STRUCT:
	case GO_MAP:
		break;
	default:
		return exec_error(x, "can't evaluate field %s in type %s", name, go_type_name(v));
	}
	field = go_field(v, name);
	if (!field.type && go_kind_of(v) == GO_STRUCT)
		return exec_error(x, "can't evaluate field %s in type %s", name, go_type_name(v));
	if (n)
		return exec_error(x, "%s has arguments but cannot be invoked as function", name);
	*ret = field;
	return 0;
}

static int eval_chain(struct exec *x, struct go_value v, const struct node *chain, guint from,
		      const struct go_value *args, unsigned n, struct go_value *ret)
{
	for (guint i = from; i < chain->names->len; i++) {
		bool last = i + 1 == chain->names->len;
		int r;

		x->at = chain;
		r = eval_field(x, v, chain->names->pdata[i], last ? args : NULL, last ? n : 0, &v);
		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}

static struct go_value *find_var(struct exec *x, const char *name)
{
	for (guint i = x->vars->len; i > 0; i--) {
		struct exec_var *v = &g_array_index(x->vars, struct exec_var, i - 1);

		if (!strcmp(v->name, name))
			return &v->value;
	}
	return NULL;
}

static void push_var(struct exec *x, const char *name, struct go_value value)
{
	struct exec_var v = {name, value};

	g_array_append_val(x->vars, v);
}

/* An operand that stands alone or is an argument. */
static int eval_operand(struct exec *x, struct go_value dot, const struct node *n,
			struct go_value *ret)
{
	struct go_value base;
	int r;

	x->at = n;
	switch (n->kind) {
	case N_DOT:
		*ret = dot;
		return 0;
	case N_NIL:
		*ret = go_of_json(NULL);
		return 0;
	case N_BOOL:
		*ret = exec_keep(x, &go_bool, json_boolean(n->integer));
		return 0;
	case N_INT:
		*ret = exec_keep(x, &go_int, json_integer(n->integer));
		return 0;
	case N_FLOAT:
		*ret = exec_keep(x, &go_float, json_real(n->number));
		return 0;
	case N_STRING:
		*ret = exec_keep(x, &go_string, json_string_nocheck(n->text));
		return 0;
	case N_FIELD:
		return eval_chain(x, dot, n, 0, NULL, 0, ret);
	case N_VARIABLE:
		return eval_chain(x, *find_var(x, n->names->pdata[0]), n, 1, NULL, 0, ret);
	case N_CHAIN:
		r = eval_operand(x, dot, n->pipe, &base);
		return r < 0 ? r : eval_chain(x, base, n, 0, NULL, 0, ret);
	case N_PIPE:
		return eval_pipe(x, dot, n, ret);
	case N_IDENT:
		x->command = n;
		return func_call(x, n->text, NULL, 0, ret);
	default:
		return exec_error(x, "can't evaluate command");
	}
}

/* "and" and "or" stop at the first argument that decides. */
static int eval_logic(struct exec *x, struct go_value dot, const struct node *cmd, bool stop_at,
		      const struct go_value *final, struct go_value *ret)
{
	int r = 0;

	for (guint i = 1; i < cmd->kids->len; i++) {
		r = eval_operand(x, dot, cmd->kids->pdata[i], ret);
		if (r < 0 || go_truth(*ret) == stop_at)
			return r;
	}
	if (final)
		*ret = *final;
	else if (cmd->kids->len < 2)
		return exec_error(x, "wrong number of args for %s: want at least 1 got 0",
				  stop_at ? "or" : "and");
	return r;
}

static int eval_args(struct exec *x, struct go_value dot, const struct node *cmd,
		     const struct go_value *final, GArray *args)
{
	for (guint i = 1; i < cmd->kids->len; i++) {
		struct go_value v;
		int r = eval_operand(x, dot, cmd->kids->pdata[i], &v);

		if (r < 0)
			return r;
		g_array_append_val(args, v);
	}
	if (final)
		g_array_append_val(args, *final);
	return 0;
}

static int eval_command(struct exec *x, struct go_value dot, const struct node *cmd,
			const struct go_value *final, struct go_value *ret)
{
	const struct node *first = cmd->kids->pdata[0];
	g_autoptr(GArray) args = g_array_new(FALSE, FALSE, sizeof(struct go_value));
	struct go_value base = dot;
	const struct go_value *v;
	int r;

	if (first->kind == N_IDENT && (!strcmp(first->text, "and") || !strcmp(first->text, "or"))) {
		x->at = first;
		return eval_logic(x, dot, cmd, first->text[0] == 'o', final, ret);
	}
	r = eval_args(x, dot, cmd, final, args);
	if (r < 0)
		return r;
	v = (const struct go_value *)(void *)args->data;
	x->at = first;
	switch (first->kind) {
	case N_IDENT:
		x->command = cmd;
		return func_call(x, first->text, v, args->len, ret);
	case N_NIL:
		return exec_error(x, "nil is not a command");
	case N_FIELD:
		return eval_chain(x, dot, first, 0, v, args->len, ret);
	case N_CHAIN:
		r = eval_operand(x, dot, first->pipe, &base);
		return r < 0 ? r : eval_chain(x, base, first, 0, v, args->len, ret);
	case N_VARIABLE:
		if (first->names->len > 1)
			return eval_chain(x, *find_var(x, first->names->pdata[0]), first, 1, v,
					  args->len, ret);
		break;
	default:
		break;
	}
	if (args->len)
		return exec_error(x, "can't give argument to non-function %s",
				  first->text ? first->text : ".");
	return eval_operand(x, dot, first, ret);
}

static int eval_pipe(struct exec *x, struct go_value dot, const struct node *pipe,
		     struct go_value *ret)
{
	struct go_value v = {0};

	for (guint i = 0; i < pipe->kids->len; i++) {
		struct go_value out;
		int r;

		x->at = pipe;
		r = eval_command(x, dot, pipe->kids->pdata[i], i ? &v : NULL, &out);
		if (r < 0)
			return r;
		v = out;
	}
	/* A range sets its variables itself, one element at a time. */
	for (guint i = 0; i < pipe->names->len && pipe->names->len == 1; i++) {
		if (pipe->assign)
			*find_var(x, pipe->names->pdata[i]) = v;
		else
			push_var(x, pipe->names->pdata[i], v);
	}
	*ret = v;
	return 0;
}

static int walk(struct exec *x, struct go_value dot, const GPtrArray *list);

static int walk_choice(struct exec *x, struct go_value dot, const struct node *n)
{
	guint mark = x->vars->len;
	struct go_value v;
	int r = eval_pipe(x, dot, n->pipe, &v);

	if (r < 0)
		return r;
	if (go_truth(v))
		r = walk(x, n->kind == N_WITH ? v : dot, n->kids);
	else if (n->otherwise)
		r = walk(x, dot, n->otherwise);
	g_array_set_size(x->vars, mark);
	return r;
}

/* One turn of a range: KEY is the index or the map key. */
static int range_turn(struct exec *x, const struct node *n, struct go_value key,
		      struct go_value value)
{
	guint mark = x->vars->len;
	const GPtrArray *names = n->pipe->names;
	int r;

	for (guint i = 0; i < names->len; i++) {
		struct go_value v = i + 1 == names->len ? value : key;

		if (n->pipe->assign)
			*find_var(x, names->pdata[i]) = v;
		else
			push_var(x, names->pdata[i], v);
	}
	r = walk(x, value, n->kids);
	g_array_set_size(x->vars, mark);
	return r;
}

static int range_over(struct exec *x, const struct node *n, struct go_value v, ssize_t count)
{
	g_autoptr(GPtrArray) keys = go_kind_of(v) == GO_MAP ? go_keys(v) : NULL;

	for (ssize_t i = 0; i < count; i++) {
		struct go_value key, value;
		int r;

		if (keys) {
			key = exec_keep(x, &go_string, json_string(keys->pdata[i]));
			value = go_field(v, keys->pdata[i]);
		} else {
			key = exec_keep(x, &go_int, json_integer(i));
			value = go_element(v, i);
		}
		r = range_turn(x, n, key, value);
		if (r < 0)
			return r;
		if (r == FLOW_BREAK)
			break;
	}
	return 0;
}

static int walk_range(struct exec *x, struct go_value dot, const struct node *n)
{
	guint mark = x->vars->len;
	enum go_kind kind;
	struct go_value v;
	ssize_t count;
	int r = eval_pipe(x, dot, n->pipe, &v);

	if (r < 0)
		return r;
	g_array_set_size(x->vars, mark); /* the variable of {{range $x := ...}} is per element */
	kind = go_kind_of(v);
	if (kind != GO_SLICE && kind != GO_MAP && (kind != GO_ANY || v.j)) {
		g_autoptr(GString) text = g_string_new(NULL);

		go_print(v, text);
		return exec_error(x, "range can't iterate over %s", text->str);
	}
	count = kind == GO_ANY ? 0 : go_len(v);
	if (count > 0)
		return range_over(x, n, v, count);
	return n->otherwise ? walk(x, dot, n->otherwise) : 0;
}

static int walk_template(struct exec *x, struct go_value dot, const struct node *n)
{
	GPtrArray *body = g_hash_table_lookup(x->tree->defined, n->text);
	struct go_value arg = go_of_json(NULL);
	g_autoptr(GArray) vars = NULL;
	GArray *outer = x->vars;
	const char *name = x->name;
	int r = 0;

	x->at = n;
	if (!body)
		return exec_error(x, "template \"%s\" not defined", n->text);
	if (x->depth++ >= DEPTH_MAX)
		return exec_error(x, "exceeded maximum template depth (%d)", DEPTH_MAX);
	if (n->pipe)
		r = eval_pipe(x, dot, n->pipe, &arg);
	if (r < 0)
		return r;
	vars = g_array_new(FALSE, FALSE, sizeof(struct exec_var));
	x->vars = vars;
	x->name = n->text;
	push_var(x, "$", arg);
	r = walk(x, arg, body);
	x->vars = outer;
	x->name = name;
	x->depth--;
	return r;
}

static int walk_node(struct exec *x, struct go_value dot, const struct node *n)
{
	struct go_value v;
	int r;

	switch (n->kind) {
	case N_TEXT:
		g_string_append(x->out, n->text);
		return 0;
	case N_ACTION:
		r = eval_pipe(x, dot, n->pipe, &v);
		if (r < 0)
			return r;
		/* A nil interface does not survive a pipeline; a nil pointer does. */
		if (v.type == &go_any && go_kind_of(v) == GO_ANY)
			v.type = NULL;
		if (!n->pipe->names->len)
			go_print(v, x->out);
		return 0;
	case N_IF:
	case N_WITH:
		return walk_choice(x, dot, n);
	case N_RANGE:
		return walk_range(x, dot, n);
	case N_TEMPLATE:
		return walk_template(x, dot, n);
	case N_BREAK:
		return FLOW_BREAK;
	case N_CONTINUE:
		return FLOW_CONTINUE;
	default:
		return 0;
	}
}

static int walk(struct exec *x, struct go_value dot, const GPtrArray *list)
{
	int r = 0;

	for (guint i = 0; i < list->len && !r; i++)
		r = walk_node(x, dot, list->pdata[i]);
	return r;
}

int tree_execute(struct tree *t, struct go_value data, GString *out)
{
	g_autoptr(GArray) vars = g_array_new(FALSE, FALSE, sizeof(struct exec_var));
	g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
	struct exec x = {.tree = t, .out = out, .vars = vars, .made = made, .name = t->name};

	push_var(&x, "$", data);
	return walk(&x, data, t->root);
}
