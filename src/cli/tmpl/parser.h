/* SPDX-License-Identifier: Apache-2.0 */
/* What parses statements (parse.c) and what parses expressions (parse_pipe.c) share. */
#pragma once

#include "cli/tmpl/lex.h"
#include "cli/tmpl/parse.h"

#define PARSER_DEPTH_MAX 200 /* nested parentheses and blocks */

struct parser {
	struct tree *tree;
	GArray *tokens;
	guint at;
	GPtrArray *vars; /* names in scope, borrowed */
	unsigned loops, depth;
};

/* A node that the tree owns. */
struct node *parser_node(struct parser *p, enum node_kind kind, size_t pos);

/* The next token, borrowed; T_EOF is never passed.  "solid": behind blanks. */
struct token *parser_peek(struct parser *p);
struct token *parser_next(struct parser *p);
struct token *parser_peek_solid(struct parser *p);
struct token *parser_next_solid(struct parser *p);

/* Errors in Go's words, with the line of T. */
int parser_error(struct parser *p, const struct token *t, const char *fmt, ...) PRINTF_LIKE(3, 4);
int parser_unexpected(struct parser *p, const struct token *t, const char *context);

/* A pipeline up to END, which is taken; CONTEXT is for errors, "range" may declare two variables.
 */
int parse_pipe(struct parser *p, const char *context, enum token_kind end, struct node **ret)
	MUST_CHECK;
