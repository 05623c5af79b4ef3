/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns that this version has and the file has not.  The wanted shape is made in memory from the
 * same statements and compared; tables and columns are only ever added, so an older version goes on
 * working with the file.
 */
#include "engine/store_migrate.h"

#include <errno.h>

static int broken(sqlite3 *db, const char *sql)
{
	return err_set(EIO, "database: %s: %s", sql, sqlite3_errmsg(db));
}

static GHashTable *columns_of(sqlite3 *db, const char *table)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	sqlite3_stmt *q = NULL;

	if (sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info(?)", -1, &q, NULL) ==
	    SQLITE_OK) {
		sqlite3_bind_text(q, 1, table, -1, SQLITE_TRANSIENT);
		while (sqlite3_step(q) == SQLITE_ROW)
			g_hash_table_add(names, g_strdup((const char *)sqlite3_column_text(q, 0)));
	}
	sqlite3_finalize(q);
	return names;
}

static int add_column(sqlite3 *db, const char *table, sqlite3_stmt *column)
{
	const char *fallback = (const char *)sqlite3_column_text(column, 2);
	g_autofree char *sql =
		g_strdup_printf("ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s%s%s", table,
				sqlite3_column_text(column, 0), sqlite3_column_text(column, 1),
				fallback ? " DEFAULT " : "", fallback ? fallback : "");

	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : broken(db, sql);
}

static int compare_table(sqlite3 *db, sqlite3 *wanted, const char *table)
{
	g_autoptr(GHashTable) have = columns_of(db, table);
	sqlite3_stmt *q = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(wanted, "SELECT name, type, dflt_value FROM pragma_table_info(?)",
			       -1, &q, NULL) != SQLITE_OK)
		return broken(wanted, "pragma_table_info");
	sqlite3_bind_text(q, 1, table, -1, SQLITE_TRANSIENT);
	/* A table that is missing altogether is made by the statements themselves. */
	while (r == 0 && g_hash_table_size(have) && sqlite3_step(q) == SQLITE_ROW)
		if (!g_hash_table_contains(have, sqlite3_column_text(q, 0)))
			r = add_column(db, table, q);
	sqlite3_finalize(q);
	return r;
}

int store_add_columns(sqlite3 *db, const struct store_schema *schemas, unsigned n)
{
	sqlite3 *wanted = NULL;
	sqlite3_stmt *q = NULL;
	int r = sqlite3_open(":memory:", &wanted) == SQLITE_OK ? 0 : broken(wanted, "open");

	for (unsigned i = 0; r == 0 && i < n; i++)
		if (sqlite3_exec(wanted, schemas[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			r = broken(wanted, schemas[i].name);
	if (r == 0 && sqlite3_prepare_v2(wanted,
					 "SELECT name FROM sqlite_master WHERE type='table' AND "
					 "name NOT LIKE 'sqlite_%'",
					 -1, &q, NULL) != SQLITE_OK)
		r = broken(wanted, "sqlite_master");
	while (r == 0 && sqlite3_step(q) == SQLITE_ROW)
		r = compare_table(db, wanted, (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	sqlite3_close(wanted);
	return r;
}
