/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are found again by their names.  Names are those of the tree's mount namespace, from
 * its root; they are resolved inside it (openat2(2), RESOLVE_IN_ROOT), so links in the container
 * lead nowhere else.
 */
#include "base/file.h"
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/find.h"
#include "state/fd/kind.h"
#include "state/ns/spaces.h"

#include "image/regfile.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define DELETED " (deleted)"

/* What has meaning when a file that exists is opened; O_LARGEFILE is always on here. */
#define OPEN_FLAGS                                                                                 \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_DIRECTORY |           \
	 O_NOFOLLOW | O_NOATIME | O_PATH)

static int open_in(int root, const char *name, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return file_openat2(root, name, &how);
}

static int mount_of(const struct dump *d, const struct path_view *v)
{
	return v->mnt_id < 0 ? spaces_mount_of(d, v->reopen) : v->mnt_id;
}

/* 1: the name leads to the same object again; 0: it does not. */
static int leads_there(const struct dump *d, const struct path_view *v)
{
	autoclose int fd = open_in(spaces_root(d, mount_of(d, v)), v->link, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
				       errno == ENAMETOOLONG
			       ? 0
			       : err_errno("look up %s", v->link);
	if (fstat(fd, &st) < 0)
		return err_errno("stat %s", v->link);
	if (S_ISCHR(st.st_mode) && S_ISCHR(v->st.st_mode))
		return st.st_rdev == v->st.st_rdev; /* the host's /dev/null is as good as ours */
	return st.st_dev == v->st.st_dev && st.st_ino == v->st.st_ino;
}

bool path_leads_there(const struct dump *d, const struct path_view *v)
{
	int r = leads_there(d, v);

	err_clear();
	return r == 1;
}

/* Another name of a file that is there, but not where it was opened: a link, or it is covered. */
static bool other_name(struct dump *d, const struct path_view *v, char **ret_name)
{
	const struct mount_entry *m;
	struct find_key k = {.ino = v->st.st_ino};
	struct statx st;

	if (statx(AT_FDCWD, v->reopen, 0, STATX_MNT_ID, &st) < 0)
		return false;
	m = mountinfo_by_id(&d->mounts, (int)st.stx_mnt_id);
	if (!m)
		return false;
	k.major = m->major;
	k.minor = m->minor;
	return find_name(d, &k, ret_name);
}

/*
 * Nobody writes to a file of a lower layer, so whether names that nobody in the tree sees lead to
 * it makes no difference.
 */
static bool is_deleted(struct dump *d, const struct path_view *v)
{
	g_autofree char *other = NULL;

	if (!g_str_has_suffix(v->link, DELETED))
		return false;
	if (v->st.st_nlink == 0)
		return true;
	return gone_may_be(v) && !path_leads_there(d, v) &&
	       (gone_for_sure(d, v) || !other_name(d, v, &other));
}

int path_check(struct dump *d, const struct path_view *v)
{
	g_autofree char *other = NULL;
	json_t *covered;
	int r;

	if (v->link[0] != '/')
		return err_set(EOPNOTSUPP, "%s has no name in the file system; close it first",
			       v->link);
	if (is_deleted(d, v)) {
		if (S_ISSOCK(v->st.st_mode))
			return err_set(EOPNOTSUPP, "%s is a socket without a name; close it first",
				       v->link);
		return ghost_check(d, v);
	}
	r = leads_there(d, v);
	if (r != 0)
		return r < 0 ? r : 0;
	covered = sysctl_look(d, v, spaces_root(d, mount_of(d, v)));
	if (covered) {
		json_decref(covered);
		return 0;
	}
	covered = adrift_look(d, v, &other);
	if (covered) {
		r = adrift_check(d, v, covered);
		json_decref(covered);
		return r;
	}
	if (linked_can(d, v, mount_of(d, v)) || other_name(d, v, &other))
		return 0;
	covered = covered_look(d, v);
	if (covered) {
		json_decref(covered);
		return 0;
	}
	if (g_str_has_suffix(v->link, DELETED))
		return err_set(EOPNOTSUPP,
			       "%s: the file lives on under a name outside of the container; close "
			       "it first",
			       v->link);
	r = adrift_refuse(d, v);
	return r < 0 ? r
		     : err_set(EOPNOTSUPP, "%s is not inside the container; close it first",
			       v->link);
}

int path_dump(struct dump *d, const struct path_view *v, uint32_t id, RegFileEntry **ret)
{
	RegFileEntry *e = g_new0(RegFileEntry, 1);
	json_t *covered;
	uint32_t ghost;
	int r;

	*ret = e;
	reg_file_entry__init(e);
	e->id = id;
	e->flags = v->flags;
	e->pos = v->pos;
	e->fown = fown_none();
	e->mnt_id = mount_of(d, v);
	e->has_mnt_id = e->mnt_id >= 0;
	e->has_size = S_ISREG(v->st.st_mode);
	e->size = (uint64_t)v->st.st_size;
	e->has_mode = true;
	e->mode = v->st.st_mode;
	if (!is_deleted(d, v)) {
		e->name = g_strdup(v->link);
		if (leads_there(d, v) == 1)
			return 0;
		covered = sysctl_look(d, v, spaces_root(d, mount_of(d, v)));
		if (covered) {
			sysctl_note(d, id, covered);
			return 0;
		}
		/* one that the images go on with even if the tree does, too */
		g_clear_pointer(&e->name, g_free);
		covered = adrift_look(d, v, &e->name);
		if (covered)
			return adrift_dump(d, v, id, covered);
		if ((d->o.leave_running || !linked_can(d, v, e->mnt_id)) &&
		    other_name(d, v, &e->name))
			return 0;
		if (linked_can(d, v, e->mnt_id)) {
			e->name = g_strdup(v->link);
			*(e->name + strlen(e->name) -
			  (g_str_has_suffix(e->name, DELETED) ? strlen(DELETED) : 0)) = 0;
			return linked_dump(d, v, e->mnt_id, id);
		}
		e->name = g_strdup(v->link);
		covered = covered_look(d, v);
		if (!covered)
			return path_check(d, v);
		covered_note(d, id, covered);
		return 0;
	}
	e->name = g_strndup(v->link, strlen(v->link) - strlen(DELETED));
	r = ghost_dump(d, v, &ghost);
	if (r < 0)
		return r;
	return ghost_remap(d, id, ghost);
}

int path_dump_new(struct dump *d, const struct path_view *v, uint32_t *ret_id)
{
	FileEntry e = FILE_ENTRY__INIT;
	int r;

	if (files_known(d, v, ret_id))
		return 0;
	e.id = files_new_id(d);
	e.type = FD_TYPES__REG;
	r = path_dump(d, v, e.id, &e.reg);
	if (r == 0)
		r = image_write(&d->w, IMG_FILES, 0, &e.base);
	if (e.reg)
		reg_file_entry__free_unpacked(e.reg, NULL);
	if (r < 0)
		return r;
	files_remember(d, v, e.id);
	*ret_id = e.id;
	return 0;
}

/* The description that made the file keeps O_TMPFILE, by which the next dump knows it. */
static int take_born(int fd, const RegFileEntry *e, unsigned flags, int *ret_fd)
{
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (*ret_fd < 0 ||
	    fcntl(*ret_fd, F_SETFL, (int)(flags & (O_APPEND | O_NONBLOCK | O_NOATIME))) < 0)
		return err_errno("%s: flags", e->name);
	return 0;
}

#define PERMISSIONS 0777

static bool has_other_mode(const struct restore *r, const RegFileEntry *e, const struct stat *st)
{
	return r->o.check_modes && e->has_mode && S_ISREG(e->mode) && S_ISREG(st->st_mode) &&
	       (st->st_mode ^ e->mode) & PERMISSIONS;
}

static bool has_other_size(const struct restore *r, const RegFileEntry *e, const struct stat *st)
{
	return r->o.check_sizes && e->has_size && S_ISREG(st->st_mode) &&
	       (uint64_t)st->st_size != e->size;
}

bool path_stays(const struct restore *r, const RegFileEntry *e)
{
	int root = spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1);
	struct stat st;

	return (!r->o.check_modes && !r->o.check_sizes) ||
	       (fstatat(root, e->name + strspn(e->name, "/"), &st, 0) == 0 &&
		!has_other_mode(r, e, &st) && !has_other_size(r, e, &st));
}

