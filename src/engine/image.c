/* SPDX-License-Identifier: Apache-2.0 */
/* Finding images by what people call them, and giving them names. */
#include "engine/image.h"
#include "engine/digest.h"
#include "engine/events.h"
#include "engine/image_name.h"
#include "engine/image_store.h"
#include "engine/registries.h"
#include "engine/store.h"

#include <errno.h>
#include <string.h>

/* One text column for one text parameter: 1 and *RET, or 0. */
static int look_up(struct engine *e, const char *sql, const char *what, char **ret)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);
	int r;

	store_bind(q, "s", what);
	r = store_step(e, q);
	if (r > 0)
		*ret = g_strdup(store_text(q, 0));
	return r;
}

static int by_name(struct engine *e, const char *full, char **ret_id)
{
	return look_up(e, "SELECT image_id FROM image_names WHERE name=?", full, ret_id);
}

/* repository[:tag]@digest: the digest counts, and the image must have been in that repository. */
static int by_digest(struct engine *e, const struct image_name *n, const char *domain,
		     char **ret_id)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q =
		store_prepare(e, "SELECT i.id FROM images i WHERE (i.digest=?1 AND EXISTS"
				 "  (SELECT 1 FROM image_past p WHERE p.image_id=i.id AND"
				 "   substr(p.name, 1, length(?2)+1) IN (?2||':', ?2||'@')))"
				 " OR EXISTS (SELECT 1 FROM image_digests d WHERE d.image_id=i.id"
				 "  AND d.repository=?2 AND d.digest=?1)");
	g_autofree char *repository = image_name_repository(n, domain);
	int r;

	store_bind(q, "ss", n->digest, repository);
	r = store_step(e, q);
	if (r > 0)
		*ret_id = g_strdup(store_text(q, 0));
	return r;
}

static int try_candidate(struct engine *e, const struct image_name *n, const char *full,
			 char **ret_id)
{
	CLEANUP(image_name_clear) struct image_name whole = {0};
	int r;

	if (!n->digest)
		return by_name(e, full, ret_id);
	r = image_name_parse(full, &whole);
	return r < 0 ? r : by_digest(e, &whole, NULL, ret_id);
}

/* "b/c" finds "registry/a/b/c". */
static int by_suffix(struct engine *e, const struct image_name *n, char **ret_name, char **ret_id)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q = store_prepare(e, "SELECT name, image_id FROM image_names WHERE "
					   "substr(name, -length(?1)) = ?1 ORDER BY name");
	g_autofree char *end = g_strdup_printf("/%s:%s", n->path, n->tag ? n->tag : "latest");
	int r;

	store_bind(q, "s", end);
	r = store_step(e, q);
	if (r > 0) {
		*ret_name = g_strdup(store_text(q, 0));
		*ret_id = g_strdup(store_text(q, 1));
	}
	return r;
}

static int by_short_name(struct engine *e, const struct image_name *n, char **ret_name,
			 char **ret_id)
{
	g_autofree char *local = image_name_full(n, "localhost");
	g_auto(GStrv) names = NULL;
	int r = try_candidate(e, n, local, ret_id);

	if (r > 0)
		*ret_name = g_steal_pointer(&local);
	if (r != 0)
		return r;
	r = registries_candidates(n, true, &names);
	for (char **c = names; r == 0 && *c; c++) {
		r = try_candidate(e, n, *c, ret_id);
		if (r > 0)
			*ret_name = g_strdup(*c);
	}
	return r == 0 && !n->digest ? by_suffix(e, n, ret_name, ret_id) : r;
}

