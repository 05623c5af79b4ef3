/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of a file are set in this order: owner (which clears setuid bits and file
 * capabilities), extended attributes, mode, times.  Directories get their times last of all, as
 * making files in them changes those.
 */
#include "engine/layer_entry.h"
#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define WHITEOUT	".wh."
#define WHITEOUT_META	".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct dir_times {
	char *path;
	struct timespec times[2];
};

static void dir_times_clear(void *p)
{
	g_free(((struct dir_times *)p)->path);
}

void layer_unpacker_init(struct layer_unpacker *u, struct layer_reader *reader, int diff,
			 const int *parents, unsigned nparents, unsigned depth_max)
{
	u->tree = LAYER_TREE(.root = diff, .parents = parents, .nparents = nparents,
			     .depth_max = depth_max);
	u->reader = reader;
	u->dirs = g_array_new(FALSE, FALSE, sizeof(struct dir_times));
	g_array_set_clear_func(u->dirs, dir_times_clear);
}

void layer_unpacker_clear(struct layer_unpacker *u)
{
	layer_tree_clear(&u->tree);
	if (u->dirs)
		g_array_unref(u->dirs);
	u->dirs = NULL;
}

/* Where an entry goes: its clean path, and the directory and name to use in system calls. */
struct place {
	const char *path, *base;
	int dir;
};

static void entry_times(struct archive_entry *e, struct timespec t[2])
{
	t[1].tv_sec = archive_entry_mtime_is_set(e) ? archive_entry_mtime(e) : 0;
	t[1].tv_nsec = archive_entry_mtime_is_set(e) ? archive_entry_mtime_nsec(e) : UTIME_OMIT;
	t[0] = t[1];
	if (archive_entry_atime_is_set(e)) {
		t[0].tv_sec = archive_entry_atime(e);
		t[0].tv_nsec = archive_entry_atime_nsec(e);
	}
}

static int set_owner(const struct place *p, struct archive_entry *e)
{
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return err_set(EINVAL, "%s: no such owner: %" PRId64 ":%" PRId64, p->path, uid,
			       gid);
	if (fchownat(p->dir, p->base, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("set owner of %s", p->path);
	return 0;
}

static int set_xattrs(const struct place *p, struct archive_entry *e)
{
	g_autofree char *proc = NULL;
	const char *name;
	const void *value;
	size_t len;

	if (!archive_entry_xattr_reset(e))
		return 0;
	proc = g_strdup_printf("/proc/self/fd/%d/%s", p->dir, p->base);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !overlay_xattr_wanted(name))
			continue;
		/* EPERM: user.* on links and devices; other file systems have no attributes. */
		if (lsetxattr(proc, name, value, len, 0) < 0 && errno != ENOTSUP && errno != EPERM)
			return err_errno("set attribute %s of %s", name, p->path);
	}
	return 0;
}

/* Everything but times.  A symbolic link has no mode. */
static int set_attributes(const struct place *p, struct archive_entry *e)
{
	int r = set_owner(p, e);

	if (r == 0)
		r = set_xattrs(p, e);
	if (r == 0 && archive_entry_filetype(e) != AE_IFLNK &&
	    fchmodat(p->dir, p->base, archive_entry_perm(e) & 07777, 0) < 0)
		r = err_errno("set mode of %s", p->path);
	return r;
}