static int check_same(const struct restore *r, const RegFileEntry *e, int fd)
{
	struct stat st;

	if ((!r->o.check_modes && !r->o.check_sizes) || fstat(fd, &st) < 0)
		return 0;
	if (has_other_mode(r, e, &st))
		return err_set(EACCES,
			       "%s has mode %#o, but had %#o when it was dumped; change it back, "
			       "or use --skip-file-rwx-check",
			       e->name, st.st_mode & PERMISSIONS, e->mode & PERMISSIONS);
	if (has_other_size(r, e, &st))
		return err_set(ESTALE,
			       "%s has %" PRIu64 " bytes, but had %" PRIu64
			       " when it was dumped; bring that file back, or leave out "
			       "--file-validation",
			       e->name, (uint64_t)st.st_size, e->size);
	return 0;
}

bool path_is_plain(const struct restore *r, const RegFileEntry *e)
{
	const void *id = GUINT_TO_POINTER(e->id);

	return !g_hash_table_contains(r->ghosts, id) && !g_hash_table_contains(r->linked, id) &&
	       !covered_find(r, e->id) && !sysctl_find(r, e->id) &&
	       !extra_get(r->extra, "adrift_files", e->id) &&
	       spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1) == r->root;
}

int path_open(struct restore *r, const RegFileEntry *e, unsigned flags, int *ret_fd)
{
	void *ghost = g_hash_table_lookup(r->ghosts, GUINT_TO_POINTER(e->id));
	void *linked = g_hash_table_lookup(r->linked, GUINT_TO_POINTER(e->id));
	const json_t *covered = covered_find(r, e->id), *sysctl = sysctl_find(r, e->id);
	g_autofree char *made = NULL;
	const char *name = e->name;
	char path[64];
	int fd, ret, nameless = -1, root = adrift_root(r, e->id);

	bool born = (flags & O_TMPFILE) == O_TMPFILE;

	if (root < 0 && root != -ENOENT)
		return root;
	if (root >= 0 && adrift_give(r, e, ret_fd) == 0)
		return 0;
	/* one file by itself, or with all of its file system */
	if (root >= 0 && faccessat(root, name + strspn(name, "/"), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		ghost = NULL;
	if (root < 0)
		root = spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1);
	if (born)
		flags &= ~(unsigned)O_TMPFILE; /* which would open a directory */

	if (covered)
		return covered_open(r, e, covered, flags & OPEN_FLAGS, ret_fd);
	if (sysctl)
		return sysctl_open(r, e, sysctl, flags & OPEN_FLAGS, ret_fd);
	if (ghost) {
		ret = ghost_make(r, e, GPOINTER_TO_UINT(ghost), &made, &nameless);
		if (ret < 0)
			return ret;
		name = made;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", nameless);
	if (nameless >= 0 && born && (flags & O_ACCMODE) == O_RDWR)
		return take_born(nameless, e, flags, ret_fd);
	if (linked)
		fd = linked_open(r, e, GPOINTER_TO_UINT(linked), flags & OPEN_FLAGS);
	else if (nameless >= 0)
		fd = open(path, (int)(flags & OPEN_FLAGS & ~(unsigned)O_NOFOLLOW) | O_CLOEXEC);
	else
		fd = open_in(root, name, flags & OPEN_FLAGS);
	if (fd < 0)
		return linked ? fd : err_errno("open %s", name);
	*ret_fd = fd;
	ret = ghost || linked ? 0 : check_same(r, e, fd);
	return ret < 0 ? close(take_fd(ret_fd)), ret : 0;
}
