/* SPDX-License-Identifier: Apache-2.0 */
/* Layers under their names in ROOT/overlay, and who may make them. */
#include "base/atomicdir.h"
#include "base/fd.h"
#include "base/file.h"
#include "engine/layer.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * One lock file for all layers, a byte for each: nothing is left behind or has to be removed.
 * Open file description locks go with the descriptor, so also with a killed process (fcntl(2)).
 */
static int layer_lock(int overlay, const char *chain, int *ret)
{
	char digits[16] = {0};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	autoclose int fd = openat(overlay, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno("open the layers' lock");
	g_strlcpy(digits, chain, sizeof(digits)); /* 60 bits: below the largest offset */
	lock.l_start = (off_t)strtoull(digits, NULL, 16);
	while (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
		if (errno != EINTR)
			return err_errno("lock layer %s", chain);
	*ret = take_fd(&fd);
	return 0;
}

static void close_all(GArray **fds)
{
	for (unsigned i = 0; *fds && i < (*fds)->len; i++)
		close(g_array_index(*fds, int, i));
	g_clear_pointer(fds, g_array_unref);
}

static int open_parents(int overlay, char *const *parents, GArray *fds)
{
	unsigned n = g_strv_length((char **)parents);

	while (n-- > 0) {
		g_autofree char *name = g_build_filename(parents[n], "diff", NULL);
		int fd = openat(overlay, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return err_errno("open layer %s", parents[n]);
		g_array_append_val(fds, fd);
	}
	return 0;
}

/* Before the directory: one that is not in the table would be taken for garbage. */
static int add_row(struct engine *e, const char *chain, const struct layer_result *res)
{
	return store_exec(e, "INSERT OR REPLACE INTO layers(id, diff_id, size) VALUES(?, ?, ?)",
			  "ssl", chain, res->diff_id, (int64_t)res->tar_bytes);
}

static int unpack_aside(struct engine *e, int overlay, const struct layer_stream *s,
			char *const *parents, const char *chain)
{
	CLEANUP(atomicdir_drop) struct atomicdir d = ATOMICDIR_NONE;
	CLEANUP(close_all) GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
	autoclose int diff = -1;
	struct layer_result res;
	int r;

	r = open_parents(overlay, parents, fds);
	if (r == 0)
		r = atomicdir_begin(&d, overlay, chain);
	if (r < 0)
		return r;
	if (mkdirat(d.fd, "diff", 0755) < 0 ||
	    (diff = openat(d.fd, "diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_errno("create layer %s", chain);
	r = layer_unpack(s, diff, (const int *)(void *)fds->data, fds->len, &res);
	if (r == 0) /* before the directory: one without a row would never be collected */
		r = store_exec(e,
			       "INSERT OR REPLACE INTO layers (id, diff_id, size) VALUES (?,?,?)",
			       "ssl", chain, res.diff_id, (int64_t)res.tar_bytes);
	return r < 0 ? r : atomicdir_commit(&d);
}

static int open_overlay(struct engine *e, int *ret)
{
	g_autofree char *path = g_build_filename(e->root, "overlay", NULL);
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

/* 1: the layer is there.  Else *RET_LOCK is held, and nobody else is at it. */
static int layer_claim(int overlay, const char *chain, int *ret_lock)
{
	int r;

	if (faccessat(overlay, chain, F_OK, 0) == 0)
		return 1;
	r = layer_lock(overlay, chain, ret_lock);
	if (r < 0)
		return r;
	return faccessat(overlay, chain, F_OK, 0) == 0; /* somebody was faster */
}

int layer_ensure(struct engine *e, const struct layer_stream *s, char *const *parents,
		 char ret_chain[ENGINE_ID_LEN + 1])
{
	unsigned n = g_strv_length((char **)parents);
	autoclose int overlay = -1, lock = -1;
	int r = digest_check(s->diff_id);

	if (r == 0)
		r = open_overlay(e, &overlay);
	if (r < 0)
		return r;
	layer_chain_id(n ? parents[n - 1] : NULL, s->diff_id, ret_chain);
	r = layer_claim(overlay, ret_chain, &lock);
	if (r == 0)
		r = unpack_aside(e, overlay, s, parents, ret_chain);
	return r < 0 ? r : 0;
}

int layer_take(struct engine *e, const char *path, const char *parent,
	       const struct layer_result *res)
{
	autoclose int overlay = -1, lock = -1;
	char chain[ENGINE_ID_LEN + 1];
	int r = open_overlay(e, &overlay);

	if (r < 0)
		return r;
	layer_chain_id(parent, res->diff_id, chain);
	r = layer_claim(overlay, chain, &lock);
	if (r == 0)
		r = add_row(e, chain, res);
	if (r != 0)
		return r < 0 ? r : 0;
	if (syncfs(overlay) < 0)
		return err_errno("sync layer %s", chain);
	if (renameat(AT_FDCWD, path, overlay, chain) < 0)
		return err_errno("rename layer %s", chain);
	return fsync(overlay) < 0 ? err_errno("sync the layers' directory") : 0;
}
