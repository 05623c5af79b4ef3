/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers in the database.  The state's members are columns of the same names, listed once in
 * STATE; names are unique among containers, and a removed container's exit code is kept for a while
 * for those who still wait for it.
 */
#include "engine/container_store.h"
#include "engine/container.h"
#include "engine/image.h"
#include "engine/schema.h"

#include <errno.h>
#include <string.h>

#define STATE(X)                                                                                   \
	X(status, 'i')                                                                             \
	X(pid, 'i')                                                                                \
	X(conmon_pid, 'i')                                                                         \
	X(pid_start, 'l')                                                                          \
	X(exit_code, 'i')                                                                          \
	X(oom_killed, 'b')                                                                         \
	X(stopped_by_user, 'b')                                                                    \
	X(started_ns, 'l')                                                                         \
	X(finished_ns, 'l')                                                                        \
	X(checkpointed, 'b')                                                                       \
	X(restored, 'b')                                                                           \
	X(checkpointed_ns, 'l')                                                                    \
	X(restored_ns, 'l')                                                                        \
	X(checkpoint_path, 's')                                                                    \
	X(checkpoint_log, 's')                                                                     \
	X(restore_log, 's')                                                                        \
	X(thawed, 'b')                                                                             \
	X(netns, 's')                                                                              \
	X(network, 'j')                                                                            \
	X(mounts, 'i')                                                                             \
	X(error, 's')                                                                              \
	X(restarts, 'i')

#define COLUMN(name, type) ", " #name
#define SET(name, type)	   #name "=?, "
#define FIELD(name, type)  {type, offsetof(struct container_state, name)},
#define CHECK(name, type)                                                                          \
	static_assert(sizeof(((struct container_state *)0)->name) == ((type) == 'i'   ? 4          \
								      : (type) == 'b' ? 1          \
										      : 8),        \
		      #name " has the size of its letter");
#define static_assert _Static_assert
STATE(CHECK)

static const struct {
	char type;
	size_t offset;
} fields[] = {STATE(FIELD)};

const char container_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS containers(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" created_ns INTEGER, image_id TEXT, image_name TEXT, config TEXT" STATE(
		COLUMN) ");"
			"CREATE INDEX IF NOT EXISTS containers_created ON containers(created_ns);"
			"CREATE INDEX IF NOT EXISTS containers_image ON containers(image_id);"
			"CREATE TABLE IF NOT EXISTS exits(id TEXT PRIMARY KEY, exit_code INTEGER, "
			"time_ns INTEGER);";

#define SELECT                                                                                     \
	"SELECT id, name, created_ns, image_id, image_name, config" STATE(COLUMN) " FROM "         \
										  "containers "
#define FIRST_STATE 6

static void read_field(sqlite3_stmt *q, int column, char type, void *to)
{
	if (type == 'i') {
		*(int *)to = sqlite3_column_int(q, column);
	} else if (type == 'b') {
		*(bool *)to = sqlite3_column_int(q, column) != 0;
	} else if (type == 'l') {
		*(int64_t *)to = sqlite3_column_int64(q, column);
	} else if (type == 's') {
		g_free(*(char **)to);
		*(char **)to = g_strdup((const char *)sqlite3_column_text(q, column));
	} else {
		json_decref(*(json_t **)to);
		*(json_t **)to = store_json(q, column);
	}
}

static void bind_field(sqlite3_stmt *q, int column, char type, const void *from)
{
	if (type == 'i') {
		sqlite3_bind_int(q, column, *(const int *)from);
	} else if (type == 'b') {
		sqlite3_bind_int(q, column, *(const bool *)from);
	} else if (type == 'l') {
		sqlite3_bind_int64(q, column, *(const int64_t *)from);
	} else if (type == 's') {
		sqlite3_bind_text(q, column, *(char *const *)from, -1, SQLITE_TRANSIENT);
	} else {
		json_t *j = *(json_t *const *)from;

		sqlite3_bind_text(q, column, j ? json_dumps(j, JSON_COMPACT) : NULL, -1, free);
	}
}

static void bind_state(sqlite3_stmt *q, int column, const struct container_state *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		bind_field(q, column + (int)i, fields[i].type, (const char *)s + fields[i].offset);
}

static int fill(struct container *c, sqlite3_stmt *q)
{
	json_t *config = store_json(q, 5);

	if (!config)
		return err_set(EIO, "database: container %s: its config is not JSON",
			       store_text(q, 0));
	g_strlcpy(c->id, store_text(q, 0), sizeof(c->id));
	g_free(c->name);
	c->name = g_strdup(store_text(q, 1));
	c->created_ns = sqlite3_column_int64(q, 2);
	g_free(c->image_id);
	c->image_id = g_strdup(store_text(q, 3));
	g_free(c->image_name);
	c->image_name = g_strdup(store_text(q, 4));
	json_decref(c->config);
	c->config = config;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		read_field(q, FIRST_STATE + (int)i, fields[i].type,
			   (char *)&c->state + fields[i].offset);
	return 0;
}

/* One row of any of the queries above into a new container. */
static int next(struct engine *e, sqlite3_stmt *q, struct container **ret)
{
	CLEANUP(container_unref) struct container *c = NULL;
	int r = store_step(e, q);

	if (r <= 0)
		return r;
	c = container_new();
	r = fill(c, q);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&c);
	return 1;
}

static int one(struct engine *e, const char *sql, const char *value, struct container **ret)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);

	store_bind(q, value ? "s" : "", value);
	return next(e, q, ret);
}

