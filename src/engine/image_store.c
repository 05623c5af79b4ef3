/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_store.h"
#include "engine/image_name.h"
#include "engine/store.h"

#include <errno.h>
#include <string.h>

const char image_schema_sql[] =
	"CREATE TABLE IF NOT EXISTS images(id TEXT PRIMARY KEY, digest TEXT NOT NULL,"
	" created_ns INTEGER, size INTEGER, document TEXT NOT NULL, layers TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS image_names(name TEXT PRIMARY KEY, image_id TEXT NOT NULL,"
	" added_ns INTEGER) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS image_names_image ON image_names(image_id);"
	/* Every name that an image ever had, and digests by which registries know it. */
	"CREATE TABLE IF NOT EXISTS image_past(image_id TEXT, name TEXT,"
	" PRIMARY KEY(image_id, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS image_digests(image_id TEXT, repository TEXT, digest TEXT,"
	" PRIMARY KEY(repository, digest, image_id)) WITHOUT ROWID;"
	/* What garbage collection has to leave alone. */
	"CREATE TABLE IF NOT EXISTS image_blobs(image_id TEXT, digest TEXT,"
	" PRIMARY KEY(image_id, digest)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS image_layers(image_id TEXT, layer TEXT,"
	" PRIMARY KEY(image_id, layer)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS layers(id TEXT PRIMARY KEY, diff_id TEXT, size INTEGER);";

void image_clear(struct image *img)
{
	g_free(img->id);
	g_free(img->digest);
	g_free(img->name);
	g_strfreev(img->names);
	g_strfreev(img->repo_digests);
	g_strfreev(img->layers);
	json_decref(img->config);
	json_decref(img->document);
	*img = IMAGE_NONE;
}

void image_free(struct image *img)
{
	if (img)
		image_clear(img);
	g_free(img);
}

/* The first column of all rows that SQL gives for ID. */
static int read_strings(struct engine *e, const char *sql, const char *id, GPtrArray *to)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);
	int r;

	store_bind(q, "s", id);
	while ((r = store_step(e, q)) > 0)
		if (!g_ptr_array_find_with_equal_func(to, store_text(q, 0), g_str_equal, NULL))
			g_ptr_array_add(to, g_strdup(store_text(q, 0)));
	return r;
}

static char **finish_strings(GPtrArray *from)
{
	g_ptr_array_add(from, NULL);
	return (char **)g_ptr_array_free(from, FALSE);
}

static int read_names(struct engine *e, struct image *img)
{
	GPtrArray *names = g_ptr_array_new(), *digests = g_ptr_array_new();
	int r = read_strings(
		e, "SELECT name FROM image_names WHERE image_id=? ORDER BY added_ns, name", img->id,
		names);

	for (unsigned i = 0; i < names->len; i++) {
		g_autofree char *repository = NULL, *tag = NULL;
		char *full;

		image_name_split(names->pdata[i], &repository, &tag);
		full = g_strdup_printf("%s@%s", repository, img->digest);
		if (g_ptr_array_find_with_equal_func(digests, full, g_str_equal, NULL))
			g_free(full);
		else
			g_ptr_array_add(digests, full);
	}
	if (r == 0)
		r = read_strings(e,
				 "SELECT repository || '@' || digest FROM image_digests "
				 "WHERE image_id=? ORDER BY repository, digest",
				 img->id, digests);
	img->names = finish_strings(names);
	img->repo_digests = finish_strings(digests);
	return r;
}

static char **strings_from_json(const json_t *array)
{
	size_t n = json_array_size(array);
	char **v = g_new0(char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(array, i));

		v[i] = g_strdup(s ? s : "");
	}
	return v;
}

int image_load_record(struct engine *e, const char *id, struct image *ret)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(
		e, "SELECT id, digest, created_ns, size, document, layers FROM images WHERE id=?");
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	json_t *layers;
	int r;

	store_bind(q, "s", id);
	r = store_step(e, q);
	if (r <= 0)
		return r;
	img.id = g_strdup(store_text(q, 0));
	img.digest = g_strdup(store_text(q, 1));
	img.created_ns = sqlite3_column_int64(q, 2);
	img.size_bytes = (uint64_t)sqlite3_column_int64(q, 3);
	img.document = store_json(q, 4);
	layers = store_json(q, 5);
	img.layers = strings_from_json(layers);
	json_decref(layers);
	img.config = json_incref(json_object_get(img.document, "config"));
	if (!json_is_object(img.config)) {
		json_decref(img.config);
		img.config = json_object();
	}
	r = read_names(e, &img);
	if (r < 0)
		return r;
	*ret = img;
	img = IMAGE_NONE;
	return 1;
}

