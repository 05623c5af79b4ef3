/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/store.h"

/* Gives DB's tables the columns that SCHEMAS have and they have not.  Within a transaction. */
int store_add_columns(sqlite3 *db, const struct store_schema *schemas, unsigned n) MUST_CHECK;
