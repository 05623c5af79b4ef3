/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: a pipeline of commands, their operands, variables that it declares. */
#include "cli/tmpl/parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct node *parser_node(struct parser *p, enum node_kind kind, size_t pos)
{
	struct node *n = g_new0(struct node, 1);

	n->kind = kind;
	n->pos = pos;
	g_ptr_array_add(p->tree->nodes, n);
	return n;
}

struct token *parser_peek(struct parser *p)
{
	return &g_array_index(p->tokens, struct token, p->at);
}

struct token *parser_next(struct parser *p)
{
	struct token *t = parser_peek(p);

	if (t->kind != T_EOF)
		p->at++;
	return t;
}

struct token *parser_peek_solid(struct parser *p)
{
	while (parser_peek(p)->kind == T_SPACE)
		p->at++;
	return parser_peek(p);
}

struct token *parser_next_solid(struct parser *p)
{
	parser_peek_solid(p);
	return parser_next(p);
}

int parser_error(struct parser *p, const struct token *t, const char *fmt, ...)
{
	g_autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	return err_set(EINVAL, "template: %s:%u: %s", p->tree->name,
		       lex_line(p->tree->source, t->pos), what);
}

int parser_unexpected(struct parser *p, const struct token *t, const char *context)
{
	g_autofree char *written = g_strndup(p->tree->source + t->pos, t->end - t->pos);

	if (t->kind == T_EOF)
		return parser_error(p, t, "unexpected EOF");
	if (t->kind == T_KEYWORD)
		return parser_error(p, t, "unexpected <%s> in %s", written, context);
	if (strlen(written) > 10)
		return parser_error(p, t, "unexpected \"%.10s\"... in %s", written, context);
	return parser_error(p, t, "unexpected \"%s\" in %s", written, context);
}

static int parse_number(struct parser *p, struct token *t, struct node **ret)
{
	struct node *n = parser_node(p, N_INT, t->pos);
	char *end;

	n->text = g_strdup(t->text);
	errno = 0;
	n->integer = g_ascii_strtoll(t->text, &end, 0);
	if (*end) {
		n->kind = N_FLOAT;
		n->number = g_ascii_strtod(t->text, &end);
	}
	if (*end || errno)
		return parser_error(p, t, "bad number syntax: \"%s\"", t->text);
	*ret = n;
	return 0;
}

static struct node *named(struct parser *p, enum node_kind kind, struct token *t)
{
	struct node *n = parser_node(p, kind, t->pos);

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

	if (p->depth++ > PARSER_DEPTH_MAX)
		return parser_error(p, parser_peek(p), "max expression depth exceeded");
	r = parse_pipe(p, "parenthesized pipeline", T_RPAREN, ret);
	p->depth--;
	return r;
}

