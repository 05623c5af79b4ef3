/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer.h"
#include "base/atomicdir.h"
#include "base/fd.h"
#include "base/file.h"
#include "engine/layer_entry.h"
#include "engine/store.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * libarchive converts names of pax headers from UTF-8 to the thread's locale, and in the C locale
 * that of a plain program fails for everything beyond ASCII.
 */
static void restore_locale(locale_t *old)
{
	locale_t mine = uselocale(*old);

	if (mine != *old && mine != LC_GLOBAL_LOCALE)
		freelocale(mine);
}

static locale_t use_utf8(void)
{
	locale_t l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	return l ? uselocale(l) : uselocale((locale_t)0);
}

int layer_unpack(const struct layer_stream *s, int diff, const int *parents, unsigned nparents,
		 struct layer_result *ret)
{
	CLEANUP(restore_locale) locale_t old __attribute__((unused)) = use_utf8();
	CLEANUP(layer_reader_close) struct layer_reader *reader = NULL;
	CLEANUP(layer_unpacker_clear) struct layer_unpacker u = {.tree.dir_fd = -1};
	autoclose int below = -1;
	struct archive_entry *entry;
	struct stat st = {.st_mode = S_IFDIR | 0755};
	int r;

	r = layer_reader_open(s, &reader);
	if (r < 0)
		return r;
	r = overlay_lookup(parents, nparents, "", &st, &below);
	if (r > 0)
		r = overlay_copy_attributes(below, &st, diff, ".");
	else if (r == 0 && fchmod(diff, 0755) < 0)
		r = err_errno("set mode of a layer");
	if (r < 0)
		return r;
	layer_unpacker_init(&u, reader, diff, parents, nparents, s->limits.depth);
	while ((r = layer_reader_next(reader, &entry)) > 0) {
		r = layer_entry_unpack(&u, entry);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = layer_entry_finish(&u);
	return r < 0 ? r : layer_reader_finish(reader, ret);
}

void layer_chain_id(const char *parent, const char *diff_id, char ret[ENGINE_ID_LEN + 1])
{
	g_autofree char *both = NULL;
	char digest[DIGEST_MAX];

	if (parent) { /* OCI image spec, config.md, "Layer ChainID" */
		both = g_strdup_printf(DIGEST_PREFIX "%s %s", parent, diff_id);
		digest_of(both, strlen(both), digest);
		diff_id = digest;
	}
	g_strlcpy(ret, digest_hex(diff_id), ENGINE_ID_LEN + 1);
}

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