int image_in_store(struct engine *e, const char *id)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT 1 FROM images WHERE id=?");

	store_bind(q, "s", id);
	return store_step(e, q);
}

int image_users(struct engine *e, const char *id, char ***ret)
{
	GPtrArray *ids = g_ptr_array_new();
	int r = read_strings(e, "SELECT id FROM containers WHERE image_id=? ORDER BY created_ns",
			     id, ids);

	*ret = finish_strings(ids);
	if (r < 0)
		g_clear_pointer(ret, g_strfreev);
	return r;
}

int image_list(struct engine *e, GPtrArray **ret)
{
	g_autoptr(GPtrArray) images =
		g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))image_free);
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	int r = read_strings(e,
			     "SELECT id FROM images WHERE ?1 IS NULL ORDER BY created_ns DESC, id",
			     NULL, ids);

	for (unsigned i = 0; r >= 0 && i < ids->len; i++) {
		struct image *img = g_new0(struct image, 1);

		r = image_load_record(e, ids->pdata[i], img);
		if (r > 0)
			g_ptr_array_add(images, img);
		else /* somebody removed it just now */
			g_free(img);
	}
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&images);
	return 0;
}

uint64_t image_layer_size(struct engine *e, const char *chain)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT size FROM layers WHERE id=?");

	store_bind(q, "s", chain);
	if (store_step(e, q) > 0)
		return (uint64_t)sqlite3_column_int64(q, 0);
	err_clear();
	return 0;
}

int image_store_name(struct engine *e, const char *id, const char *name)
{
	int r = store_exec(e,
			   "INSERT INTO image_names(name, image_id, added_ns) VALUES(?1, ?2, ?3) "
			   "ON CONFLICT(name) DO UPDATE SET image_id=?2, added_ns=?3 "
			   "WHERE image_id<>?2",
			   "ssl", name, id, engine_now_ns());

	if (r == 0)
		r = store_exec(e, "INSERT OR IGNORE INTO image_past(image_id, name) VALUES(?, ?)",
			       "ss", id, name);
	return r;
}

static int add_strings(struct engine *e, const char *sql, const char *id, char *const *values)
{
	int r = 0;

	for (; r == 0 && *values; values++)
		r = store_exec(e, sql, "ss", id, *values);
	return r;
}

static int add_rows(struct engine *e, const struct image_record *rec, const struct image_source *s)
{
	json_t *layers = json_array();
	int r;

	for (char *const *l = rec->layers; *l; l++)
		json_array_append_new(layers, json_string(*l));
	r = store_exec(e,
		       "INSERT INTO images(id, digest, created_ns, size, document, layers) "
		       "VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE SET digest=?2",
		       "sslljj", rec->id, rec->digest, rec->created_ns, (int64_t)rec->size_bytes,
		       rec->document, layers);
	json_decref(layers);
	if (r == 0)
		r = add_strings(e,
				"INSERT OR IGNORE INTO image_blobs(image_id, digest) VALUES(?, ?)",
				rec->id, rec->blobs);
	if (r == 0)
		r = add_strings(e,
				"INSERT OR IGNORE INTO image_layers(image_id, layer) VALUES(?, ?)",
				rec->id, rec->layers);
	if (r == 0 && s->repository && s->listed)
		r = store_exec(e,
			       "INSERT OR IGNORE INTO image_digests(image_id, repository, digest) "
			       "VALUES(?, ?, ?)",
			       "sss", rec->id, s->repository, s->listed);
	for (char *const *n = s->names; r == 0 && n && *n; n++)
		r = image_store_name(e, rec->id, *n);
	return r;
}

int image_store_add(struct engine *e, const struct image_record *rec, const struct image_source *s)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	int r = store_begin(e, &tx);

	if (r == 0)
		r = add_rows(e, rec, s);
	return r < 0 ? r : store_commit(&tx);
}

int64_t image_parse_time(const char *text)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) t = text ? g_date_time_new_from_iso8601(text, utc) : NULL;
	const char *dot = text ? strchr(text, '.') : NULL;
	int64_t ns = 0, unit = 100000000;

	if (!t)
		return 0;
	/* GDateTime stops at microseconds. */
	for (dot = dot ? dot + 1 : ""; g_ascii_isdigit(*dot) && unit; dot++, unit /= 10)
		ns += (*dot - '0') * unit;
	return g_date_time_to_unix(t) * 1000000000LL + ns;
}