/* 0 with *RET NULL: the next token begins no operand. */
static int parse_term(struct parser *p, struct node **ret)
{
	struct token *t = parser_next_solid(p);
	struct node *n = NULL;

	*ret = NULL;
	switch (t->kind) {
	case T_IDENT:
		if (!func_exists(t->text))
			return parser_error(p, t, "function \"%s\" not defined", t->text);
		n = parser_node(p, N_IDENT, t->pos);
		n->text = g_strdup(t->text);
		break;
	case T_DOT:
		n = parser_node(p, N_DOT, t->pos);
		break;
	case T_NIL:
		n = parser_node(p, N_NIL, t->pos);
		break;
	case T_VARIABLE:
		if (!variable_known(p, t->text))
			return parser_error(p, t, "undefined variable \"%s\"", t->text);
		n = named(p, N_VARIABLE, t);
		break;
	case T_FIELD:
		n = named(p, N_FIELD, t);
		break;
	case T_BOOL:
		n = parser_node(p, N_BOOL, t->pos);
		n->integer = !strcmp(t->text, "true");
		break;
	case T_CHAR:
		n = parser_node(p, N_INT, t->pos);
		n->text = g_strndup(p->tree->source + t->pos, t->end - t->pos);
		n->integer = g_utf8_get_char(t->text);
		break;
	case T_NUMBER:
		return parse_number(p, t, ret);
	case T_STRING:
		n = parser_node(p, N_STRING, t->pos);
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
	if (r < 0 || !n || parser_peek(p)->kind != T_FIELD)
		return r;
	pos = parser_peek(p)->pos;
	if (n->kind == N_FIELD || n->kind == N_VARIABLE) {
		chain = n;
		chain->pos = pos; /* Go reports the second name's place */
	} else if (n->kind == N_BOOL || n->kind == N_STRING || n->kind == N_INT ||
		   n->kind == N_FLOAT || n->kind == N_NIL || n->kind == N_DOT) {
		return parser_error(p, parser_peek(p), "unexpected . after term \"%.*s\"",
				    (int)(pos - n->pos), p->tree->source + n->pos);
	} else {
		chain = parser_node(p, N_CHAIN, pos);
		chain->pipe = n;
		chain->names = g_ptr_array_new_with_free_func(g_free);
	}
	while (parser_peek(p)->kind == T_FIELD)
		g_ptr_array_add(chain->names, g_strdup(parser_next(p)->text));
	*ret = chain;
	return 0;
}

static int parse_command(struct parser *p, struct node **ret)
{
	struct node *cmd = parser_node(p, N_COMMAND, parser_peek_solid(p)->pos);

	cmd->kids = g_ptr_array_new();
	for (;;) {
		struct node *operand;
		struct token *t;
		int r;

		parser_peek_solid(p);
		r = parse_operand(p, &operand);
		if (r < 0)
			return r;
		if (operand)
			g_ptr_array_add(cmd->kids, operand);
		t = parser_next(p);
		if (t->kind == T_SPACE)
			continue;
		if (t->kind == T_RIGHT || t->kind == T_RPAREN)
			p->at--;
		else if (t->kind != T_PIPE)
			return parser_unexpected(p, t, "operand");
		break;
	}
	if (!cmd->kids->len)
		return parser_error(p, parser_peek(p), "empty command");
	*ret = cmd;
	return 0;
}

/* "$x :=", "$x =", "$i, $x :=": a pipe's variables. */
static int parse_declaration(struct parser *p, const char *context, struct node *pipe)
{
	guint start = p->at;

	pipe->names = g_ptr_array_new_with_free_func(g_free);
	for (;;) {
		struct token *name = parser_peek_solid(p), *mark;

		if (name->kind != T_VARIABLE)
			break;
		p->at++;
		mark = parser_peek_solid(p);
		if (mark->kind == T_DECLARE || mark->kind == T_ASSIGN) {
			p->at++;
			pipe->assign = mark->kind == T_ASSIGN;
			if (pipe->assign && !variable_known(p, name->text))
				return parser_error(p, name, "undefined variable \"%s\"",
						    name->text);
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
		return parser_error(p, parser_peek(p), "range can only initialize variables");
	p->at = start;
	return 0;
}

static int check_pipe(struct parser *p, const struct node *pipe, const char *context)
{
	if (!pipe->kids->len)
		return parser_error(p, parser_peek(p), "missing value for %s", context);
	for (guint i = 1; i < pipe->kids->len; i++) {
		struct node *cmd = pipe->kids->pdata[i], *first = cmd->kids->pdata[0];

		switch (first->kind) {
		case N_BOOL:
		case N_DOT:
		case N_NIL:
		case N_INT:
		case N_FLOAT:
		case N_STRING:
			return parser_error(p, parser_peek(p),
					    "non executable command in pipeline stage %u", i + 1);
		default:
			break;
		}
	}
	return 0;
}

int parse_pipe(struct parser *p, const char *context, enum token_kind end, struct node **ret)
{
	struct node *pipe = parser_node(p, N_PIPE, parser_peek_solid(p)->pos);
	int r;

	pipe->kids = g_ptr_array_new();
	r = parse_declaration(p, context, pipe);
	if (r < 0)
		return r;
	for (;;) {
		struct token *t = parser_next_solid(p);
		struct node *cmd = NULL;

		if (t->kind == end)
			break;
		if (t->kind == T_EOF || t->kind == T_RIGHT || t->kind == T_RPAREN ||
		    t->kind == T_KEYWORD || t->kind == T_PIPE || t->kind == T_COMMA ||
		    t->kind == T_DECLARE || t->kind == T_ASSIGN)
			return parser_unexpected(p, t, context);
		p->at--;
		r = parse_command(p, &cmd);
		if (r < 0)
			return r;
		g_ptr_array_add(pipe->kids, cmd);
	}
	*ret = pipe;
	return check_pipe(p, pipe, context);
}
