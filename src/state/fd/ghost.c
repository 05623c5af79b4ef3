/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ghosts: files that have no name any more but are still open or mapped.  Their content is in the
 * images; at restore they get their old name, are opened by all who had them, and lose it again.
 */
#include "state/fd/files.h"

#include "base/fd.h"
#include "image/ghost-file.pb-c.h"
#include "image/regfile.pb-c.h"
#include "image/remap-file-path.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define COPY_BYTES (1u << 20)

/* The pieces of the file that have data (lseek(2), SEEK_DATA). */
static int dump_chunks(struct dump *d, uint32_t id, int fd, const char *name)
{
	g_autofree uint8_t *buf = g_malloc(COPY_BYTES);
	off_t at = 0, end;
	int r;

	for (;;) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : err_errno("look for data in %s", name);
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return err_errno("look for holes in %s", name);
		while (at < end) {
			GhostChunkEntry c = GHOST_CHUNK_ENTRY__INIT;

			c.off = (uint64_t)at;
			c.len = MIN((uint64_t)(end - at), COPY_BYTES);
			r = fd_pread_full(fd, buf, c.len, at);
			if (r < 0)
				return err_wrap(r, "%s", name);
			r = image_write(&d->w, IMG_GHOST_FILE, id, &c.base);
			if (r == 0)
				r = image_write_raw(&d->w, IMG_GHOST_FILE, id, buf, c.len);
			if (r < 0)
				return r;
			at += (off_t)c.len;
		}
	}
}

static void timeval_of(const struct timespec *t, Timeval *ret)
{
	timeval__init(ret);
	ret->tv_sec = (uint64_t)t->tv_sec;
	ret->tv_usec = (uint64_t)t->tv_nsec / 1000;
}

