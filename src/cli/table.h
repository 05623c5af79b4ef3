/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns: Go's text/tabwriter with minimum width 12, two blanks of padding.  A column is a run of
 * lines that have a cell there; the last cell of a line belongs to none and is not padded.
 */
#pragma once

#include "base/base.h"

/* TEXT has cells divided by tabs and lines ended by newlines.  The caller frees. */
char *table_align(const char *text);
