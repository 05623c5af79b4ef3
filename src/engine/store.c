/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite.  The write-ahead log is neither checkpointed nor removed when a command ends: both would
 * wait for the disk.  conmon's `cleanup`, for which nobody waits, does it once the log has grown
 * (store_shorten_log()); others only when it would become too long to be read by every first
 * opener, who rebuilds its index.
 */
#include "engine/store.h"
#include "base/log.h"
#include "engine/schema.h"
#include "engine/store_migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>

#define BUSY_TIMEOUT_MS 30000
#define LOG_PAGES	100
#define LOG_PAGES_MAX	300

#define META "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"

/* Every room's tables.  A changed text makes the next command run all of them. */
static const struct store_schema schemas[] = {
	{"meta", META},
	{"containers", container_schema_sql},
	{"exec sessions", exec_schema_sql},
	{"events", event_schema_sql},
	{"images", image_schema_sql},
	{"networks", network_schema_sql},
	{"volumes", volume_schema_sql},
};

static const struct {
	int code, error;
} translations[] = {
	{SQLITE_BUSY, EBUSY},	     {SQLITE_LOCKED, EBUSY}, {SQLITE_FULL, ENOSPC},
	{SQLITE_READONLY, EROFS},    {SQLITE_PERM, EACCES},  {SQLITE_CANTOPEN, ENOENT},
	{SQLITE_IOERR, EIO},	     {SQLITE_CORRUPT, EIO},  {SQLITE_NOTADB, EIO},
	{SQLITE_CONSTRAINT, EEXIST},
};

static int failed(struct engine *e, int code, const char *what)
{
	int error = EIO;

	for (unsigned i = 0; i < ARRAY_SIZE(translations); i++)
		if (translations[i].code == (code & 0xff))
			error = translations[i].error;
	if (error == ENOSPC)
		return err_code(error, "database %s/db.sqlite", e->root);
	return err_set(error, "database %s/db.sqlite: %s: %s", e->root, what,
		       e->db ? sqlite3_errmsg(e->db) : sqlite3_errstr(code));
}

/* What it was about is in its first words. */
static int failed_statement(struct engine *e, int code, const char *sql)
{
	g_autofree char *words = g_strndup(sql, MIN(strcspn(sql, "(=?"), 24));

	return failed(e, code, g_strstrip(words));
}