static bool is_hex(const char *s)
{
	return *s && strspn(s, "0123456789abcdef") == strlen(s);
}

/* GLOB with a constant start uses the index of the primary key. */
static int by_prefix(struct engine *e, const char *ref, struct container **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, SELECT "WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
	CLEANUP(container_unref) struct container *found = NULL, *other = NULL;
	int r;

	store_bind(q, "s", ref);
	r = next(e, q, &found);
	if (r <= 0)
		return r;
	r = next(e, q, &other);
	if (r < 0)
		return r;
	if (r > 0)
		return err_set(
			EINVAL,
			"more than one result for container name or ID %s: container already "
			"exists",
			ref);
	*ret = g_steal_pointer(&found);
	return 1;
}

int container_find(struct engine *e, const char *ref, struct container **ret)
{
	struct container *c = NULL;
	int r = one(e, SELECT "WHERE name=?", ref, &c);

	if (r == 0 && is_hex(ref) && strlen(ref) <= ENGINE_ID_LEN)
		r = by_prefix(e, ref, &c);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT,
			       "no container with name or ID \"%s\" found: no such container", ref);
	*ret = c;
	return container_refresh(e, c) < 0 ? -EIO : 0;
}

int container_latest(struct engine *e, struct container **ret)
{
	int r = one(e, SELECT "ORDER BY created_ns DESC, rowid DESC LIMIT 1", NULL, ret);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT, "no such container");
	r = container_refresh(e, *ret);
	return r < 0 ? r : 0;
}

int container_list(struct engine *e, GPtrArray **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, SELECT "ORDER BY created_ns, rowid");
	CLEANUP(container_array_free) GPtrArray *all = g_ptr_array_new();
	struct container *c;
	int r;

	while ((r = next(e, q, &c)) > 0) {
		g_ptr_array_add(all, c);
		if (container_refresh(e, c) < 0)
			return -EIO;
	}
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&all);
	return 0;
}

int container_load(struct engine *e, struct container *c)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, SELECT "WHERE id=?");
	int r;

	store_bind(q, "s", c->id);
	r = store_step(e, q);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT,
			       "no container with name or ID \"%s\" found: no such container",
			       c->name ? c->name : c->id);
	return fill(c, q);
}

