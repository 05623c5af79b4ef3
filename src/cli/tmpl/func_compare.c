/* SPDX-License-Identifier: Apache-2.0 */
/* eq, ne, lt, le, gt, ge: basic values, of one kind or both numbers. */
#include "cli/tmpl/call.h"

#include <string.h>

/* How two values of one basic kind compare: -1, 0, 1. */
static int compare(struct call *c, struct go_value a, struct go_value b, int *ret)
{
	enum go_kind ka = go_kind_of(a), kb = go_kind_of(b);

	if ((ka == GO_INT || ka == GO_FLOAT) && (kb == GO_INT || kb == GO_FLOAT)) {
		double x = json_number_value(a.j), y = json_number_value(b.j);

		*ret = (x > y) - (x < y);
		return 0;
	}
	if (ka != kb)
		return call_error(c, "incompatible types for comparison");
	if (ka == GO_STRING || ka == GO_TIME) {
		const char *x = json_string_value(a.j), *y = json_string_value(b.j);

		*ret = strcmp(x ? x : "", y ? y : "");
		return 0;
	}
	if (ka == GO_BOOL || ka == GO_ANY) {
		*ret = json_is_true(a.j) - json_is_true(b.j);
		return 0;
	}
	return call_error(c, "non-comparable type %s: %s", go_type_name(a), go_type_name(b));
}

int func_eq(struct call *c)
{
	for (unsigned i = 1; i < c->n; i++) {
		int order, r = compare(c, c->args[0], c->args[i], &order);

		if (r < 0)
			return r;
		if (!order)
			return call_give_bool(c, true);
	}
	return call_give_bool(c, false);
}

int func_ne(struct call *c)
{
	int order, r = compare(c, c->args[0], c->args[1], &order);

	return r < 0 ? r : call_give_bool(c, order != 0);
}

static int ordered(struct call *c, int *ret)
{
	enum go_kind k = go_kind_of(c->args[0]);

	if (k != GO_INT && k != GO_FLOAT && k != GO_STRING)
		return call_error(c, "invalid type for comparison");
	return compare(c, c->args[0], c->args[1], ret);
}

int func_lt(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : call_give_bool(c, order < 0);
}

int func_le(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : call_give_bool(c, order <= 0);
}

int func_gt(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : call_give_bool(c, order > 0);
}

int func_ge(struct call *c)
{
	int order, r = ordered(c, &order);

	return r < 0 ? r : call_give_bool(c, order >= 0);
}
