/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no image needs goes.  The caller has the exclusive lock of blobs.h, so nobody is fetching,
 * unpacking or importing, and whatever is not in the database is left over from something dead.
 *
 * A directory is listed before the database is asked, and a container's record is stored before
 * its directory is made: what is listed and has no record then is garbage for sure.
 */
#include "base/file.h"
#include "base/log.h"
#include "engine/blobs.h"
#include "engine/image.h"
#include "engine/store.h"
#include "kernel/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A directory that does not exist has nothing in it. */
static int list(struct engine *e, const char *name, int *ret_fd, GPtrArray **ret)
{
	g_autofree char *path = g_build_filename(e->root, name, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	CLEANUP(close_dir) DIR *d = opendir(path);
	struct dirent *entry;

	if (!d && errno != ENOENT)
		return err_errno("open %s", path);
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			g_ptr_array_add(names, g_strdup(entry->d_name));
	if (d) {
		*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*ret_fd < 0)
			return err_errno("open %s", path);
	}
	*ret = g_steal_pointer(&names);
	return 0;
}

/* 1 if SQL has a row for WHAT. */
static int known(struct engine *e, const char *sql, const char *what)
{
	CLEANUP(store_finish) sqlite3_stmt *q = store_prepare(e, sql);

	store_bind(q, "s", what);
	return store_step(e, q);
}

/* One thing that cannot be removed (something is mounted there) is not to stop the rest. */
static void remove_tree(int dir, const char *name)
{
	if (file_remove_tree_at(dir, name) < 0) {
		log_warn("%s: %s", name, err_message());
		err_clear();
	}
}

static int sweep_blobs(struct engine *e)
{
	g_autoptr(GPtrArray) names = NULL;
	autoclose int dir = -1;
	int r = list(e, "blobs/sha256", &dir, &names);

	for (unsigned i = 0; r >= 0 && i < names->len; i++) {
		g_autofree char *digest = g_strconcat(DIGEST_PREFIX, names->pdata[i], NULL);

		r = known(e, "SELECT 1 FROM image_blobs WHERE digest=? LIMIT 1", digest);
		if (r == 0 && unlinkat(dir, names->pdata[i], 0) < 0)
			log_warn("remove blob %s: %s", digest, g_strerror(errno));
	}
	return r < 0 ? r : 0;
}

/* A layer must not be found half removed under its name. */
static void remove_layer(int dir, const char *name)
{
	g_autofree char *aside = g_strconcat(name, ".new-gone", NULL);

	if (renameat(dir, name, dir, aside) == 0)
		remove_tree(dir, aside);
	else
		log_warn("remove layer %s: %s", name, g_strerror(errno));
}

static int sweep_layers(struct engine *e)
{
	g_autoptr(GPtrArray) names = NULL;
	autoclose int dir = -1;
	int r = list(e, "overlay", &dir, &names);

	for (unsigned i = 0; r >= 0 && i < names->len; i++) {
		const char *name = names->pdata[i];

		if (strstr(name, ".new-")) {
			remove_tree(dir, name);
			continue;
		}
		if (!digest_is_hex(name, ENGINE_ID_LEN, ENGINE_ID_LEN))
			continue;
		r = known(e,
			  "SELECT 1 FROM image_layers WHERE layer=?1 UNION ALL "
			  "SELECT 1 FROM containers WHERE id=?1 LIMIT 1",
			  name);
		if (r == 0)
			remove_layer(dir, name);
	}
	if (r >= 0)
		r = store_exec(
			e, "DELETE FROM layers WHERE id NOT IN (SELECT layer FROM image_layers)",
			"");
	return r;
}

static int sweep_scratch(struct engine *e)
{
	g_autoptr(GPtrArray) names = NULL;
	autoclose int dir = -1;
	int r = list(e, "tmp", &dir, &names);

	for (unsigned i = 0; r == 0 && i < names->len; i++)
		remove_tree(dir, names->pdata[i]);
	return r;
}

static int sweep_mounts(struct engine *e)
{
	g_autoptr(GPtrArray) names = NULL;
	autoclose int dir = -1;
	int r = list(e, "overlay-images", &dir, &names);

	for (unsigned i = 0; r >= 0 && i < names->len; i++) {
		g_autofree char *merged = g_build_filename(e->root, "overlay-images",
							   names->pdata[i], "merged", NULL);

		r = known(e, "SELECT 1 FROM images WHERE id=?", names->pdata[i]);
		if (r != 0)
			continue;
		if (mount_detach(merged) < 0)
			err_clear();
		remove_tree(dir, names->pdata[i]);
	}
	return r < 0 ? r : 0;
}

int image_collect_garbage(struct engine *e)
{
	autoclose int hold = -1;
	int r = blobs_hold_alone(e, &hold);

	if (r != 0) /* 1: whoever has it leaves more garbage anyway, for the next one */
		return r < 0 ? r : 0;
	r = sweep_mounts(e); /* first: they are made of layers */
	if (r == 0)
		r = sweep_blobs(e);
	if (r == 0)
		r = sweep_layers(e);
	if (r == 0)
		r = sweep_scratch(e);
	return r < 0 ? err_wrap(r, "remove unused layers") : 0;
}
