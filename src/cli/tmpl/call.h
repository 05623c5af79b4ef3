/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of template functions: between funcs.c, which has their table, and the files they are in.
 */
#pragma once

#include "cli/tmpl/exec.h"

struct call {
	struct exec *x;
	const char *name;
	const struct go_value *args; /* as many as the table allows */
	unsigned n;
	struct go_value *ret;
};

/* A described error: what the function says of its arguments. */
int call_error(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Argument I has another type than WANTED; told at the argument, a constant by its text. */
int call_wrong_type(struct call *c, unsigned i, const char *wanted, const char *wanted_constant);

/* Argument I; a string is borrowed. */
int call_want_string(struct call *c, unsigned i, const char **ret) MUST_CHECK;
int call_want_int(struct call *c, unsigned i, int64_t *ret) MUST_CHECK;

/* The result; 0. */
int call_give_string(struct call *c, const char *text);
int call_give_bool(struct call *c, bool value);

/* All arguments as fmt.Sprint, or with LINE fmt.Sprintln, prints them. */
void call_print(const struct call *c, bool line, GString *to);

/* func_compare.c */
int func_eq(struct call *c);
int func_ne(struct call *c);
int func_lt(struct call *c);
int func_le(struct call *c);
int func_gt(struct call *c);
int func_ge(struct call *c);
/* func_text.c */
int func_print(struct call *c);
int func_println(struct call *c);
int func_printf(struct call *c);
int func_html(struct call *c);
int func_js(struct call *c);
int func_urlquery(struct call *c);
int func_json(struct call *c);
int func_lower(struct call *c);
int func_upper(struct call *c);
int func_title(struct call *c);
int func_join(struct call *c);
int func_split(struct call *c);
int func_pad(struct call *c);
int func_truncate(struct call *c);
