/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a list of struct go_field, for the files that have one: a letter for each Go type, K for
 * any.  KEY is the name in JSON; without it, that is Go's.
 */
#pragma once

#include "cli/tmpl/value.h"

#define K(name_, key_, type_)                                                                      \
	{                                                                                          \
		.name = name_, .key = key_, .type = type_                                          \
	}
#define X(name_, type_) K(name_, NULL, type_)
#define S(name_)	X(name_, &go_string)
#define I(name_)	X(name_, &go_int)
#define B(name_)	X(name_, &go_bool)
#define T(name_)	X(name_, &go_time)
#define L(name_)	X(name_, &go_strings)
#define M(name_)	X(name_, &go_string_map)
#define SK(name_, key_) K(name_, key_, &go_string)
#define IK(name_, key_) K(name_, key_, &go_int)

#define STRUCT(name_, go_, ...)                                                                    \
	static const struct go_field name_##_fields[] = {__VA_ARGS__, {}};                         \
	static const struct go_type name_ = {go_, GO_STRUCT, NULL, name_##_fields}
