/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/life_fixture.h"
#include "engine/schema.h"
#include "engine/store_migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#define WRITERS 4
#define EACH	25

static int count(struct engine *e, const char *sql)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);

	assert_int_equal(store_step(e, q), 1);
	return sqlite3_column_int(q, 0);
}

/* Each opens the store by itself, the first ones create it. */
static _Noreturn void writer(const struct fixture *f, int n)
{
	for (int i = 0; i < EACH; i++) {
		struct engine *e = fixture_open(f);
		g_autofree char *name = g_strdup_printf("w%d-%d", n, i);
		struct container *c = fixture_add(e, NULL, name);

		container_unref(&c);
		engine_close(e);
	}
	_exit(0);
}

static void test_many_writers(void **state)
{
	pid_t pid[WRITERS];
	struct engine *e;

	for (int i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			writer(*state, i);
	}
	for (int i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	e = fixture_open(*state);
	assert_int_equal(count(e, "SELECT count(*) FROM containers"), WRITERS * EACH);
	engine_close(e);
}

/* Pairs of records, written in one transaction each, for ever. */
static _Noreturn void pair_writer(const struct fixture *f, int ready)
{
	struct engine *e = fixture_open(f);

	for (int i = 0;; i++) {
		struct store_tx tx = {0};

		if (store_begin(e, &tx) < 0)
			_exit(1);
		for (int half = 0; half < 2; half++)
			if (store_exec(e, "INSERT INTO meta(key, value) VALUES(?, ?)", "sl",
				       half ? "a" : "b", INT64_C(0)) < 0)
				_exit(2);
		if (store_exec(e, "UPDATE meta SET key=key||? WHERE key IN ('a', 'b')", "i", i) < 0)
			_exit(3);
		if (store_commit(&tx) < 0 || write(ready, "", 1) != 1)
			_exit(4);
	}
}

/* After each death the next one works at once, and finds whole transactions only. */
static void test_killed_writers(void **state)
{
	for (int i = 0; i < 20; i++) {
		int ready[2];
		char byte;
		struct engine *e;
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (pid == 0) {
			struct fixture sub = *(struct fixture *)*state;

			pair_writer(&sub, ready[1]);
		}
		for (int k = 0; k <= i % 5; k++)
			assert_int_equal(read(ready[0], &byte, 1), 1);
		g_usleep((gulong)(i * 37 % 400));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ready[0]);
		close(ready[1]);
		e = fixture_open(*state);
		assert_int_equal(count(e, "SELECT count(*) FROM meta WHERE key GLOB '[ab]*' AND "
					  "key<>'boot'") %
					 2,
				 0);
		assert_int_equal(store_exec(e, "DELETE FROM meta WHERE key GLOB '[ab][0-9]*'", ""),
				 0);
		engine_close(e);
	}
}

static void test_rollback(void **state)
{
	CLEANUP(engine_closep) struct engine *e = fixture_open(*state);

	{
		CLEANUP(store_rollback) struct store_tx tx = {0};

		assert_int_equal(store_begin(e, &tx), 0);
		assert_int_equal(store_exec(e, "INSERT INTO meta(key) VALUES(?)", "s", "x"), 0);
	}
	assert_int_equal(count(e, "SELECT count(*) FROM meta WHERE key='x'"), 0);
	assert_int_equal(store_exec(e, "INSERT INTO meta(key) VALUES(?)", "s", "x"), 0);
	assert_int_equal(store_exec(e, "INSERT INTO meta(key) VALUES(?)", "s", "x"), -EEXIST);
}

static void test_add_columns(void **state)
{
	static const struct store_schema now[] = {
		{"t", "CREATE TABLE IF NOT EXISTS t(id TEXT PRIMARY KEY, a INTEGER DEFAULT 5, b);"},
		{"u", "CREATE TABLE IF NOT EXISTS u(id);"},
	};
	sqlite3 *db;
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "CREATE TABLE t(id TEXT PRIMARY KEY, old); INSERT INTO t "
				      "VALUES('x', 1)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(store_add_columns(db, now, 2), 0);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT a, b, old FROM t", -1, &q, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(q, 0), 5);
	assert_int_equal(sqlite3_column_int(q, 2), 1);
	sqlite3_finalize(q);
	sqlite3_close(db);
}

/* Another first command, which has begun to make the file. */
static _Noreturn void make_slowly(const char *root, const char *path, int ready)
{
	int lock = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sqlite3 *db;

	if (flock(lock, LOCK_EX) < 0 || sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, "BEGIN IMMEDIATE; CREATE TABLE t(x)", NULL, NULL, NULL) != SQLITE_OK ||
	    write(ready, "", 1) != 1)
		_exit(1);
	g_usleep(200000);
	_exit(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK);
}

static void test_second_maker_waits(void **state)
{
	const struct fixture *f = *state;
	g_autofree char *path = g_build_filename(f->root, "db.sqlite", NULL);
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(file_mkdirs(f->root, 0700), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		make_slowly(f->root, path, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	engine_close(fixture_open(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_not_a_database(void **state)
{
	const struct fixture *f = *state;
	g_autofree char *path = g_build_filename(f->root, "db.sqlite", NULL);
	g_autofree char *rubbish = g_strnfill(8192, 'x');
	const struct engine_options o = {.root = f->root, .runroot = f->run};
	struct engine *e = NULL;

	assert_int_equal(file_mkdirs(f->root, 0700), 0);
	assert_int_equal(file_replace_at(AT_FDCWD, path, rubbish, 8192, 0600), 0);
	assert_int_equal(engine_open(&o, &e), -EIO);
	assert_non_null(strstr(err_message(), "db.sqlite"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_many_writers), T(test_second_maker_waits), T(test_killed_writers),
		T(test_rollback),     T(test_add_columns),	  T(test_not_a_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
