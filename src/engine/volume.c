/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/volume.h"

#include "base/file.h"
#include "base/log.h"
#include "engine/events.h"
#include "engine/inspect.h"
#include "engine/mounts.h"
#include "engine/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char volume_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS volumes(name TEXT PRIMARY KEY, created_ns INTEGER,"
	" labels TEXT, anonymous INTEGER);";

static int check_name(const char *name)
{
	if (!g_regex_match_simple("^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", name, G_REGEX_DOLLAR_ENDONLY, 0))
		return err_set(EINVAL, "running volume create option: names must match "
				       "[a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument");
	return 0;
}

static int record(struct engine *e, const char *name, json_t *labels, bool anonymous)
{
	return store_exec(e,
			  "INSERT INTO volumes(name, created_ns, labels, anonymous) "
			  "VALUES(?, ?, ?, ?)",
			  "slji", name, engine_now_ns(), labels, (int)anonymous);
}

static char *path_of(struct engine *e, const char *name, const char *file)
{
	return g_build_filename(e->root, "volumes", name, file, NULL);
}

/* The directory is there at once: people put files into a volume before anything mounts it. */
static int make_files(struct engine *e, const char *name)
{
	g_autofree char *data = path_of(e, name, VOLUME_DATA);
	g_autofree char *mark = path_of(e, name, VOLUME_FRESH);
	int r = file_mkdirs(data, 0755);

	if (r == 0 && mknod(mark, S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		r = err_errno("create %s", mark);
	return r;
}

int volume_create(struct engine *e, const struct volume_options *o, char **ret)
{
	char id[ENGINE_ID_LEN + 1];
	const char *name = o->name;
	json_t *labels = json_object();
	int r;

	if (!name) {
		engine_random_id(id);
		name = id;
	}
	if (o->options && o->options[0])
		return err_set(EOPNOTSUPP,
			       "volume option %s is not supported: bind mounts and --tmpfs of "
			       "`run` do what the local driver's options do",
			       o->options[0]);
	r = check_name(name);
	if (r == 0)
		r = options_parse_labels(o->labels, labels);
	if (r == 0)
		r = record(e, name, labels, o->anonymous);
	json_decref(labels);
	if (r == -EEXIST && o->ignore) {
		err_clear();
		r = 0;
	} else if (r == -EEXIST) {
		return err_set(EEXIST, "volume with name %s already exists: volume already exists",
			       name);
	} else if (r == 0) {
		r = make_files(e, name);
		if (r < 0) {
			ERR_KEEP;

			if (store_exec(e, "DELETE FROM volumes WHERE name=?", "s", name) < 0)
				err_clear();
			return r;
		}
		event_object(e, "volume", "create", name);
	}
	if (r == 0)
		*ret = g_strdup(name);
	return r;
}

static json_t *definition_of(struct engine *e, sqlite3_stmt *q)
{
	g_autofree char *data = path_of(e, store_text(q, 0), VOLUME_DATA);
	g_autofree char *mark = path_of(e, store_text(q, 0), VOLUME_FRESH);
	g_autofree char *created = time_rfc3339(sqlite3_column_int64(q, 1));
	json_t *labels = store_json(q, 2), *j;
	bool fresh = access(mark, F_OK) == 0;

	j = json_pack("{ss ss ss ss so ss s{}}", "Name", store_text(q, 0), "Driver", "local",
		      "Mountpoint", data, "CreatedAt", created, "Labels",
		      labels ? labels : json_object(), "Scope", "local", "Options");
	if (sqlite3_column_int(q, 3))
		json_object_set_new(j, "Anonymous", json_true());
	json_object_set_new(j, "MountCount", json_integer(0));
	if (fresh) {
		json_object_set_new(j, "NeedsCopyUp", json_true());
		json_object_set_new(j, "NeedsChown", json_true());
	}
	return j;
}

#define COLUMNS "SELECT name, created_ns, labels, anonymous FROM volumes "

int volume_list(struct engine *e, json_t **ret)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, COLUMNS "ORDER BY name");
	json_t *all = json_array();
	int r;

	while ((r = store_step(e, q)) > 0)
		json_array_append_new(all, definition_of(e, q));
	if (r < 0)
		json_decref(all);
	else
		*ret = all;
	return r;
}

int volume_exists(struct engine *e, const char *name)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, COLUMNS "WHERE name=?");

	store_bind(q, "s", name);
	return store_step(e, q);
}