/* Unique start of an ID.  -EINVAL: several. */
static int by_id(struct engine *e, const char *text, char **ret_id)
{
	CLEANUP(store_finish)
	sqlite3_stmt *q =
		store_prepare(e, "SELECT id FROM images WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
	int r;

	if (!digest_is_hex(text, 1, DIGEST_HEX))
		return 0;
	store_bind(q, "s", text);
	r = store_step(e, q);
	if (r <= 0)
		return r;
	*ret_id = g_strdup(store_text(q, 0));
	r = store_step(e, q);
	if (r == 0)
		return 1;
	g_clear_pointer(ret_id, g_free);
	return r < 0 ? r : err_set(EINVAL, "%s: the ID is not unique: several images match", text);
}

static int find(struct engine *e, const char *text, char **ret_name, char **ret_id)
{
	CLEANUP(image_name_clear) struct image_name n = {0};
	bool is_id = g_str_has_prefix(text, DIGEST_PREFIX);
	const char *hex = is_id ? digest_hex(text) : text;
	int r = 0;

	if (is_id || digest_is_hex(text, DIGEST_HEX, DIGEST_HEX))
		return by_id(e, hex, ret_id);
	r = image_name_parse(text, &n);
	if (r < 0)
		return r;
	if (n.domain) {
		*ret_name = image_name_full(&n, NULL);
		return try_candidate(e, &n, *ret_name, ret_id);
	}
	r = by_short_name(e, &n, ret_name, ret_id);
	return r == 0 ? by_id(e, text, ret_id) : r;
}

int image_resolve(struct engine *e, const char *name, struct image *ret)
{
	g_autofree char *full = NULL, *id = NULL;
	int r = find(e, name, &full, &id);

	if (r > 0)
		r = image_load_record(e, id, ret);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT, "%s: image not known", name);
	ret->name = full ? g_steal_pointer(&full) : g_strdup(ret->id);
	return 0;
}

int image_normalize(const char *name, char **ret)
{
	CLEANUP(image_name_clear) struct image_name n = {0};
	int r = image_name_parse(name, &n);

	if (r < 0)
		return err_wrap(r, "normalizing name \"%s\"", name);
	if (n.digest)
		return err_set(EINVAL, "%s: a digest cannot be given to an image", name);
	*ret = image_name_full(&n, NULL);
	return 0;
}

int image_tag(struct engine *e, const struct image *img, const char *name)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	g_autofree char *full = NULL;
	int r = image_normalize(name, &full);

	if (r == 0)
		r = store_begin(e, &tx);
	if (r == 0)
		r = image_in_store(e, img->id);
	if (r == 0)
		r = err_set(ENOENT, "%s: image not known", img->id);
	if (r > 0)
		r = image_store_name(e, img->id, full);
	if (r == 0)
		r = store_commit(&tx);
	if (r == 0)
		event_image(e, "tag", img->id, full);
	return r;
}

static int untag_one(struct engine *e, const struct image *img, const char *full)
{
	g_autofree char *id = NULL;
	int r = by_name(e, full, &id);

	if (r < 0)
		return r;
	if (r == 0 || strcmp(id, img->id))
		return err_set(ENOENT, "%s: tag not known", full);
	return store_exec(e, "DELETE FROM image_names WHERE name=?", "s", full);
}

int image_untag(struct engine *e, const struct image *img, const char *const *names)
{
	CLEANUP(store_rollback) struct store_tx tx = {0};
	g_autoptr(GPtrArray) full = g_ptr_array_new_with_free_func(g_free);
	int r = 0;

	for (const char *const *n = names; r == 0 && n && *n; n++) {
		char *one = NULL;

		r = image_normalize(*n, &one);
		g_ptr_array_add(full, one);
	}
	if (!names || !*names)
		for (char **n = img->names; *n; n++)
			g_ptr_array_add(full, g_strdup(*n));
	if (r == 0)
		r = store_begin(e, &tx);
	for (unsigned i = 0; r == 0 && i < full->len; i++)
		r = untag_one(e, img, full->pdata[i]);
	if (r == 0)
		r = store_commit(&tx);
	for (unsigned i = 0; r == 0 && i < full->len; i++)
		event_image(e, "untag", img->id, full->pdata[i]);
	return r;
}
