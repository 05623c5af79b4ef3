/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ghosts: files and directories that have no name any more but are still open, mapped or somebody's
 * current directory.  Their content is in the images; at restore they get their old name, are
 * opened by all who had them, and lose it again.  Directories on the way to the name that have gone
 * as well come back for as long.
 */
#include "base/file.h"
#include "state/fd/files.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "base/fd.h"
#include "image/ghost-file.pb-c.h"
#include "image/regfile.pb-c.h"
#include "image/remap-file-path.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
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

int ghost_check(struct dump *d, const struct path_view *v)
{
	uint64_t bytes = (uint64_t)v->st.st_blocks * 512;

	if (!S_ISREG(v->st.st_mode) || !d->o.ghost_limit || bytes <= d->o.ghost_limit)
		return 0;
	return err_set(EOPNOTSUPP,
		       "%s: %" PRIu64 " bytes without a name are more than the limit of %" PRIu64
		       "; use --ghost-limit to save them",
		       v->link, bytes, d->o.ghost_limit);
}

static int read_target(const struct path_view *v, char target[static PATH_MAX])
{
	autoclose int fd = open(v->reopen, O_PATH | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, PATH_MAX - 1);

	if (n < 0)
		return err_errno("read link %s", v->link);
	target[n] = 0;
	return 0;
}

/* By the description that is there; where it reads and writes is as before. */
static int dump_leased(struct dump *d, const struct path_view *v, uint32_t id)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int fd = -1;
	int pid, tfd, r;
	off_t at;

	if (sscanf(v->reopen, "/proc/%d/fd/%d", &pid, &tfd) != 2)
		return err_set(EINVAL, "read %s: by %s?", v->link, v->reopen);
	r = proc_open(pid, &p);
	if (r == 0)
		r = proc_getfd(&p, tfd, &fd);
	if (r < 0)
		return r;
	at = lseek(fd, 0, SEEK_CUR);
	r = dump_chunks(d, id, fd, v->link);
	lseek(fd, at, SEEK_SET);
	return r;
}

