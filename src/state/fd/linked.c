/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose name was removed, but not their last one.  With --link-remap such a file gets a name
 * beside where it was, link_remap.N, which a restore takes away again; so does whoever lets the
 * tree run on.  In the images: a record of that name, and one of remap-fpath.img that leads to it.
 *
 * While a restore opens the file it has its old name, if that is free: that is what /proc shows.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/ns/spaces.h"

#include "base/file.h"
#include "image/regfile.pb-c.h"
#include "image/remap-file-path.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#define DELETED " (deleted)"

struct linked {
	int dir; /* O_PATH */
	char base[32];
	uint32_t id; /* of its record */
	dev_t dev;
	ino_t ino;
};

static void linked_free(void *p)
{
	struct linked *l = p;

	cleanup_close(&l->dir);
	g_free(l);
}

static int open_dir(int root, const char *name, char **ret_base)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	g_autofree char *dir = g_path_get_dirname(name);

	*ret_base = g_path_get_basename(name);
	return file_openat2(root, dir, &how);
}

static char *old_name(const struct path_view *v)
{
	size_t len = strlen(v->link);

	return g_strndup(v->link, len - (g_str_has_suffix(v->link, DELETED) ? strlen(DELETED) : 0));
}

bool linked_can(struct dump *d, const struct path_view *v, int mnt_id)
{
	g_autofree char *name = old_name(v), *base = NULL;
	autoclose int dir = -1;

	if (!d->o.link_remap || v->st.st_nlink == 0 || S_ISDIR(v->st.st_mode) ||
	    S_ISSOCK(v->st.st_mode))
		return false;
	dir = open_dir(spaces_root(d, mnt_id), name, &base);
	return dir >= 0;
}

static const struct linked *find(const struct dump *d, const struct path_view *v)
{
	for (unsigned i = 0; d->linked && i < d->linked->len; i++) {
		const struct linked *l = g_ptr_array_index(d->linked, i);

		if (l->dev == v->st.st_dev && l->ino == v->st.st_ino)
			return l;
	}
	return NULL;
}

/* On a file system of a user namespace our own user does not exist (fs/namei.c: may_create()). */
static int link_there(const struct path_view *v, const struct linked *l)
{
	int r = linkat(AT_FDCWD, v->reopen, l->dir, l->base, AT_SYMLINK_FOLLOW), err;

	if (r == 0 || errno != EOVERFLOW)
		return r;
	setfsgid(v->st.st_gid);
	setfsuid(v->st.st_uid);
	r = linkat(AT_FDCWD, v->reopen, l->dir, l->base, AT_SYMLINK_FOLLOW);
	err = errno;
	setfsuid(geteuid());
	setfsgid(getegid());
	errno = err;
	return r;
}

/* By the descriptor, not by a name (linkat(2)); the mount must be the same. */
static int make(struct dump *d, const struct path_view *v, int mnt_id, struct linked **ret)
{
	g_autofree char *name = old_name(v), *base = NULL;
	struct linked *l = g_new0(struct linked, 1);

	l->dir = open_dir(spaces_root(d, mnt_id), name, &base);
	l->id = files_new_id(d);
	l->dev = v->st.st_dev;
	l->ino = v->st.st_ino;
	snprintf(l->base, sizeof(l->base), "link_remap.%u", l->id);
	if (l->dir >= 0 && link_there(v, l) == 0) {
		if (!d->linked)
			d->linked = g_ptr_array_new_with_free_func(linked_free);
		g_ptr_array_add(d->linked, *ret = l);
		return 0;
	}
	linked_free(l);
	return err_errno("%s: --link-remap", v->link);
}

static int write_name(struct dump *d, const struct path_view *v, int mnt_id, const struct linked *l)
{
	g_autofree char *name = old_name(v), *dir = g_path_get_dirname(name);
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FileEntry e = FILE_ENTRY__INIT;
	FownEntry *fown = fown_none();
	int r;

	reg.id = l->id;
	reg.name = g_build_filename(dir, l->base, NULL);
	reg.fown = fown;
	reg.mnt_id = mnt_id;
	reg.has_mnt_id = mnt_id >= 0;
	e.id = l->id;
	e.type = FD_TYPES__REG;
	e.reg = &reg;
	r = image_write(&d->w, IMG_FILES, 0, &e.base);
	fown_entry__free_unpacked(fown, NULL);
	g_free(reg.name);
	return r;
}

int linked_dump(struct dump *d, const struct path_view *v, int mnt_id, uint32_t id)
{
	RemapFilePathEntry e = REMAP_FILE_PATH_ENTRY__INIT;
	const struct linked *known = find(d, v);
	struct linked *l = NULL;
	int r = 0;

	if (!known) {
		r = make(d, v, mnt_id, &l);
		if (r == 0)
			r = write_name(d, v, mnt_id, l);
		if (r < 0)
			return r;
		known = l;
	}
	e.orig_id = id;
	e.remap_id = known->id;
	e.has_remap_type = true;
	e.remap_type = REMAP_TYPE__LINKED;
	return image_write(&d->w, IMG_REMAP_FPATH, 0, &e.base);
}

void linked_end(struct dump *d, bool keep)
{
	for (unsigned i = 0; !keep && d->linked && i < d->linked->len; i++) {
		const struct linked *l = g_ptr_array_index(d->linked, i);

		unlinkat(l->dir, l->base, 0);
	}
	g_clear_pointer(&d->linked, g_ptr_array_unref);
}

/* Restore. */

struct relinked {
	int dir;
	char *base;
};

static void relinked_free(void *p)
{
	struct relinked *l = p;

	cleanup_close(&l->dir);
	g_free(l->base);
	g_free(l);
}

static int note(struct restore *r, int dir, const char *base)
{
	struct relinked *l = g_new0(struct relinked, 1);

	l->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	l->base = g_strdup(base);
	if (!r->relinked)
		r->relinked = g_ptr_array_new_with_free_func(relinked_free);
	g_ptr_array_add(r->relinked, l);
	return l->dir < 0 ? err_errno("dup") : 0;
}

int linked_open(struct restore *r, const RegFileEntry *e, uint32_t remap, uint64_t flags)
{
	const struct file *f = g_hash_table_lookup(r->files, GUINT_TO_POINTER(remap));
	const RegFileEntry *other = f ? f->entry->reg : NULL;
	int root = spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1), fd;
	g_autofree char *base = NULL, *new_base = NULL;
	autoclose int dir = -1, new_dir = -1;
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	bool again;

	if (!other)
		return err_set(EBADMSG, "remap-fpath.img: file %u: there is no file %u", e->id,
			       remap);
	new_dir = open_dir(root, other->name, &new_base);
	dir = open_dir(root, e->name, &base);
	if (new_dir < 0)
		return err_errno("directory of %s", other->name);
	again = dir >= 0 && linkat(new_dir, new_base, dir, base, 0) == 0;
	fd = file_openat2(root, again ? e->name : other->name, &how);
	fd = fd < 0 ? err_errno("open %s for %s", other->name, e->name) : fd;
	if (again)
		unlinkat(dir, base, 0);
	if (fd < 0)
		return fd;
	if (note(r, new_dir, new_base) < 0) {
		close(fd);
		return -EMFILE;
	}
	return fd;
}

void linked_restore_end(struct restore *r, bool done)
{
	for (unsigned i = 0; done && r->relinked && i < r->relinked->len; i++) {
		const struct relinked *l = g_ptr_array_index(r->relinked, i);

		unlinkat(l->dir, l->base, 0);
	}
	g_clear_pointer(&r->relinked, g_ptr_array_unref);
}
