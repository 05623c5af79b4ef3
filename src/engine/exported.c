/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exported.h"
#include "base/atomicdir.h"
#include "base/file.h"
#include "engine/archive_in.h"
#include "engine/archive_out.h"
#include "engine/blobs.h"
#include "engine/ckfiles.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD	   "archive.json"
#define RECORD_MAX 65536

static int64_t mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

/* Takes J. */
static int write_record(int dir, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	int r;

	json_decref(j);
	if (!text)
		return 0; /* a path that is not UTF-8 is not remembered */
	r = file_write_at(dir, RECORD, text, strlen(text), 0600);
	free(text);
	return r;
}

/* Takes RECORD. */
static int note(struct engine *e, int dir, json_t *record)
{
	CLEANUP(atomicdir_drop) struct atomicdir d = ATOMICDIR_NONE;
	int r = atomicdir_begin(&d, dir, CK_EXPORTED);

	if (r < 0)
		json_decref(record);
	else
		r = write_record(d.fd, record);
	if (r == 0)
		r = atomicdir_also(&d, dir, CK_NETWORK);
	if (r == 0)
		r = atomicdir_also(&d, dir, "config.json");
	if (r == 0)
		r = store_sync_with(e, &d);
	return r < 0 ? r : atomicdir_commit(&d);
}

int exported_note(struct engine *e, int dir, const char *path)
{
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	struct stat st;

	if (stat(absolute, &st) < 0)
		return err_errno("stat %s", path);
	return note(e, dir,
		    json_pack("{s:s, s:I, s:I}", "path", absolute, "size", (json_int_t)st.st_size,
			      "mtime_ns", (json_int_t)mtime_ns(&st)));
}

int exported_note_image(struct engine *e, int dir, const char *layer, const char *name)
{
	return note(e, dir, json_pack("{s:s, s:s}", "layer", layer, "image", name));
}

/* A layer's name says what is in it; of a file its time does. */
static int find_archive(struct engine *e, const json_t *j, char **ret_path)
{
	const char *path = json_string_value(json_object_get(j, "path"));
	const char *layer = json_string_value(json_object_get(j, "layer"));
	const char *image = json_string_value(json_object_get(j, "image"));
	struct stat st;
	int r;

	if (layer && image) {
		r = digest_check(layer);
		if (r < 0)
			return r;
		if (!blob_exists(e, layer))
			return err_set(ENOENT, "it was in image %s, which is gone", image);
		*ret_path = blob_path(e, layer);
		return 0;
	}
	if (!path)
		return err_set(EBADMSG, CK_EXPORTED "/" RECORD " is damaged");
	if (stat(path, &st) < 0)
		return err_set(errno, "it is in %s: %s", path, g_strerror(errno));
	if (st.st_size != json_integer_value(json_object_get(j, "size")) ||
	    mtime_ns(&st) != json_integer_value(json_object_get(j, "mtime_ns")))
		return err_set(ESTALE, "it was in %s, which is another file now", path);
	*ret_path = g_strdup(path);
	return 0;
}

/* 1: there is none. */
static int read_record(struct engine *e, int dir, char **ret_path)
{
	g_autofree char *text = NULL;
	json_t *j;
	int r = file_read_at(dir, CK_EXPORTED "/" RECORD, RECORD_MAX, &text, NULL);

	if (r == -ENOENT) {
		err_clear();
		return 1;
	}
	if (r < 0)
		return r;
	j = json_loads(text, 0, NULL);
	r = find_archive(e, j, ret_path);
	json_decref(j);
	return r;
}

bool exported_is_noted(int dir)
{
	return dir >= 0 && faccessat(dir, CK_EXPORTED "/" RECORD, F_OK, 0) == 0;
}

int exported_find(struct engine *e, const struct container *c, char **ret_path)
{
	autoclose int dir = -1;
	int r = ck_open_static(e, c, &dir);

	return r < 0 ? r : read_record(e, dir, ret_path);
}

bool exported_is_there(struct engine *e, const struct container *c)
{
	g_autofree char *path = NULL;
	int r = exported_find(e, c, &path);

	err_clear();
	return r == 0;
}

int exported_fetch(struct engine *e, const struct container *c, int dir)
{
	CLEANUP(archive_in_clear) struct archive_in in = ARCHIVE_IN_NONE;
	g_autofree char *path = NULL;
	int r = read_record(e, dir, &path);

	if (r != 0)
		return r;
	r = archive_in_open(&in, e,
			    &(struct archive_in_options){.path = path, .images_only = true});
	if (r == 0)
		r = archive_in_read(&in);
	if (r == 0 && (!in.has_images ||
		       g_strcmp0(json_string_value(json_object_get(in.config, "id")), c->id)))
		r = err_set(ESTALE, "%s has the checkpoint of another container", path);
	if (r == 0)
		r = archive_in_join_shm(&in);
	if (r == 0 && renameat(in.dir, ARCHIVE_IMAGES, dir, CK_IMAGES) < 0)
		r = err_errno("move " CK_IMAGES);
	return r;
}
