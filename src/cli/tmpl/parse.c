/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: text, actions, blocks, definitions. */
#include "cli/tmpl/parser.h"

#include <string.h>

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

/*
 * Statements up to {{end}} or {{else}}.  *RET_END: the token of that keyword, NULL at the end of
 * the source.
 */
static int parse_list(struct parser *p, GPtrArray *into, struct token **ret_end);

/* The rest of {{if}}, {{with}} and {{range}} behind the keyword. */
static int parse_block(struct parser *p, enum node_kind kind, size_t pos, struct node **ret)
{
	static const char *const names[] = {[N_IF] = "if", [N_WITH] = "with", [N_RANGE] = "range"};
	struct node *n = parser_node(p, kind, pos), *nested;
	guint vars = p->vars->len;
	struct token *end;
	int r;

	if (p->depth++ > PARSER_DEPTH_MAX)
		return parser_error(p, parser_peek(p), "blocks are nested too deeply");
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
		if (kind != N_RANGE && parser_peek_solid(p)->kind == T_KEYWORD &&
		    !strcmp(parser_peek(p)->text, names[kind])) {
			size_t at = parser_next(p)->pos;

			r = parse_block(p, kind, at, &nested); /* takes the one {{end}} */
			if (r < 0)
				return r;
			g_ptr_array_add(n->otherwise, nested);
		} else {
			if (parser_next_solid(p)->kind != T_RIGHT)
				return parser_unexpected(p, parser_peek(p), "else");
			r = parse_list(p, n->otherwise, &end);
			if (r < 0)
				return r;
			if (end && !strcmp(end->text, "else"))
				return parser_error(p, end, "expected end; found {{else}}");
		}
	}
	if (!end)
		return parser_error(p, parser_peek(p), "unexpected EOF");
	g_ptr_array_set_size(p->vars, vars);
	p->depth--;
	*ret = n;
	return 0;
}

/* {{define "x"}}...{{end}}; {{block "x" pipe}} also calls it. */
static int parse_define(struct parser *p, bool block, struct node **ret)
{
	struct token *name = parser_next_solid(p), *end;
	GPtrArray *body;
	size_t pos = name->pos;
	int r;

	*ret = NULL;
	if (name->kind != T_STRING)
		return parser_unexpected(p, name, block ? "block clause" : "define clause");
	if (block) {
		*ret = parser_node(p, N_TEMPLATE, pos);
		(*ret)->text = g_strdup(name->text);
		r = parse_pipe(p, "block clause", T_RIGHT, &(*ret)->pipe);
		if (r < 0)
			return r;
	} else if (parser_next_solid(p)->kind != T_RIGHT) {
		return parser_unexpected(p, parser_peek(p), "define clause");
	}
	body = g_ptr_array_new();
	g_hash_table_replace(p->tree->defined, g_strdup(name->text), body);
	r = parse_list(p, body, &end);
	if (r < 0)
		return r;
	if (!end || strcmp(end->text, "end"))
		return parser_error(p, parser_peek(p), "unexpected EOF");
	return 0;
}

static int parse_template(struct parser *p, struct node **ret)
{
	struct token *name = parser_next_solid(p);
	struct node *n = parser_node(p, N_TEMPLATE, name->pos);

	*ret = n;
	if (name->kind != T_STRING)
		return parser_unexpected(p, name, "template clause");
	n->text = g_strdup(name->text);
	if (parser_peek_solid(p)->kind == T_RIGHT) {
		p->at++;
		return 0;
	}
	return parse_pipe(p, "template clause", T_RIGHT, &n->pipe);
}

static int parse_jump(struct parser *p, struct token *t, struct node **ret)
{
	if (!p->loops)
		return parser_error(p, t, "{{%s}} outside {{range}}", t->text);
	if (parser_next_solid(p)->kind != T_RIGHT)
		return parser_unexpected(p, parser_peek(p), t->text);
	*ret = parser_node(p, !strcmp(t->text, "break") ? N_BREAK : N_CONTINUE, t->pos);
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
		return parser_unexpected(p, t, "command");
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
		struct token *t = parser_next(p);
		struct node *n = NULL;
		int r;

		if (t->kind == T_EOF)
			return 0;
		if (t->kind == T_TEXT) {
			n = parser_node(p, N_TEXT, t->pos);
			n->text = g_strdup(t->text);
			g_ptr_array_add(into, n);
			continue;
		}
		t = parser_peek_solid(p); /* behind "{{" */
		if (t->kind == T_KEYWORD && !strcmp(t->text, "end")) {
			p->at++;
			*ret_end = t;
			return parser_next_solid(p)->kind == T_RIGHT
				       ? 0
				       : parser_unexpected(p, parser_peek(p), "end");
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
			n = parser_node(p, N_ACTION, t->pos);
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
	return end ? parser_error(p, end, "unexpected {{%s}}", end->text) : 0;
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