int ghost_dump(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	GhostFileEntry e = GHOST_FILE_ENTRY__INIT;
	Timeval atim, mtim;
	autoclose int fd = -1;
	uint32_t id = (uint32_t)v->st.st_ino;
	char target[PATH_MAX];
	int r;

	r = ghost_check(d, v);
	if (r < 0)
		return r;
	/* CRIU numbers ghosts in the order it meets them; any number serves */
	*ret_id = id = files_ghost_id(d, &v->st);
	if (!dump_once(d, "ghost", id))
		return 0;
	e.uid = users_uid(d, v->st.st_uid);
	e.gid = users_gid(d, v->st.st_gid);
	e.mode = v->st.st_mode;
	e.has_dev = e.has_ino = true;
	e.has_chunks = e.has_size = e.chunks = S_ISREG(v->st.st_mode);
	e.dev = (uint32_t)v->st.st_dev;
	e.ino = v->st.st_ino;
	e.size = (uint64_t)v->st.st_size;
	timeval_of(&v->st.st_atim, &atim);
	timeval_of(&v->st.st_mtim, &mtim);
	e.atim = &atim;
	e.mtim = &mtim;
	e.has_rdev = S_ISCHR(v->st.st_mode) || S_ISBLK(v->st.st_mode);
	e.rdev = (uint32_t)v->st.st_rdev;
	r = S_ISLNK(v->st.st_mode) ? read_target(v, target) : 0;
	if (r < 0)
		return r;
	e.symlnk_target = S_ISLNK(v->st.st_mode) ? target : NULL;
	r = image_write(&d->w, IMG_GHOST_FILE, id, &e.base);
	if (r < 0 || !S_ISREG(v->st.st_mode))
		return r;
	if (v->leased)
		return dump_leased(d, v, id);
	fd = open(v->reopen, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno("read %s", v->link);
	return dump_chunks(d, id, fd, v->link);
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

struct ghost {	    /* or a directory on the way to one: those have numbers of no ghost */
	char *name; /* where it was made */
	int dir;    /* O_PATH: the directory that has the name */
	bool is_dir;
	int root; /* the directory that the name begins in; borrowed */
	int fd;	  /* ours, if it never had a name (O_TMPFILE), and may still get one; else -1 */
};

static void ghost_free(void *p)
{
	struct ghost *g = p;

	cleanup_close(&g->dir);
	cleanup_close(&g->fd);
	g_free(g->name);
	g_free(g);
}

static int root_of(struct restore *r, const RegFileEntry *e)
{
	int adrift = adrift_root(r, e->id); /* path_open() has made it */

	return adrift >= 0 ? adrift : spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1);
}

static struct ghost *ghost_new(struct restore *r, uint64_t key, int dir, char *name)
{
	struct ghost *g = g_new0(struct ghost, 1);

	g->dir = dir;
	g->fd = -1;
	g->name = name;
	g_hash_table_insert(r->ghosts_made, GSIZE_TO_POINTER(key), g);
	return g;
}

int ghosts_load(struct restore *r)
{
	g_autoptr(GPtrArray) all = NULL;
	int ret = image_load_all(r->o.images, IMG_REMAP_FPATH, 0, &all);

	if (ret < 0)
		return ret;
	r->ghosts = g_hash_table_new(NULL, NULL);
	r->linked = g_hash_table_new(NULL, NULL);
	r->gone = g_hash_table_new(NULL, NULL);
	r->ghosts_made = g_hash_table_new_full(NULL, NULL, NULL, ghost_free);
	for (unsigned i = 0; i < all->len; i++) {
		const RemapFilePathEntry *e = g_ptr_array_index(all, i);

		if (e->has_remap_type && e->remap_type == REMAP_TYPE__PROCFS) {
			g_hash_table_insert(r->gone, GUINT_TO_POINTER(e->orig_id),
					    GUINT_TO_POINTER(e->remap_id));
			continue;
		}
		if (e->has_remap_type && e->remap_type == REMAP_TYPE__LINKED) {
			g_hash_table_insert(r->linked, GUINT_TO_POINTER(e->orig_id),
					    GUINT_TO_POINTER(e->remap_id));
			continue;
		}
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

/* The directory of this name, made if it has gone. */
static int open_dir(struct restore *r, const RegFileEntry *reg, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	g_autofree char *parent = NULL, *base = NULL, *made = NULL;
	struct ghost *g;
	int root = root_of(r, reg), dir = file_openat2(root, name, &how), fd;

	if (dir >= 0)
		return dir;
	if (errno != ENOENT || strcmp(name, "/") == 0)
		return err_errno("open %s", name);
	parent = g_path_get_dirname(name);
	base = g_path_get_basename(name);
	dir = open_dir(r, reg, parent);
	if (dir < 0)
		return dir;
	fd = ghost_node(r, reg, &dir, base, &(GhostFileEntry){.mode = S_IFDIR}, &made);
	if (fd < 0) {
		close(dir);
		return fd;
	}
	g = ghost_new(r, UINT64_C(1) << 32 | g_hash_table_size(r->ghosts_made), dir,
		      g_build_filename(parent, made, NULL));
	g->is_dir = true;
	g->root = root;
	return fd;
}

/* A directory that was already made for what was in it. */
static struct ghost *find_dir(struct restore *r, int root, const char *name)
{
	GHashTableIter it;
	struct ghost *g;

	g_hash_table_iter_init(&it, r->ghosts_made);
	while (g_hash_table_iter_next(&it, NULL, (void **)&g))
		if (g->is_dir && g->root == root && strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

/* Owner, mode and times; the last is for its own sake only. */
static int dress(const struct restore *r, int fd, const GhostFileEntry *e, const char *name)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* it may be O_PATH */
	if (fchownat(fd, "", users_outer_uid(r, e->uid), users_outer_gid(r, e->gid),
		     AT_EMPTY_PATH) < 0 ||
	    (!S_ISLNK(e->mode) && chmod(path, e->mode & 07777) < 0))
		return err_errno("%s: owner and mode", name);
	if (e->atim && e->mtim) {
		t[0] = (struct timespec){(time_t)e->atim->tv_sec, (long)e->atim->tv_usec * 1000};
		t[1] = (struct timespec){(time_t)e->mtim->tv_sec, (long)e->mtim->tv_usec * 1000};
	}
	return utimensat(fd, "", t, AT_EMPTY_PATH) < 0 ? err_errno("%s: times", name) : 0;
}

/* Without a name, as it was born; -EOPNOTSUPP: this file system cannot. */
static int make_nameless(struct restore *r, const RegFileEntry *reg, uint32_t id, struct image *img,
			 const GhostFileEntry *e, struct ghost **ret_ghost)
{
	g_autofree char *dir_name = g_path_get_dirname(reg->name);
	autoclose int dir = open_dir(r, reg, dir_name);
	char path[64];
	int ret, fd;

	if (dir < 0)
		return dir;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno("nameless file in %s", dir_name);
	*ret_ghost = ghost_new(r, id, -1, g_strdup(reg->name));
	(*ret_ghost)->fd = fd;
	ret = fill(fd, img, e);
	return ret < 0 ? err_wrap(ret, "%s", reg->name) : dress(r, fd, e, reg->name);
}

int ghost_make(struct restore *r, const RegFileEntry *reg, uint32_t id, char **ret_name,
	       int *ret_fd)
{
	struct ghost *g = g_hash_table_lookup(r->ghosts_made, GUINT_TO_POINTER(id));
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) GhostFileEntry *e = NULL;
	g_autofree char *dir_name = NULL, *base = NULL, *made = NULL;
	autoclose int dir = -1, fd = -1;
	int ret;

	*ret_fd = -1;
	if (g) {
		*ret_name = g_strdup(g->name);
		*ret_fd = g->fd;
		return 0;
	}
	ret = image_open_needed(r->o.images, IMG_GHOST_FILE, id, &img);
	if (ret == 0)
		ret = image_read(img, &e);
	if (ret != 0)
		return ret < 0 ? ret : err_set(EBADMSG, "%s is empty", img->name);
	if (S_ISSOCK(e->mode) || (S_ISLNK(e->mode) && !e->symlnk_target))
		return err_set(EBADMSG, "%s: mode %o", img->name, e->mode);
	if (S_ISREG(e->mode) && (reg->flags & O_TMPFILE) == O_TMPFILE) {
		ret = make_nameless(r, reg, id, img, e, &g);
		if (ret == 0) {
			*ret_name = g_strdup(g->name);
			*ret_fd = g->fd;
		}
		if (ret != -EOPNOTSUPP)
			return ret;
		err_clear();
	}
	g = S_ISDIR(e->mode) ? find_dir(r, root_of(r, reg), reg->name) : NULL;
	if (g) {
		*ret_name = g_strdup(g->name);
		base = g_path_get_basename(g->name);
		fd = openat(g->dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? err_errno("open %s", g->name) : dress(r, fd, e, g->name);
	}
	dir_name = g_path_get_dirname(reg->name);
	base = g_path_get_basename(reg->name);
	dir = open_dir(r, reg, dir_name);
	if (dir < 0)
		return dir;
	fd = ghost_node(r, reg, &dir, base, e, &made);
	if (fd < 0)
		return fd;
	g = ghost_new(r, id, take_fd(&dir), g_build_filename(dir_name, made, NULL));
	g->is_dir = S_ISDIR(e->mode);
	g->root = root_of(r, reg);
	ret = S_ISREG(e->mode) ? fill(fd, img, e) : 0;
	if (ret == 0)
		ret = dress(r, fd, e, g->name);
	if (ret < 0)
		return err_wrap(ret, "%s", g->name);
	*ret_name = g_strdup(g->name);
	return 0;
}

/* What is in a directory goes before it. */
static int longer_first(const void *a, const void *b)
{
	size_t x = strlen(((const struct ghost *)a)->name);
	size_t y = strlen(((const struct ghost *)b)->name);

	return (x < y) - (x > y);
}

int ghosts_unlink(struct restore *r)
{
	g_autoptr(GList) all = g_list_sort(g_hash_table_get_values(r->ghosts_made), longer_first);

	for (GList *l = all; l; l = l->next) {
		struct ghost *g = l->data;
		g_autofree char *base = g_path_get_basename(g->name);

		if (g->dir >= 0 && !adrift_has(r, g->root) &&
		    unlinkat(g->dir, base, g->is_dir ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
			return err_errno("unlink %s", g->name);
		cleanup_close(&g->dir);
		g->dir = -1;
	}
	return 0;
}
