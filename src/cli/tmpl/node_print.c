/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions back to text, for error messages. */
#include "cli/tmpl/parse.h"

static void print_list(const GPtrArray *kids, const char *between, GString *to)
{
	for (guint i = 0; i < kids->len; i++) {
		const struct node *kid = kids->pdata[i];

		g_string_append(to, i ? between : "");
		if (kid->kind == N_PIPE)
			g_string_append_c(to, '(');
		node_print(kid, to);
		if (kid->kind == N_PIPE)
			g_string_append_c(to, ')');
	}
}

static void print_names(const struct node *n, GString *to)
{
	for (guint i = 0; i < n->names->len; i++) {
		if (i || n->kind != N_VARIABLE)
			g_string_append_c(to, '.');
		g_string_append(to, n->names->pdata[i]);
	}
}

void node_print(const struct node *n, GString *to)
{
	g_autofree char *escaped = NULL;

	switch (n->kind) {
	case N_DOT:
		g_string_append_c(to, '.');
		break;
	case N_NIL:
		g_string_append(to, "nil");
		break;
	case N_BOOL:
		g_string_append(to, n->integer ? "true" : "false");
		break;
	case N_STRING:
		escaped = g_strescape(n->text, NULL);
		g_string_append_printf(to, "\"%s\"", escaped);
		break;
	case N_FIELD:
	case N_VARIABLE:
		print_names(n, to);
		break;
	case N_CHAIN:
		g_string_append_c(to, '(');
		node_print(n->pipe, to);
		g_string_append_c(to, ')');
		print_names(n, to);
		break;
	case N_COMMAND:
		print_list(n->kids, " ", to);
		break;
	case N_PIPE:
		for (guint i = 0; i < n->names->len; i++)
			g_string_append_printf(to, "%s%s", i ? ", " : "",
					       (char *)n->names->pdata[i]);
		if (n->names->len)
			g_string_append(to, n->assign ? " = " : " := ");
		print_list(n->kids, " | ", to);
		break;
	case N_TEMPLATE:
		g_string_append_printf(to, "{{template \"%s\"}}", n->text);
		break;
	default:
		if (n->text)
			g_string_append(to, n->text);
		else if (n->pipe)
			node_print(n->pipe, to);
		break;
	}
}
