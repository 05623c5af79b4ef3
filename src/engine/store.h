/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: SQLite in WAL mode.  Readers never wait; writers wait for each other for a bounded
 * time (busy_timeout).  A transaction that a killed process left open is rolled back by whoever
 * comes next.  synchronous=NORMAL: a commit does not wait for the disk, and after a power failure
 * the file is consistent.
 *
 *	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, "SELECT name FROM images WHERE
 *id=?"); store_bind(q, "s", id); while ((r = store_step(e, q)) > 0) puts(store_text(q, 0));
 *
 * Statements are prepared once per text and kept by the engine; store_finish() resets them.  The
 * same text is not to be used by two loops at once.
 */
#pragma once

#include "base/atomicdir.h"
#include "engine/engine.h"

/* One room's tables: CREATE ... IF NOT EXISTS statements only.  Listed in store.c. */
struct store_schema {
	const char *name;
	const char *sql;
};

int store_open(struct engine *e) MUST_CHECK;
void store_close(struct engine *e);

/* Everything committed so far reaches the disk with the commit of D. */
int store_sync_with(struct engine *e, struct atomicdir *d) MUST_CHECK;

/* Moves what the log has gathered into the database, when it is much; waits for the disk. */
void store_shorten_log(struct engine *e);

/* Never NULL: a statement that does not compile is a bug and aborts. */
sqlite3_stmt *store_prepare(struct engine *e, const char *sql);
void store_finish(sqlite3_stmt **q);

/*
 * Binds parameters from 1 on: 's' const char * (NULL is SQL's NULL), 'i' int, 'l' int64_t,
 * 'j' json_t * (as text, NULL is NULL).  Strings are copied.
 */
void store_bind(sqlite3_stmt *q, const char *types, ...);

/* 1: a row is there; 0: no more. */
int store_step(struct engine *e, sqlite3_stmt *q) MUST_CHECK;

/* Prepare, bind, run to the end.  -EEXIST when a UNIQUE constraint is violated. */
int store_exec(struct engine *e, const char *sql, const char *types, ...) MUST_CHECK;

const char *store_text(sqlite3_stmt *q, int column); /* "" for NULL; valid until the next step */
json_t *store_json(sqlite3_stmt *q, int column);     /* a new reference, or NULL */

/*
 * A write transaction.  Nothing else may write between; without store_commit() it is rolled back
 * at the end of the scope:
 *
 *	CLEANUP(store_rollback) struct store_tx tx = {0};
 *	r = store_begin(e, &tx);
 *	...
 *	return store_commit(&tx);
 */
struct store_tx {
	struct engine *e;
};
int store_begin(struct engine *e, struct store_tx *tx) MUST_CHECK;
int store_commit(struct store_tx *tx) MUST_CHECK;
void store_rollback(struct store_tx *tx);

/*
 * Room for some transactions on a full disk.  Kept when there is some to keep; given up (true) by
 * who must write in order to make room.
 */
void store_keep_reserve(struct engine *e);
bool store_use_reserve(struct engine *e);
