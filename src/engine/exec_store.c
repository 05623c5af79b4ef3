/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exec_store.h"
#include "base/log.h"
#include "engine/exec.h"
#include "engine/schema.h"

#include <string.h>

const char exec_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS exec_sessions(id TEXT PRIMARY KEY, container TEXT NOT NULL,"
	" created_ns INTEGER, pid INTEGER, pid_start INTEGER);"
	"CREATE INDEX IF NOT EXISTS exec_sessions_container ON exec_sessions(container);";

int exec_record_insert(struct engine *e, const char *session, const struct container *c)
{
	return store_exec(e,
			  "INSERT INTO exec_sessions(id, container, created_ns, pid, pid_start) "
			  "VALUES(?, ?, ?, 0, 0)",
			  "ssl", session, c->id, engine_now_ns());
}

int exec_record_started(struct engine *e, const char *session, pid_t pid)
{
	return store_exec(e, "UPDATE exec_sessions SET pid=?, pid_start=? WHERE id=?", "ils",
			  (int)pid, (int64_t)container_pid_start(pid), session);
}

int exec_record_delete(struct engine *e, const char *session)
{
	return store_exec(e, "DELETE FROM exec_sessions WHERE id=?", "s", session);
}

int exec_cleanup(struct engine *e, const char *session)
{
	return exec_record_delete(e, session);
}

static void prune(struct engine *e, const GPtrArray *dead)
{
	for (unsigned i = 0; i < dead->len; i++)
		if (exec_record_delete(e, dead->pdata[i]) < 0)
			log_warn("exec session: %s", err_message());
}

bool exec_is_others(struct engine *e, const char *session, const struct container *c)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT container FROM exec_sessions WHERE id=?");

	store_bind(q, "s", session);
	return store_step(e, q) > 0 && strcmp(store_text(q, 0), c->id) != 0;
}

int exec_live(struct engine *e, const struct container *c, GArray **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT id, pid, pid_start FROM exec_sessions WHERE "
					   "container=? ORDER BY created_ns");
	g_autoptr(GPtrArray) dead = g_ptr_array_new_with_free_func(g_free);
	int r;

	*ret = g_array_new(FALSE, TRUE, sizeof(struct exec_live));
	store_bind(q, "s", c->id);
	while ((r = store_step(e, q)) > 0) {
		struct exec_live x = {.pid = sqlite3_column_int(q, 1)};
		uint64_t start = (uint64_t)sqlite3_column_int64(q, 2);

		g_strlcpy(x.id, store_text(q, 0), sizeof(x.id));
		if (start && container_pid_start(x.pid) == start)
			g_array_append_val(*ret, x);
		else
			g_ptr_array_add(dead, g_strdup(store_text(q, 0)));
	}
	if (r == 0 && c->lock >= 0) /* who has not is perhaps looking at one that just begins */
		prune(e, dead);
	return r;
}

json_t *exec_list(struct engine *e, const struct container *c)
{
	g_autoptr(GArray) live = NULL;
	json_t *all = json_array();

	if (exec_live(e, c, &live) < 0)
		log_warn("exec sessions: %s", err_message());
	for (unsigned i = 0; i < live->len; i++)
		json_array_append_new(all,
				      json_string(g_array_index(live, struct exec_live, i).id));
	return all;
}
