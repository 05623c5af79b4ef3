/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of text/template. */
#pragma once

#include "base/err.h"

enum token_kind {
	T_EOF,
	T_TEXT,
	T_LEFT,	 /* "{{" */
	T_RIGHT, /* "}}" */
	T_SPACE,
	T_DOT,
	T_FIELD,    /* ".Name", text without the dot */
	T_VARIABLE, /* "$" or "$name" */
	T_IDENT,
	T_KEYWORD, /* if else end range with define template block break continue */
	T_BOOL,
	T_NIL,
	T_NUMBER,
	T_CHAR,
	T_STRING, /* unquoted already */
	T_PIPE,
	T_LPAREN,
	T_RPAREN,
	T_DECLARE, /* ":=" */
	T_ASSIGN,  /* "=" */
	T_COMMA,
};

struct token {
	enum token_kind kind;
	size_t pos, end; /* in the source */
	char *text;
};

/* All tokens of SOURCE, the last one T_EOF; g_array_unref() frees.  NAME is for errors. */
int lex_template(const char *name, const char *source, GArray **ret) MUST_CHECK;

/* 1 + the newlines before POS. */
unsigned lex_line(const char *source, size_t pos);
