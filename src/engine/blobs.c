/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/blobs.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define JSON_MAX ((size_t)16 << 20) /* registries refuse manifests above 4 MiB */

static char *blobs_dir(struct engine *e)
{
	return g_build_filename(e->root, "blobs", "sha256", NULL);
}

static int hold(struct engine *e, int how, int *ret)
{
	g_autofree char *dir = blobs_dir(e);
	autoclose int fd = -1;
	int r = file_mkdirs(dir, 0700);

	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s", dir);
	while (flock(fd, how) < 0) {
		if (errno == EWOULDBLOCK)
			return 1;
		if (errno != EINTR)
			return err_errno("lock %s", dir);
	}
	*ret = take_fd(&fd);
	return 0;
}

int blobs_hold(struct engine *e, int *ret)
{
	return hold(e, LOCK_SH, ret);
}

int blobs_hold_alone(struct engine *e, int *ret)
{
	return hold(e, LOCK_EX | LOCK_NB, ret);
}

char *blob_path(struct engine *e, const char *digest)
{
	return g_build_filename(e->root, "blobs", "sha256", digest_hex(digest), NULL);
}

bool blob_exists(struct engine *e, const char *digest)
{
	g_autofree char *path = blob_path(e, digest);

	return access(path, F_OK) == 0;
}

int blob_open(struct engine *e, const char *digest, int *ret)
{
	g_autofree char *path = NULL;
	int r = digest_check(digest);

	if (r < 0)
		return r;
	path = blob_path(e, digest);
	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *ret < 0 ? err_errno("open blob %s", digest) : 0;
}

int blob_read(struct engine *e, const char *digest, size_t max, char **ret, size_t *ret_len)
{
	g_autofree char *path = NULL, *text = NULL;
	char real[DIGEST_MAX];
	size_t len;
	int r = digest_check(digest);

	if (r < 0)
		return r;
	path = blob_path(e, digest);
	r = file_read_at(AT_FDCWD, path, max, &text, &len);
	if (r < 0)
		return r;
	digest_of(text, len, real);
	if (strcmp(real, digest)) {
		blob_discard(e, digest);
		return err_set(EBADMSG, "blob %s is corrupt: its content has digest %s", digest,
			       real);
	}
	*ret = g_steal_pointer(&text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int blob_read_json(struct engine *e, const char *digest, json_t **ret)
{
	g_autofree char *text = NULL;
	json_error_t why;
	size_t len;
	int r = blob_read(e, digest, JSON_MAX, &text, &len);

	if (r < 0)
		return r;
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!*ret || !json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(EBADMSG, "blob %s is not a JSON object: %s", digest, why.text);
	}
	return 0;
}

int blob_write(struct engine *e, const void *data, size_t len, char ret[DIGEST_MAX])
{
	g_autofree char *path = NULL;

	digest_of(data, len, ret);
	if (blob_exists(e, ret))
		return 0;
	path = blob_path(e, ret);
	return file_replace_at(AT_FDCWD, path, data, len, 0600);
}

int blob_adopt(struct engine *e, const char *path, const char *digest)
{
	g_autofree char *to = NULL;
	int r = digest_check(digest);

	if (r < 0)
		return r;
	to = blob_path(e, digest);
	return rename(path, to) < 0 ? err_errno("rename %s to %s", path, to) : 0;
}

void blob_discard(struct engine *e, const char *digest)
{
	g_autofree char *path = blob_path(e, digest);

	unlink(path);
}

int blobs_scratch(struct engine *e, const char *what, char **ret_path)
{
	g_autofree char *dir = g_build_filename(e->root, "tmp", NULL);
	g_autofree char *path = g_strdup_printf("%s/%s-XXXXXX", dir, what);
	int r = file_mkdirs(dir, 0700);

	if (r < 0)
		return r;
	if (!mkdtemp(path))
		return err_errno("create %s", path);
	*ret_path = g_steal_pointer(&path);
	return 0;
}

void blobs_scratch_drop(char **path)
{
	if (*path && file_remove_tree_at(AT_FDCWD, *path) < 0)
		err_clear(); /* swept with the garbage later */
	g_clear_pointer(path, g_free);
}