int container_name_taken(struct engine *e, const struct container *c)
{
	CLEANUP(container_unref) struct container *other = NULL;
	const char *name = c->name;

	if (one(e, SELECT "WHERE name=?", name, &other) > 0 && strcmp(other->id, c->id) != 0)
		return err_set(
			EEXIST,
			"creating container storage: the container name \"%s\" is already in "
			"use by %s. You have to remove that container to be able to reuse "
			"that name: that name is already in use, or use --replace to instruct "
			"cryopod to do so.",
			name, other->id);
	return err_set(EEXIST, "creating container storage: that ID is already in use");
}

/* In the transaction of the insert, so that rmi either sees the container or is seen here. */
static int image_still_there(struct engine *e, struct container *c)
{
	int r = c->image_id ? image_in_store(e, c->image_id) : 1;

	if (r == 0)
		return err_set(ENOENT, "%s: image not known", c->image_name);
	return r < 0 ? r : 0;
}

int container_insert(struct engine *e, struct container *c)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int r = store_begin(e, &tx);

	if (r < 0)
		return r;
	r = image_still_there(e, c);
	if (r < 0)
		return r;
	r = store_exec(e,
		       "INSERT INTO containers(id, name, created_ns, image_id, image_name, config) "
		       "VALUES(?, ?, ?, ?, ?, ?)",
		       "sslssj", c->id, c->name, c->created_ns, c->image_id, c->image_name,
		       c->config);
	if (r == -EEXIST)
		return container_name_taken(e, c);
	if (r == 0)
		r = container_save(e, c);
	return r < 0 ? r : store_commit(&tx);
}

int container_save(struct engine *e, struct container *c)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(
		e, "UPDATE containers SET " STATE(SET) "config=config WHERE id=?"); /* no index */

	bind_state(q, 1, &c->state);
	sqlite3_bind_text(q, (int)ARRAY_SIZE(fields) + 1, c->id, -1, SQLITE_TRANSIENT);
	return store_step(e, q);
}

int container_save_config(struct engine *e, struct container *c)
{
	int r = store_exec(e,
			   "UPDATE containers SET name=?, image_id=?, image_name=?, config=? "
			   "WHERE id=?",
			   "sssjs", c->name, c->image_id, c->image_name, c->config, c->id);

	return r == -EEXIST
		       ? err_set(EEXIST,
				 "renaming container %s: name %s already in use, cannot rename "
				 "container %s: container already exists",
				 c->id, c->name, c->id)
		       : r;
}

#define EXITS_KEPT_NS (5 * 60 * 1000000000LL)

/* The exit code stays for waiters; old ones go, so that the table does not grow. */
int container_delete_record(struct engine *e, struct container *c)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int64_t now = engine_now_ns();
	int r = store_begin(e, &tx);

	if (r < 0)
		return r;
	r = store_exec(e, "DELETE FROM exits WHERE time_ns < ?", "l", now - EXITS_KEPT_NS);
	if (r == 0)
		r = store_exec(e,
			       "INSERT OR REPLACE INTO exits(id, exit_code, time_ns) "
			       "VALUES(?, ?, ?)",
			       "sil", c->id, c->state.exit_code, now);
	if (r == 0)
		r = store_exec(e, "DELETE FROM exec_sessions WHERE container=?", "s", c->id);
	if (r == 0)
		r = store_exec(e, "DELETE FROM containers WHERE id=?", "s", c->id);
	return r < 0 ? r : store_commit(&tx);
}

int container_late_exit(struct engine *e, const char *id, int *ret_code)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT exit_code FROM exits WHERE id=?");
	int r;

	store_bind(q, "s", id);
	r = store_step(e, q);
	if (r > 0)
		*ret_code = sqlite3_column_int(q, 0);
	return r;
}

bool container_name_used(struct engine *e, const char *name)
{
	CLEANUP(container_unref) struct container *other = NULL;

	return one(e, SELECT "WHERE name=?", name, &other) > 0;
}
