/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a text/template. */
#pragma once

#include "base/err.h"

enum node_kind {
	/* statements */
	N_TEXT,
	N_ACTION,
	N_IF,
	N_WITH,
	N_RANGE,
	N_TEMPLATE,
	N_BREAK,
	N_CONTINUE,
	/* expressions */
	N_PIPE,	   /* kids: commands; names: declared variables */
	N_COMMAND, /* kids: operands */
	N_DOT,
	N_NIL,
	N_BOOL,
	N_INT,
	N_FLOAT,
	N_STRING,
	N_FIELD,    /* names: .A.B */
	N_VARIABLE, /* names: $x .A .B */
	N_IDENT,    /* a function */
	N_CHAIN,    /* (pipe).A.B */
};

struct node {
	enum node_kind kind;
	size_t pos;	 /* in the source, as Go reports it */
	char *text;	 /* of texts, strings, functions, called templates; as written: numbers */
	int64_t integer; /* of booleans and integers */
	double number;
	bool assign;	      /* of a pipe: "=" instead of ":=" */
	struct node *pipe;    /* of statements; the base of a chain */
	GPtrArray *kids;      /* statements inside, commands, operands */
	GPtrArray *otherwise; /* statements of {{else}}, or NULL */
	GPtrArray *names;     /* borrowed from tree->strings */
};

struct tree {
	char *name, *source;
	GPtrArray *nodes;    /* owns every node */
	GPtrArray *root;     /* statements */
	GHashTable *defined; /* name -> GPtrArray of statements, of {{define}} */
};

int tree_parse(const char *name, const char *source, struct tree **ret) MUST_CHECK;
void tree_free(struct tree **t);

/* The node as Go writes it in "executing ... at <NODE>". */
void node_print(const struct node *n, GString *to);

/* Is there a function of that name?  (funcs.c) */
bool func_exists(const char *name);
