/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go templates (text/template) over struct go_value.
 *
 *	CLEANUP(tree_free) struct tree *t = NULL;
 *
 *	r = tree_parse("inspect", "{{range .}}{{.Id}}{{end}}", &t);
 *	r = tree_execute(t, data, out);		// OUT also holds what came before an error
 */
#pragma once

#include "cli/tmpl/parse.h"
#include "cli/tmpl/value.h"

int tree_execute(struct tree *t, struct go_value data, GString *out) MUST_CHECK;

/* A running template. */
struct exec {
	struct tree *tree;
	GString *out;
	GArray *vars;		    /* struct exec_var */
	GPtrArray *made;	    /* json_t * that live until the end */
	const struct node *at;	    /* for errors */
	const struct node *command; /* whose function runs */
	const char *name;	    /* of the template that runs: the tree's or a defined one */
	unsigned depth;
};

/* Takes J over until the template ends. */
struct go_value exec_keep(struct exec *x, const struct go_type *type, json_t *j);

/* "template: ps:1:13: executing "ps" at <.X>: ..." */
int exec_error(struct exec *x, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* funcs.c: calls the function NAME with all its arguments evaluated ("and" and "or" apart). */
int func_call(struct exec *x, const char *name, const struct go_value *args, unsigned n,
	      struct go_value *ret) MUST_CHECK;
/* printf.c: fmt.Sprintf. */
void go_sprintf(const char *fmt, const struct go_value *args, unsigned n, GString *to);
