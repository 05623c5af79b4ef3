/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tmpl/parse.h"

#include "cli/tmpl/lex.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200 /* nested parentheses and blocks */

struct parser {
	struct tree *tree;
	GArray *tokens;
	guint at;
	GPtrArray *vars; /* names in scope, borrowed */
	unsigned loops, depth;
};

static void node_free(void *data)
{
	struct node *n = data;

	g_free(n->text);
	if (n->kids)
		g_ptr_array_unref(n->kids);
	if (n->otherwise)
		g_ptr_array_unref(n->otherwise);
	if (n->names)
		g_ptr_array_unref(n->names);
	g_free(n);
}

void tree_free(struct tree **t)
{
	if (!*t)
		return;
	g_free((*t)->name);
	g_free((*t)->source);
	if ((*t)->root)
		g_ptr_array_unref((*t)->root);
	g_hash_table_unref((*t)->defined);
	g_ptr_array_unref((*t)->nodes);
	g_free(*t);
	*t = NULL;
}

static struct node *new_node(struct parser *p, enum node_kind kind, size_t pos)
{
	struct node *n = g_new0(struct node, 1);

	n->kind = kind;
	n->pos = pos;
	g_ptr_array_add(p->tree->nodes, n);
	return n;
}

static struct token *peek(struct parser *p)
{
	return &g_array_index(p->tokens, struct token, p->at);
}

static struct token *next(struct parser *p)
{
	struct token *t = peek(p);

	if (t->kind != T_EOF)
		p->at++;
	return t;
}

static struct token *peek_solid(struct parser *p)
{
	while (peek(p)->kind == T_SPACE)
		p->at++;
	return peek(p);
}

static struct token *next_solid(struct parser *p)
{
	peek_solid(p);
	return next(p);
}

