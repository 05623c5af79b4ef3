/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/events.h"
#include "base/log.h"
#include "engine/schema.h"

#include <string.h>
#include <sys/inotify.h>

#define EVENTS_KEPT 20000

const char event_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER,"
	" type TEXT, status TEXT, object TEXT, name TEXT, image TEXT, attributes TEXT,"
	" exit_code INTEGER);"
	"CREATE INDEX IF NOT EXISTS events_time ON events(time_ns);";

/* Old ones go now and then, so that the table stays small without a daemon. */
static void trim(struct engine *e)
{
	int64_t last = sqlite3_last_insert_rowid(e->db);

	if (last % 256 == 0 &&
	    store_exec(e, "DELETE FROM events WHERE id < ?", "l", last - EVENTS_KEPT) < 0)
		log_warn("events: %s", err_message());
}

static void put(struct engine *e, const struct event *ev)
{
	if (store_exec(e,
		       "INSERT INTO events(time_ns, type, status, object, name, image, attributes, "
		       "exit_code) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		       "lsssssji", engine_now_ns(), ev->type, ev->status, ev->object_id, ev->name,
		       ev->image, ev->attributes, ev->exit_code) < 0)
		log_warn("event %s of %s: %s", ev->status, ev->name, err_message());
	else
		trim(e);
}

void event_container(struct engine *e, const struct container *c, const char *status)
{
	put(e, &(struct event){.type = "container",
			       .status = status,
			       .object_id = c->id,
			       .name = c->name,
			       .image = c->image_name,
			       .attributes = json_object_get(c->config, "labels"),
			       .exit_code = c->state.exit_code});
}

void event_image(struct engine *e, const char *status, const char *id, const char *name)
{
	put(e, &(struct event){.type = "image", .status = status, .object_id = id, .name = name});
}

void event_object(struct engine *e, const char *type, const char *status, const char *name)
{
	put(e, &(struct event){.type = type, .status = status, .name = name});
}

static const char *column(sqlite3_stmt *q, int i)
{
	return (const char *)sqlite3_column_text(q, i);
}

int events_read(struct engine *e, int64_t after, int64_t since_ns, int64_t until_ns,
		int (*each)(void *data, const struct event *ev), void *data)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(
		e, "SELECT id, time_ns, type, status, object, name, image, attributes, exit_code "
		   "FROM events WHERE id > ? AND time_ns >= ? AND time_ns <= ? ORDER BY id");
	int r;

	store_bind(q, "lll", after, since_ns, until_ns ? until_ns : INT64_MAX);
	while ((r = store_step(e, q)) > 0) {
		struct event ev = {
			.id = sqlite3_column_int64(q, 0),
			.time_ns = sqlite3_column_int64(q, 1),
			.type = column(q, 2),
			.status = column(q, 3),
			.object_id = column(q, 4),
			.name = column(q, 5),
			.image = column(q, 6),
			.attributes = store_json(q, 7),
			.exit_code = sqlite3_column_int(q, 8),
		};

		r = each(data, &ev);
		json_decref(ev.attributes);
		if (r < 0)
			return r;
	}
	return r;
}

int events_last(struct engine *e, int64_t *ret_id)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT max(id) FROM events");
	int r = store_step(e, q);

	*ret_id = r > 0 ? sqlite3_column_int64(q, 0) : 0;
	return r < 0 ? r : 0;
}

/* The log is written before its index, by which readers go: who writes now is waited for. */
int events_settle(struct engine *e)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};

	return store_begin(e, &tx);
}

/* A commit writes to the database's log beside it, sqlite.org/wal.html. */
int events_watch(struct engine *e, int *ret_fd)
{
	autoclose int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return err_errno("inotify");
	if (inotify_add_watch(fd, e->root, IN_MODIFY | IN_CREATE) < 0)
		return err_errno("watch %s", e->root);
	*ret_fd = take_fd(&fd);
	return 0;
}
