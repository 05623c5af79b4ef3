/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/unix_place.h"
#include "state/fd/files.h"
#include "state/ns/spaces.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89e0 /* linux/un.h */
#endif
#define DELETED " (deleted)"

void unix_place_clear(struct unix_place *p)
{
	g_free(p->link);
	json_decref(p->covered);
}

int unix_place_read(const struct dump *d, const struct sock_view *s, struct unix_place *ret)
{
	autoclose int fd = ioctl(s->fd, SIOCUNIXFILE);
	char path[64], link[4096];
	struct statfs fs;
	ssize_t n;

	if (fd < 0)
		return err_errno("file of %s", s->v->link);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || fstat(fd, &ret->st) < 0 || fstatfs(fd, &fs) < 0)
		return err_errno("file of %s", s->v->link);
	ret->read_only = fs.f_flags & ST_RDONLY;
	link[n] = 0;
	ret->deleted = ret->st.st_nlink == 0;
	if (ret->deleted && g_str_has_suffix(link, DELETED))
		link[n - (ssize_t)strlen(DELETED)] = 0;
	ret->link = g_strdup(link);
	ret->mnt_id = spaces_mount_of(d, path);
	return 0;
}

static int open_in(int root, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return file_openat2(root, name, &how);
}

/*
 * The mount that the directory of PATH is in, 0 when nobody can tell.  A directory that is gone, as
 * who binds in one of its own and renames that to its place removes it, is made where it was for
 * the moment (unix_names.c: make_way()): in the mount of the nearest one that is there.
 */
static uint64_t mount_of_parent(int root, const char *path)
{
	g_autofree char *up = g_path_get_dirname(path);
	autoclose int fd = open_in(root, up);
	struct statx st;

	if (fd < 0 && errno == ENOENT && strcmp(up, path) != 0)
		return mount_of_parent(root, up);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return 0;
	return st.stx_mnt_id;
}

static bool is_at(int root, const char *path, const struct unix_place *p)
{
	autoclose int fd = open_in(root, path);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == p->st.st_dev &&
	       st.st_ino == p->st.st_ino;
}

/* Linked to another name of its directory, and the one that it was bound to unlinked. */
static char *other_name(int root, const struct unix_place *p)
{
	g_autofree char *up = g_path_get_dirname(p->link);
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	int fd = file_openat2(root, up, &how);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	char *found = NULL;
	struct stat st;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && !found && (e = readdir(dir)))
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_dev == p->st.st_dev && st.st_ino == p->st.st_ino)
			found = g_build_filename(up, e->d_name, NULL);
	if (dir)
		closedir(dir);
	return found;
}

/* Bound to one name, renamed to another, as servers do that take over from others: both again. */
static int check_moved(struct dump *d, const struct sock_view *s, const struct diag_unix *u,
		       struct unix_place *p)
{
	int root = spaces_root(d, p->mnt_id);
	bool absolute = u->name[0] == '/';
	uint64_t mount = absolute ? mount_of_parent(root, u->name) : 0;
	char *other = is_at(root, p->link, p) ? NULL : other_name(root, p);

	if (other) {
		g_free(p->link);
		p->link = other;
	}
	if (absolute && strcmp(u->name, p->link) == 0)
		return err_set(
			EOPNOTSUPP,
			"%s: bound to %s, which something else is mounted over; unmount that",
			s->v->link, u->name);
	if (!is_at(root, p->link, p) ||
	    (absolute ? !mount || mount != mount_of_parent(root, p->link)
		      : strchr(u->name, '/') != NULL))
		return err_set(EOPNOTSUPP, "%s: bound to %s, which is now %s", s->v->link, u->name,
			       p->link);
	p->moved = true;
	return 0;
}

/* Bound by a task with a root directory of its own: that. */
static char *root_of_name(const char *name, const char *link)
{
	size_t len = strlen(link), tail = strlen(name);

	return len > tail && strcmp(link + len - tail, name) == 0 ? g_strndup(link, len - tail)
								  : NULL;
}

/*
 * Something is mounted over its directory.  Not over itself: whoever unlinks what is mounted on
 * elsewhere unmounts that (fs/namei.c: vfs_unlink(), detach_mounts()).
 */
static bool is_covered(struct dump *d, const char *path, struct unix_place *p)
{
	const char *target;
	size_t i;
	json_t *one;

	p->covered = covered_look_at(d, path, &p->st);
	json_array_foreach(json_object_get(p->covered, "covers"), i, one)
	{
		target = json_string_value(one);
		if (target && strcmp(target, path) == 0) {
			json_decref(g_steal_pointer(&p->covered));
			return false;
		}
	}
	return p->covered != NULL;
}

/* The directory of what was deleted is on another file system by now. */
static bool is_dir_elsewhere(const struct dump *d, const char *path, const struct unix_place *p)
{
	g_autofree char *up = g_path_get_dirname(path);
	autoclose int fd = open_in(spaces_root(d, p->mnt_id), up);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev != p->st.st_dev;
}

/* Restored before, in a copy of the mount that is gone: its path begins where that did. */
static bool is_covered_in(struct dump *d, const struct mountinfo *all, struct unix_place *p)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct mount_entry *m = &all->v[i];
		char *path;

		if (m->major != major(p->st.st_dev) || m->minor != minor(p->st.st_dev))
			continue;
		path = g_build_filename(m->target, p->link, NULL);
		if (is_covered(d, path, p)) {
			g_free(p->link);
			p->link = path;
			return true;
		}
		g_free(path);
	}
	return false;
}

static bool is_covered_elsewhere(struct dump *d, struct unix_place *p)
{
	bool found = !spaces_mount(d, p->mnt_id) && is_covered_in(d, &d->mounts, p);

	for (unsigned i = 0; !found && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		found = s->kind == NS_MNT && !spaces_mount(d, p->mnt_id) &&
			is_covered_in(d, &s->mounts, p);
	}
	return found;
}

int unix_place_check(struct dump *d, const struct sock_view *s, const struct diag_unix *u,
		     struct unix_place *p, char **ret_dir)
{
	const char *name = u->name, *tail;

	if (p->read_only) /* since */
		return err_set(EOPNOTSUPP,
			       "%s: bound to %s, on a mount that is read-only by now, where nobody "
			       "can bind it again; remount it",
			       s->v->link, name);
	if (name[0] == '/') {
		if (!p->deleted && is_at(spaces_root(d, p->mnt_id), name, p))
			return 0;
		*ret_dir = root_of_name(name, p->link);
		if (p->deleted && !*ret_dir && is_dir_elsewhere(d, name, p))
			is_covered(d, name, p);
		return p->deleted || *ret_dir || is_covered(d, name, p) ? 0
									: check_moved(d, s, u, p);
	}
	while (g_str_has_prefix(name, "./"))
		name += 2;
	if (!g_str_has_suffix(p->link, name) ||
	    (tail = p->link + strlen(p->link) - strlen(name))[-1] != '/') {
		int r = check_moved(d, s, u, p);

		*ret_dir = r < 0 ? NULL : g_path_get_dirname(p->link);
		return r;
	}
	if (!p->deleted && !is_at(spaces_root(d, p->mnt_id), p->link, p) &&
	    !is_covered(d, p->link, p) && !is_covered_elsewhere(d, p))
		return err_set(EOPNOTSUPP, "%s: bound to %s, where something else is now",
			       s->v->link, p->link);
	tail = p->link + strlen(p->link) - strlen(name);
	*ret_dir = tail - 1 == p->link ? g_strdup("/")
				       : g_strndup(p->link, (size_t)(tail - 1 - p->link));
	return 0;
}
