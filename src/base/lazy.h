/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that few commands need are loaded by those that do. */
#pragma once

#include "base/base.h"

struct lazy_symbol {
	const char *name;
	void *at; /* a pointer to a function */
};

/*
 * Fills all pointers.  A library that is not there ends the program with one line and status 125,
 * as the dynamic loader would have done earlier.
 */
void lazy_load(const char *library, const struct lazy_symbol *v, unsigned n);