int volume_find(struct engine *e, const char *ref, json_t **ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, COLUMNS "WHERE substr(name, 1, length(?1))=?1 "
						   "ORDER BY name<>?1 LIMIT 2");
	json_t *first = NULL;
	int r = 0, n = 0;

	store_bind(q, "s", ref);
	while (*ref && (r = store_step(e, q)) > 0) {
		bool exact = !strcmp(store_text(q, 0), ref);

		if (n++ == 0)
			first = definition_of(e, q);
		if (exact)
			break;
	}
	if (n == 1 && r >= 0) {
		*ret = first;
		return 0;
	}
	json_decref(first);
	if (n > 1)
		return err_set(EINVAL, "more than one result for volume name %s", ref);
	return err_set(ENOENT, "no volume with name \"%s\" found: no such volume", ref);
}

/* 1: C mounts volume NAME. */
static int mounts(struct container *c, const char *name)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &all);
	for (unsigned i = 0; r == 0 && i < all.n; i++)
		if (all.v[i].type == USER_MOUNT_VOLUME && !g_strcmp0(all.v[i].source, name))
			return 1;
	return r;
}

int volume_users(struct engine *e, const char *name, char ***ret)
{
	CLEANUP(container_array_free) GPtrArray *all = NULL;
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	int r = container_list(e, &all);

	for (guint i = 0; r >= 0 && i < all->len; i++) {
		struct container *c = all->pdata[i];

		r = mounts(c, name);
		if (r > 0)
			g_ptr_array_add(ids, g_strdup(c->id));
	}
	if (r < 0)
		return r;
	g_ptr_array_add(ids, NULL);
	*ret = (char **)g_ptr_array_steal(ids, NULL);
	return 0;
}

static int still_used(const char *name, char *const *ids)
{
	g_autofree char *list = g_strjoinv(", ", (char **)ids);

	return err_set(EBUSY,
		       "volume %s is being used by the following container(s): %s: volume is being "
		       "used",
		       name, list);
}

/*
 * The directory gets another name in the transaction that forgets the volume, so that a container
 * that is created meanwhile starts with a new one instead of one that is being emptied.
 */
int volume_remove(struct engine *e, const char *name)
{
	g_autofree char *parent = path_of(e, NULL, NULL);
	g_autofree char *aside = g_strconcat(".removed-", name, NULL);
	autoclose int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(store_rollback) struct store_tx tx = {0};
	g_auto(GStrv) users = NULL;
	int r;

	if (fd < 0)
		return err_errno("open %s", parent);
	r = store_begin(e, &tx);
	if (r == 0)
		r = volume_exists(e, name);
	if (r == 0)
		return err_set(ENOENT, "no volume with name \"%s\" found: no such volume", name);
	if (r > 0)
		r = volume_users(e, name, &users);
	if (r < 0)
		return r;
	if (users[0])
		return still_used(name, users);
	if (file_remove_tree_at(fd, aside) < 0) /* of a killed removal */
		err_clear();
	if (renameat(fd, name, fd, aside) < 0 && errno != ENOENT)
		return err_errno("remove volume %s", name);
	r = store_exec(e, "DELETE FROM volumes WHERE name=?", "s", name);
	if (r == 0)
		r = store_commit(&tx);
	if (r < 0) {
		if (renameat(fd, aside, fd, name) < 0 && errno != ENOENT)
			log_warn("volume %s is left in %s/%s", name, parent, aside);
		return r;
	}
	event_object(e, "volume", "remove", name);
	return file_remove_tree_at(fd, aside);
}

int volume_ensure_all(struct engine *e, struct container *c)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	const struct container_options *o;
	int r = container_options(c, &o);

	if (r == 0)
		r = user_mounts_parse(o, &all);
	for (unsigned i = 0; r == 0 && i < all.n; i++) {
		const struct user_mount *m = &all.v[i];
		size_t k;
		const json_t *name;
		struct volume_options make = {.name = m->source, .ignore = true};
		g_autofree char *made = NULL;

		if (m->type != USER_MOUNT_VOLUME || !m->source)
			continue;
		json_array_foreach(json_object_get(c->config, "volumes"), k, name) make.anonymous |=
			!strcmp(json_string_value(name), m->source);
		r = volume_create(e, &make, &made);
	}
	return r;
}

char *volume_path(struct engine *e, const struct container *c, const struct user_mount *m,
		  const char *file)
{
	g_autofree char *name = volume_name_of(m), *userdata = NULL;

	if (m->source)
		return path_of(e, name, file);
	userdata = container_static_dir(e, c);
	return g_build_filename(userdata, "volumes", name, file, NULL);
}