static int fail(struct parser *p, const struct token *t, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(struct parser *p, const struct token *t, const char *fmt, ...)
{
	g_autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	return err_set(EINVAL, "template: %s:%u: %s", p->tree->name,
		       lex_line(p->tree->source, t->pos), what);
}

static int unexpected(struct parser *p, const struct token *t, const char *context)
{
	g_autofree char *written = g_strndup(p->tree->source + t->pos, t->end - t->pos);

	if (t->kind == T_EOF)
		return fail(p, t, "unexpected EOF");
	if (t->kind == T_KEYWORD)
		return fail(p, t, "unexpected <%s> in %s", written, context);
	if (strlen(written) > 10)
		return fail(p, t, "unexpected \"%.10s\"... in %s", written, context);
	return fail(p, t, "unexpected \"%s\" in %s", written, context);
}

static int parse_pipe(struct parser *p, const char *context, enum token_kind end,
		      struct node **ret);

static int parse_number(struct parser *p, struct token *t, struct node **ret)
{
	struct node *n = new_node(p, N_INT, t->pos);
	char *end;

	n->text = g_strdup(t->text);
	errno = 0;
	n->integer = g_ascii_strtoll(t->text, &end, 0);
	if (*end) {
		n->kind = N_FLOAT;
		n->number = g_ascii_strtod(t->text, &end);
	}
	if (*end || errno)
		return fail(p, t, "bad number syntax: \"%s\"", t->text);
	*ret = n;
	return 0;
}

static struct node *named(struct parser *p, enum node_kind kind, struct token *t)
{
	struct node *n = new_node(p, kind, t->pos);

	n->names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(n->names, g_strdup(t->text));
	return n;
}

static bool variable_known(struct parser *p, const char *name)
{
	for (guint i = 0; i < p->vars->len; i++)
		if (!strcmp(p->vars->pdata[i], name))
			return true;
	return false;
}

static int parse_parens(struct parser *p, struct node **ret)
{
	int r;

	if (p->depth++ > DEPTH_MAX)
		return fail(p, peek(p), "max expression depth exceeded");
	r = parse_pipe(p, "parenthesized pipeline", T_RPAREN, ret);
	p->depth--;
	return r;
}

/* 0 with *RET NULL: the next token begins no operand. */
static int parse_term(struct parser *p, struct node **ret)
{
	struct token *t = next_solid(p);
	struct node *n = NULL;

	*ret = NULL;
	switch (t->kind) {
	case T_IDENT:
		if (!func_exists(t->text))
			return fail(p, t, "function \"%s\" not defined", t->text);
		n = new_node(p, N_IDENT, t->pos);
		n->text = g_strdup(t->text);
		break;
	case T_DOT:
		n = new_node(p, N_DOT, t->pos);
		break;
	case T_NIL:
		n = new_node(p, N_NIL, t->pos);
		break;
	case T_VARIABLE:
		if (!variable_known(p, t->text))
			return fail(p, t, "undefined variable \"%s\"", t->text);
		n = named(p, N_VARIABLE, t);
		break;
	case T_FIELD:
		n = named(p, N_FIELD, t);
		break;
	case T_BOOL:
		n = new_node(p, N_BOOL, t->pos);
		n->integer = !strcmp(t->text, "true");
		break;
	case T_CHAR:
		n = new_node(p, N_INT, t->pos);
		n->text = g_strndup(p->tree->source + t->pos, t->end - t->pos);
		n->integer = g_utf8_get_char(t->text);
		break;
	case T_NUMBER:
		return parse_number(p, t, ret);
	case T_STRING:
		n = new_node(p, N_STRING, t->pos);
		n->text = g_strdup(t->text);
		break;
	case T_LPAREN:
		return parse_parens(p, ret);
	default:
		p->at--;
		break;
	}
	*ret = n;
	return 0;
}

static int parse_operand(struct parser *p, struct node **ret)
{
	struct node *n, *chain;
	size_t pos;
	int r = parse_term(p, &n);

	*ret = n;
	if (r < 0 || !n || peek(p)->kind != T_FIELD)
		return r;
	pos = peek(p)->pos;
	if (n->kind == N_FIELD || n->kind == N_VARIABLE) {
		chain = n;
		chain->pos = pos; /* Go reports the second name's place */
	} else if (n->kind == N_BOOL || n->kind == N_STRING || n->kind == N_INT ||
		   n->kind == N_FLOAT || n->kind == N_NIL || n->kind == N_DOT) {
		return fail(p, peek(p), "unexpected . after term \"%.*s\"", (int)(pos - n->pos),
			    p->tree->source + n->pos);
	} else {
		chain = new_node(p, N_CHAIN, pos);
		chain->pipe = n;
		chain->names = g_ptr_array_new_with_free_func(g_free);
	}
	while (peek(p)->kind == T_FIELD)
		g_ptr_array_add(chain->names, g_strdup(next(p)->text));
	*ret = chain;
	return 0;
}

static int parse_command(struct parser *p, struct node **ret)
{
	struct node *cmd = new_node(p, N_COMMAND, peek_solid(p)->pos);

	cmd->kids = g_ptr_array_new();
	for (;;) {
		struct node *operand;
		struct token *t;
		int r;

		peek_solid(p);
		r = parse_operand(p, &operand);
		if (r < 0)
			return r;
		if (operand)
			g_ptr_array_add(cmd->kids, operand);
		t = next(p);
		if (t->kind == T_SPACE)
			continue;
		if (t->kind == T_RIGHT || t->kind == T_RPAREN)
			p->at--;
		else if (t->kind != T_PIPE)
			return unexpected(p, t, "operand");
		break;
	}
	if (!cmd->kids->len)
		return fail(p, peek(p), "empty command");
	*ret = cmd;
	return 0;
}

/* "$x :=", "$x =", "$i, $x :=": a pipe's variables. */
static int parse_declaration(struct parser *p, const char *context, struct node *pipe)
{
	guint start = p->at;

	pipe->names = g_ptr_array_new_with_free_func(g_free);
	for (;;) {
		struct token *name = peek_solid(p), *mark;

		if (name->kind != T_VARIABLE)
			break;
		p->at++;
		mark = peek_solid(p);
		if (mark->kind == T_DECLARE || mark->kind == T_ASSIGN) {
			p->at++;
			pipe->assign = mark->kind == T_ASSIGN;
			if (pipe->assign && !variable_known(p, name->text))
				return fail(p, name, "undefined variable \"%s\"", name->text);
			g_ptr_array_add(pipe->names, g_strdup(name->text));
			if (!pipe->assign)
				for (guint i = 0; i < pipe->names->len; i++)
					g_ptr_array_add(p->vars, pipe->names->pdata[i]);
			return 0;
		}
		if (mark->kind != T_COMMA || pipe->names->len || strcmp(context, "range"))
			break;
		p->at++;
		g_ptr_array_add(pipe->names, g_strdup(name->text));
	}
	if (pipe->names->len)
		return fail(p, peek(p), "range can only initialize variables");
	p->at = start;
	return 0;
}

static int check_pipe(struct parser *p, const struct node *pipe, const char *context)
{
	if (!pipe->kids->len)
		return fail(p, peek(p), "missing value for %s", context);
	for (guint i = 1; i < pipe->kids->len; i++) {
		struct node *cmd = pipe->kids->pdata[i], *first = cmd->kids->pdata[0];

		switch (first->kind) {
		case N_BOOL:
		case N_DOT:
		case N_NIL:
		case N_INT:
		case N_FLOAT:
		case N_STRING:
			return fail(p, peek(p), "non executable command in pipeline stage %u",
				    i + 1);
		default:
			break;
		}
	}
	return 0;
}

static int parse_pipe(struct parser *p, const char *context, enum token_kind end, struct node **ret)
{
	struct node *pipe = new_node(p, N_PIPE, peek_solid(p)->pos);
	int r;

	pipe->kids = g_ptr_array_new();
	r = parse_declaration(p, context, pipe);
	if (r < 0)
		return r;
	for (;;) {
		struct token *t = next_solid(p);
		struct node *cmd = NULL;

		if (t->kind == end)
			break;
		if (t->kind == T_EOF || t->kind == T_RIGHT || t->kind == T_RPAREN ||
		    t->kind == T_KEYWORD || t->kind == T_PIPE || t->kind == T_COMMA ||
		    t->kind == T_DECLARE || t->kind == T_ASSIGN)
			return unexpected(p, t, context);
		p->at--;
		r = parse_command(p, &cmd);
		if (r < 0)
			return r;
		g_ptr_array_add(pipe->kids, cmd);
	}
	*ret = pipe;
	return check_pipe(p, pipe, context);
}

/*
 * Statements up to {{end}} or {{else}}.  *RET_END: the token of that keyword, NULL at the end of
 * the source.
 */
static int parse_list(struct parser *p, GPtrArray *into, struct token **ret_end);

/* The rest of {{if}}, {{with}} and {{range}} behind the keyword. */
static int parse_block(struct parser *p, enum node_kind kind, size_t pos, struct node **ret)
{
	static const char *const names[] = {[N_IF] = "if", [N_WITH] = "with", [N_RANGE] = "range"};
	struct node *n = new_node(p, kind, pos), *nested;
	guint vars = p->vars->len;
	struct token *end;
	int r;

	if (p->depth++ > DEPTH_MAX)
		return fail(p, peek(p), "blocks are nested too deeply");
	r = parse_pipe(p, names[kind], T_RIGHT, &n->pipe);
	if (r < 0)
		return r;
	n->kids = g_ptr_array_new();
	p->loops += kind == N_RANGE;
	r = parse_list(p, n->kids, &end);
	p->loops -= kind == N_RANGE;
	if (r < 0)
		return r;
	if (end && !strcmp(end->text, "else")) {
		n->otherwise = g_ptr_array_new();
		if (kind != N_RANGE && peek_solid(p)->kind == T_KEYWORD &&
		    !strcmp(peek(p)->text, names[kind])) {
			size_t at = next(p)->pos;

			r = parse_block(p, kind, at, &nested); /* takes the one {{end}} */
			if (r < 0)
				return r;
			g_ptr_array_add(n->otherwise, nested);
		} else {
			if (next_solid(p)->kind != T_RIGHT)
				return unexpected(p, peek(p), "else");
			r = parse_list(p, n->otherwise, &end);
			if (r < 0)
				return r;
			if (end && !strcmp(end->text, "else"))
				return fail(p, end, "expected end; found {{else}}");
		}
	}
	if (!end)
		return fail(p, peek(p), "unexpected EOF");
	g_ptr_array_set_size(p->vars, vars);
	p->depth--;
	*ret = n;
	return 0;
}

/* {{define "x"}}...{{end}}; {{block "x" pipe}} also calls it. */
static int parse_define(struct parser *p, bool block, struct node **ret)
{
	struct token *name = next_solid(p), *end;
	GPtrArray *body;
	size_t pos = name->pos;
	int r;

	*ret = NULL;
	if (name->kind != T_STRING)
		return unexpected(p, name, block ? "block clause" : "define clause");
	if (block) {
		*ret = new_node(p, N_TEMPLATE, pos);
		(*ret)->text = g_strdup(name->text);
		r = parse_pipe(p, "block clause", T_RIGHT, &(*ret)->pipe);
		if (r < 0)
			return r;
	} else if (next_solid(p)->kind != T_RIGHT) {
		return unexpected(p, peek(p), "define clause");
	}
	body = g_ptr_array_new();
	g_hash_table_replace(p->tree->defined, g_strdup(name->text), body);
	r = parse_list(p, body, &end);
	if (r < 0)
		return r;
	if (!end || strcmp(end->text, "end"))
		return fail(p, peek(p), "unexpected EOF");
	return 0;
}

static int parse_template(struct parser *p, struct node **ret)
{
	struct token *name = next_solid(p);
	struct node *n = new_node(p, N_TEMPLATE, name->pos);

	*ret = n;
	if (name->kind != T_STRING)
		return unexpected(p, name, "template clause");
	n->text = g_strdup(name->text);
	if (peek_solid(p)->kind == T_RIGHT) {
		p->at++;
		return 0;
	}
	return parse_pipe(p, "template clause", T_RIGHT, &n->pipe);
}

static int parse_jump(struct parser *p, struct token *t, struct node **ret)
{
	if (!p->loops)
		return fail(p, t, "{{%s}} outside {{range}}", t->text);
	if (next_solid(p)->kind != T_RIGHT)
		return unexpected(p, peek(p), t->text);
	*ret = new_node(p, !strcmp(t->text, "break") ? N_BREAK : N_CONTINUE, t->pos);
	return 0;
}

static int parse_keyword(struct parser *p, struct token *t, struct node **ret)
{
	if (!strcmp(t->text, "if"))
		return parse_block(p, N_IF, t->pos, ret);
	if (!strcmp(t->text, "with"))
		return parse_block(p, N_WITH, t->pos, ret);
	if (!strcmp(t->text, "range"))
		return parse_block(p, N_RANGE, t->pos, ret);
	if (!strcmp(t->text, "define") && p->depth)
		return unexpected(p, t, "command");
	if (!strcmp(t->text, "define") || !strcmp(t->text, "block"))
		return parse_define(p, t->text[0] == 'b', ret);
	if (!strcmp(t->text, "template"))
		return parse_template(p, ret);
	return parse_jump(p, t, ret);
}

static int parse_list(struct parser *p, GPtrArray *into, struct token **ret_end)
{
	*ret_end = NULL;
	for (;;) {
		struct token *t = next(p);
		struct node *n = NULL;
		int r;

		if (t->kind == T_EOF)
			return 0;
		if (t->kind == T_TEXT) {
			n = new_node(p, N_TEXT, t->pos);
			n->text = g_strdup(t->text);
			g_ptr_array_add(into, n);
			continue;
		}
		t = peek_solid(p); /* behind "{{" */
		if (t->kind == T_KEYWORD && !strcmp(t->text, "end")) {
			p->at++;
			*ret_end = t;
			return next_solid(p)->kind == T_RIGHT ? 0 : unexpected(p, peek(p), "end");
		}
		if (t->kind == T_KEYWORD && !strcmp(t->text, "else")) {
			p->at++;
			*ret_end = t;
			return 0;
		}
		if (t->kind == T_KEYWORD) {
			p->at++;
			r = parse_keyword(p, t, &n);
		} else {
			n = new_node(p, N_ACTION, t->pos);
			r = parse_pipe(p, "command", T_RIGHT, &n->pipe);
		}
		if (r < 0)
			return r;
		if (n)
			g_ptr_array_add(into, n);
	}
}

static int parse_all(struct parser *p)
{
	struct token *end;
	int r = parse_list(p, p->tree->root, &end);

	if (r < 0)
		return r;
	return end ? fail(p, end, "unexpected {{%s}}", end->text) : 0;
}

int tree_parse(const char *name, const char *source, struct tree **ret)
{
	CLEANUP(tree_free) struct tree *t = g_new0(struct tree, 1);
	g_autoptr(GArray) tokens = NULL;
	g_autoptr(GPtrArray) vars = g_ptr_array_new();
	struct parser p = {.tree = t, .vars = vars};
	int r;

	t->name = g_strdup(name);
	t->source = g_strdup(source);
	t->nodes = g_ptr_array_new_with_free_func(node_free);
	t->root = g_ptr_array_new();
	t->defined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
					   (GDestroyNotify)g_ptr_array_unref);
	r = lex_template(name, source, &tokens);
	if (r < 0)
		return r;
	p.tokens = tokens;
	g_ptr_array_add(vars, (void *)"$");
	r = parse_all(&p);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&t);
	return 0;
}