static int run(struct engine *e, const char *sql)
{
	int code = sqlite3_exec(e->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failed(e, code, sql);
}

static int read_version(struct engine *e, uint32_t *ret)
{
	sqlite3_stmt *q = NULL;
	int code = sqlite3_prepare_v2(e->db, "PRAGMA user_version", -1, &q, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		*ret = (uint32_t)sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return code == SQLITE_ROW ? 0 : failed(e, code, "read");
}

static uint32_t wanted_version(void)
{
	uint32_t hash = 2;

	for (unsigned i = 0; i < ARRAY_SIZE(schemas); i++)
		hash = hash * 31 + g_str_hash(schemas[i].sql);
	return hash & 0x7fffffff;
}

static int migrate(struct engine *e, uint32_t version)
{
	g_autofree char *set = g_strdup_printf("PRAGMA user_version=%u", version);
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int r;

	/* Cannot be changed inside a transaction; stays with the file. */
	r = run(e, "PRAGMA journal_mode=WAL");
	if (r == 0)
		r = store_begin(e, &tx);
	if (r == 0)
		r = store_add_columns(e->db, schemas, ARRAY_SIZE(schemas));
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(schemas); i++)
		r = run(e, schemas[i].sql);
	if (r == 0)
		r = run(e, set);
	return r < 0 ? r : store_commit(&tx);
}

/*
 * Of several first commands one makes the file.  SQLite would not let the others wait: a connection
 * that reads already, as on the way to WAL (sqlite3BtreeSetVersion()), and finds another one that
 * is about to write is told SQLITE_BUSY at once (sqlite3BtreeBeginTrans()).
 */
static int migrate_alone(struct engine *e, uint32_t wanted)
{
	autoclose int lock = open(e->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t version = 0;
	int r;

	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_errno("lock %s", e->root);
	r = read_version(e, &version);
	return r < 0 || version == wanted ? r : migrate(e, wanted);
}

static void move_log(sqlite3 *db)
{
	int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	if (code != SQLITE_OK)
		log_debug("database: the log stays: %s", sqlite3_errstr(code));
}

/* After every commit; the file's size would not tell, as the log is written over. */
static int log_grown(void *data, sqlite3 *db, const char *name, int pages)
{
	struct engine *e = data;

	e->log_pages = pages;
	if (pages >= LOG_PAGES_MAX)
		move_log(db);
	return SQLITE_OK;
}

void store_shorten_log(struct engine *e)
{
	if (e->log_pages >= LOG_PAGES)
		move_log(e->db);
}

/* SQLite's locks are on the other two files: closing this one gives none of them up. */
int store_sync_with(struct engine *e, struct atomicdir *d)
{
	g_autofree char *log = g_build_filename(e->root, "db.sqlite-wal", NULL);

	return atomicdir_also(d, AT_FDCWD, log);
}

int store_open(struct engine *e)
{
	g_autofree char *path = g_build_filename(e->root, "db.sqlite", NULL);
	uint32_t version = 0, wanted = wanted_version();
	int keep = 1, code, r;

	code = sqlite3_open_v2(path, &e->db,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			       NULL);
	if (code != SQLITE_OK)
		return failed(e, code, "open");
	sqlite3_busy_timeout(e->db, BUSY_TIMEOUT_MS);
	sqlite3_wal_hook(e->db, log_grown, e);
	sqlite3_db_config(e->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_file_control(e->db, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep);
	e->statements = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
					      (GDestroyNotify)(void (*)(void))sqlite3_finalize);
	r = run(e, "PRAGMA synchronous=NORMAL");
	if (r == 0)
		r = read_version(e, &version);
	if (r == 0 && version != wanted)
		r = migrate_alone(e, wanted);
	return r;
}

void store_close(struct engine *e)
{
	g_clear_pointer(&e->statements, g_hash_table_destroy);
	if (e->db)
		sqlite3_close(e->db);
	e->db = NULL;
}

sqlite3_stmt *store_prepare(struct engine *e, const char *sql)
{
	sqlite3_stmt *q = g_hash_table_lookup(e->statements, sql);

	if (!q) {
		int code = sqlite3_prepare_v3(e->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL);

		if (code != SQLITE_OK)
			g_error("%s: %s", sql, sqlite3_errmsg(e->db));
		g_hash_table_insert(e->statements, (void *)sqlite3_sql(q), q);
	}
	return q;
}

void store_finish(sqlite3_stmt **q)
{
	if (*q) {
		sqlite3_reset(*q);
		sqlite3_clear_bindings(*q);
	}
}

static void bind_list(sqlite3_stmt *q, const char *types, va_list ap)
{
	for (int i = 1; *types; i++, types++) {
		if (*types == 's') {
			const char *s = va_arg(ap, const char *);

			sqlite3_bind_text(q, i, s, -1, SQLITE_TRANSIENT);
		} else if (*types == 'i') {
			sqlite3_bind_int(q, i, va_arg(ap, int));
		} else if (*types == 'l') {
			sqlite3_bind_int64(q, i, va_arg(ap, int64_t));
		} else if (*types == 'j') {
			json_t *j = va_arg(ap, json_t *);
			char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

			sqlite3_bind_text(q, i, text, -1, free);
		} else {
			g_error("store_bind: type '%c'", *types);
		}
	}
}

void store_bind(sqlite3_stmt *q, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	bind_list(q, types, ap);
	va_end(ap);
}

int store_step(struct engine *e, sqlite3_stmt *q)
{
	int code = sqlite3_step(q);

	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return failed_statement(e, code, sqlite3_sql(q));
}

int store_exec(struct engine *e, const char *sql, const char *types, ...)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);
	va_list ap;
	int r;

	va_start(ap, types);
	bind_list(q, types, ap);
	va_end(ap);
	do {
		r = store_step(e, q);
	} while (r > 0);
	return r;
}

const char *store_text(sqlite3_stmt *q, int column)
{
	const char *s = (const char *)sqlite3_column_text(q, column);

	return s ? s : "";
}

json_t *store_json(sqlite3_stmt *q, int column)
{
	const char *s = (const char *)sqlite3_column_text(q, column);

	return s ? json_loadb(s, (size_t)sqlite3_column_bytes(q, column), JSON_DECODE_ANY, NULL)
		 : NULL;
}

/* IMMEDIATE takes the write lock now, where waiting for it is possible, not at the first write. */
int store_begin(struct engine *e, struct store_tx *tx)
{
	int r = store_exec(e, "BEGIN IMMEDIATE", "");

	if (r == 0)
		tx->e = e;
	return r;
}

int store_commit(struct store_tx *tx)
{
	int r = store_exec(tx->e, "COMMIT", "");

	if (r == 0)
		tx->e = NULL;
	return r;
}

void store_rollback(struct store_tx *tx)
{
	if (!tx->e)
		return;
	if (sqlite3_exec(tx->e->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		log_warn("database: %s", sqlite3_errmsg(tx->e->db));
	tx->e = NULL;
}