int ghost_dump(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	GhostFileEntry e = GHOST_FILE_ENTRY__INIT;
	Timeval atim, mtim;
	autoclose int fd = -1;
	uint32_t id = (uint32_t)v->st.st_ino;
	int r;

	/* CRIU numbers ghosts in the order it meets them; any number serves */
	*ret_id = id = files_ghost_id(d, &v->st);
	if (!dump_once(d, "ghost", id))
		return 0;
	fd = open(v->reopen, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("read %s", v->link);
	e.uid = v->st.st_uid;
	e.gid = v->st.st_gid;
	e.mode = v->st.st_mode;
	e.has_dev = e.has_ino = e.has_chunks = e.has_size = e.chunks = true;
	e.dev = (uint32_t)v->st.st_dev;
	e.ino = v->st.st_ino;
	e.size = (uint64_t)v->st.st_size;
	timeval_of(&v->st.st_atim, &atim);
	timeval_of(&v->st.st_mtim, &mtim);
	e.atim = &atim;
	e.mtim = &mtim;
	r = image_write(&d->w, IMG_GHOST_FILE, id, &e.base);
	return r < 0 ? r : dump_chunks(d, id, fd, v->link);
}

int ghost_remap(struct dump *d, uint32_t file_id, uint32_t ghost_id)
{
	RemapFilePathEntry e = REMAP_FILE_PATH_ENTRY__INIT;

	e.orig_id = file_id;
	e.remap_id = ghost_id;
	e.has_remap_type = true;
	e.remap_type = REMAP_TYPE__GHOST;
	return image_write(&d->w, IMG_REMAP_FPATH, 0, &e.base);
}

struct ghost {
	char *name; /* where it was made */
	int dir;    /* O_PATH: the directory that has the name */
};

static void ghost_free(void *p)
{
	struct ghost *g = p;

	cleanup_close(&g->dir);
	g_free(g->name);
	g_free(g);
}

int ghosts_load(struct restore *r)
{
	g_autoptr(GPtrArray) all = NULL;
	int ret = image_load_all(r->o.images, IMG_REMAP_FPATH, 0, &all);

	if (ret < 0)
		return ret;
	r->ghosts = g_hash_table_new(NULL, NULL);
	r->ghosts_made = g_hash_table_new_full(NULL, NULL, NULL, ghost_free);
	for (unsigned i = 0; i < all->len; i++) {
		const RemapFilePathEntry *e = g_ptr_array_index(all, i);

		if (e->has_remap_type && e->remap_type != REMAP_TYPE__GHOST)
			return err_set(EOPNOTSUPP, "remap-fpath.img: file %u: remap of type %d",
				       e->orig_id, e->remap_type);
		if (e->remap_id == 0)
			return err_set(EBADMSG, "remap-fpath.img: file %u: ghost 0", e->orig_id);
		g_hash_table_insert(r->ghosts, GUINT_TO_POINTER(e->orig_id),
				    GUINT_TO_POINTER(e->remap_id));
	}
	return 0;
}

static int fill(int fd, struct image *img, const GhostFileEntry *e)
{
	CLEANUP(image_record_free) GhostChunkEntry *c = NULL;
	g_autofree uint8_t *buf = g_malloc(COPY_BYTES);
	uint64_t at, left;
	int r;

	if (ftruncate(fd, (off_t)(e->has_size ? e->size : image_rest(img))) < 0)
		return err_errno("size %" PRIu64, e->size);
	for (;;) {
		if (e->chunks) {
			r = image_read_as(img, &ghost_chunk_entry__descriptor, &c);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		at = e->chunks ? c->off : 0;
		left = e->chunks ? c->len : image_rest(img);
		if (left > image_rest(img))
			return err_set(EBADMSG, "%s: a chunk is longer than the file", img->name);
		while (left > 0) {
			size_t n = MIN(left, COPY_BYTES);

			r = image_read_raw(img, buf, n);
			if (r == 0)
				r = fd_pwrite_full(fd, buf, n, (off_t)at);
			if (r < 0)
				return r;
			at += n;
			left -= n;
		}
		if (!e->chunks)
			return 0;
	}
}

/* Creates a file at NAME in DIR, or at a name beside it if there is one already. */
static int create(int dir, const char *base, char **ret_base)
{
	int fd = openat(dir, base, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	*ret_base = g_strdup(base);
	for (unsigned i = 0; fd < 0 && errno == EEXIST && i < 1000; i++) {
		g_free(*ret_base);
		*ret_base = g_strdup_printf("%.200s.cryo.%u", base, i);
		fd = openat(dir, *ret_base, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	}
	return fd < 0 ? err_errno("create %s", base) : fd;
}

int ghost_make(struct restore *r, const RegFileEntry *reg, uint32_t id, char **ret_name)
{
	struct ghost *g = g_hash_table_lookup(r->ghosts_made, GUINT_TO_POINTER(id));
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) GhostFileEntry *e = NULL;
	g_autofree char *dir_name = NULL, *base = NULL, *made = NULL;
	autoclose int dir = -1, fd = -1;
	int ret;

	if (g) {
		*ret_name = g_strdup(g->name);
		return 0;
	}
	ret = image_open_needed(r->o.images, IMG_GHOST_FILE, id, &img);
	if (ret == 0)
		ret = image_read(img, &e);
	if (ret != 0)
		return ret < 0 ? ret : err_set(EBADMSG, "%s is empty", img->name);
	if (!S_ISREG(e->mode))
		return err_set(EBADMSG, "%s: mode %o", img->name, e->mode);
	dir_name = g_path_get_dirname(reg->name);
	base = g_path_get_basename(reg->name);
	dir = (int)syscall(SYS_openat2, r->root, dir_name, &how, sizeof(how));
	if (dir < 0)
		return err_errno("open %s", dir_name);
	fd = create(dir, base, &made);
	if (fd < 0)
		return fd;
	g = g_new0(struct ghost, 1);
	g->dir = take_fd(&dir);
	g->name = g_build_filename(dir_name, made, NULL);
	g_hash_table_insert(r->ghosts_made, GUINT_TO_POINTER(id), g);
	ret = fill(fd, img, e);
	if (ret < 0)
		return err_wrap(ret, "%s", g->name);
	if (fchown(fd, e->uid, e->gid) < 0 || fchmod(fd, e->mode & 07777) < 0)
		return err_errno("%s: owner and mode", g->name);
	*ret_name = g_strdup(g->name);
	return 0;
}

int ghosts_unlink(struct restore *r)
{
	GHashTableIter it;
	struct ghost *g;

	g_hash_table_iter_init(&it, r->ghosts_made);
	while (g_hash_table_iter_next(&it, NULL, (void **)&g)) {
		g_autofree char *base = g_path_get_basename(g->name);

		if (g->dir >= 0 && unlinkat(g->dir, base, 0) < 0 && errno != ENOENT)
			return err_errno("unlink %s", g->name);
		cleanup_close(&g->dir);
		g->dir = -1;
	}
	return 0;
}
