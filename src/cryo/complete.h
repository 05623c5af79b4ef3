/* SPDX-License-Identifier: Apache-2.0 */
/* What may come next on a command line, for shells: `cryo __complete WORDS...`. */
#pragma once

#include "cryo/session.h"

/*
 * WORDS are those behind `cryo`, the last one (which may be empty) is being typed.  A line each to
 * standard output; none: a file, or anything.
 */
void complete_print(const struct action *const *actions, size_t n, int nwords, char **words);