static int set_times(const struct place *p, struct archive_entry *e)
{
	struct timespec t[2];

	entry_times(e, t);
	if (utimensat(p->dir, p->base, t, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("set times of %s", p->path);
	return 0;
}

static int set_opaque(const struct place *p)
{
	g_autofree char *proc = g_strdup_printf("/proc/self/fd/%d/%s", p->dir, p->base);

	if (setxattr(proc, OVERLAY_OPAQUE, "y", 1, 0) < 0)
		return err_errno("make %s opaque", p->path);
	return 0;
}

/* Later members of a tar file replace earlier ones. */
static int remove_existing(struct layer_unpacker *u, const struct place *p)
{
	if (unlinkat(p->dir, p->base, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_errno("replace %s", p->path);
	return file_remove_tree_at(p->dir, p->base);
}

static int unpack_directory(struct layer_unpacker *u, const struct place *p,
			    struct archive_entry *e)
{
	struct dir_times d = {.path = NULL};
	struct stat st;
	int r = 0;

	if (mkdirat(p->dir, p->base, 0700) < 0) {
		if (errno != EEXIST)
			return err_errno("create directory %s", p->path);
		if (fstatat(p->dir, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno("look up %s", p->path);
		if (!S_ISDIR(st.st_mode)) {
			r = remove_existing(u, p);
			if (r == 0 && mkdirat(p->dir, p->base, 0700) < 0)
				r = err_errno("create directory %s", p->path);
			/* The whiteout hid the directory below: the new one has to go on with it.
			 */
			if (r == 0 && overlay_is_whiteout(&st))
				r = set_opaque(p);
		}
	}
	if (r == 0)
		r = set_attributes(p, e);
	if (r < 0)
		return r;
	d.path = g_strdup(p->path);
	entry_times(e, d.times);
	g_array_append_val(u->dirs, d);
	return 0;
}

static int write_content(struct layer_unpacker *u, const struct place *p, int fd, int64_t size)
{
	const void *data;
	size_t len;
	int64_t at, end = 0;
	int r;

	while ((r = layer_reader_data(u->reader, &data, &len, &at)) > 0) {
		if (!len)
			continue;
		r = fd_pwrite_full(fd, data, len, at);
		if (r < 0)
			return err_wrap(r, "write %s", p->path);
		end = at + (int64_t)len;
	}
	if (r < 0)
		return err_wrap(r, "%s", p->path);
	/* A hole at the end. */
	if (end < size && ftruncate(fd, size) < 0)
		return err_errno("write %s", p->path);
	return 0;
}

static int unpack_file(struct layer_unpacker *u, const struct place *p, struct archive_entry *e)
{
	autoclose int fd = -1;
	int r;

	fd = openat(p->dir, p->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		r = remove_existing(u, p);
		if (r < 0 && r != -EBUSY)
			return r;
		err_clear();
		/* What is mounted on cannot be replaced, only written. */
		fd = openat(p->dir, p->base,
			    O_WRONLY | O_NOFOLLOW | O_CLOEXEC |
				    (r == 0 ? O_CREAT | O_EXCL : O_TRUNC),
			    0600);
	}
	if (fd < 0)
		return err_errno("create %s", p->path);
	r = write_content(u, p, fd, archive_entry_size(e));
	if (r == 0)
		r = set_attributes(p, e);
	return r < 0 ? r : set_times(p, e);
}

static int unpack_symlink(struct layer_unpacker *u, const struct place *p, struct archive_entry *e)
{
	const char *target = archive_entry_symlink(e);
	int r = remove_existing(u, p);

	if (r < 0)
		return r;
	if (!target || symlinkat(target, p->dir, p->base) < 0)
		return target ? err_errno("create link %s", p->path)
			      : err_set(EINVAL, "%s: a link to nothing", p->path);
	r = set_attributes(p, e);
	return r < 0 ? r : set_times(p, e);
}

/* What a runtime gives to every container (OCI runtime-spec, config-linux.md, "Default Devices").
 */
static bool is_common_device(mode_t type, dev_t dev)
{
	static const unsigned char common[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},
						  {1, 9}, {5, 0}, {5, 1}, {5, 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(common); i++)
		if (type == AE_IFCHR && major(dev) == common[i][0] && minor(dev) == common[i][1])
			return true;
	return false;
}

static int unpack_node(struct layer_unpacker *u, const struct place *p, struct archive_entry *e)
{
	mode_t type = archive_entry_filetype(e);
	dev_t dev = type == AE_IFIFO
			    ? 0
			    : makedev(archive_entry_rdevmajor(e), archive_entry_rdevminor(e));
	int r;

	if (u->plain && type != AE_IFIFO && !is_common_device(type, dev))
		return err_set(
			EPERM, "%s: a device node (%s %u:%u), which is not taken from an archive",
			p->path, type == AE_IFCHR ? "character" : "block", major(dev), minor(dev));
	r = remove_existing(u, p);
	if (r < 0)
		return r;
	if (mknodat(p->dir, p->base, type | 0600, dev) < 0)
		return err_errno("create device %s", p->path);
	r = set_attributes(p, e);
	return r < 0 ? r : set_times(p, e);
}

static int unpack_hardlink(struct layer_unpacker *u, const struct place *p, const char *target)
{
	g_autofree char *clean = NULL;
	const char *base;
	autoclose int here = -1;
	struct stat st;
	int dir, r;

	r = layer_tree_clean(&u->tree, target, &clean);
	if (r < 0)
		return err_wrap(r, "%s: hard link", p->path);
	if (!strcmp(clean, p->path))
		return 0;
	here = fd_dup_above(p->dir, 3); /* finding the target may close p->dir */
	if (here < 0)
		return here;
	r = layer_tree_parent(&u->tree, clean, false, &dir, &base);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_wrap(r, "%s: hard link", p->path);
	if (r < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || overlay_is_whiteout(&st))
		return err_set(EXDEV, "%s: hard link to %s, which is not in the layer", p->path,
			       target);
	r = remove_existing(u, &(struct place){p->path, p->base, here});
	if (r < 0)
		return r;
	if (linkat(dir, base, here, p->base, 0) < 0)
		return err_errno("link %s to %s", p->path, target);
	return 0;
}

static int unpack_whiteout(struct layer_unpacker *u, const struct place *p)
{
	struct place gone = *p;
	struct stat st;

	gone.base += strlen(WHITEOUT);
	if (!*gone.base || !strcmp(gone.base, ".") || !strcmp(gone.base, ".."))
		return err_set(EXDEV, "%s: not a whiteout", p->path);
	if (mknodat(p->dir, gone.base, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	if (errno != EEXIST || fstatat(p->dir, gone.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("create whiteout %s", p->path);
	/* It is for the layers below only, and the same name is new in this one. */
	return S_ISDIR(st.st_mode) ? set_opaque(&gone) : 0;
}

static int unpack_at(struct layer_unpacker *u, const struct place *p, struct archive_entry *e)
{
	mode_t type = archive_entry_filetype(e);

	if (archive_entry_hardlink(e))
		return unpack_hardlink(u, p, archive_entry_hardlink(e));
	if (!u->plain && !strcmp(p->base, WHITEOUT_OPAQUE))
		return set_opaque(&(struct place){p->path, ".", p->dir});
	if (!u->plain && g_str_has_prefix(p->base, WHITEOUT_META))
		return 0; /* aufs's own records */
	if (!u->plain && g_str_has_prefix(p->base, WHITEOUT))
		return unpack_whiteout(u, p);
	switch (type) {
	case AE_IFREG:
		return unpack_file(u, p, e);
	case AE_IFDIR:
		return unpack_directory(u, p, e);
	case AE_IFLNK:
		return unpack_symlink(u, p, e);
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
		return unpack_node(u, p, e);
	}
	return err_set(EINVAL, "%s: unknown type of file (%o)", p->path, type);
}

int layer_entry_unpack(struct layer_unpacker *u, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	g_autofree char *path = NULL;
	struct place p;
	int r;

	if (!name)
		return err_set(EBADMSG, "a file in the layer has no readable name");
	r = layer_tree_clean(&u->tree, name, &path);
	if (r < 0)
		return r;
	if (!*path) {
		if (archive_entry_filetype(e) != AE_IFDIR)
			return err_set(EINVAL, "%s: the root is not a directory", name);
		return unpack_directory(u, &(struct place){"", ".", u->tree.root}, e);
	}
	p.path = path;
	r = layer_tree_parent(&u->tree, path, true, &p.dir, &p.base);
	return r < 0 ? r : unpack_at(u, &p, e);
}

int layer_entry_finish(struct layer_unpacker *u)
{
	/* The deepest last-made first; a directory may be gone again. */
	for (unsigned i = u->dirs->len; i-- > 0;) {
		struct dir_times *d = &g_array_index(u->dirs, struct dir_times, i);
		const char *base;
		int dir, r;

		if (!*d->path) {
			dir = u->tree.root;
			base = ".";
		} else {
			r = layer_tree_parent(&u->tree, d->path, false, &dir, &base);
			if (r == -ENOENT || r == -ENOTDIR)
				continue;
			if (r < 0)
				return r;
		}
		if (utimensat(dir, base, d->times, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return err_errno("set times of %s", d->path);
	}
	return 0;
}
