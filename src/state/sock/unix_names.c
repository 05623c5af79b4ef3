/* SPDX-License-Identifier: Apache-2.0 */
#include "state/sock/unix_names.h"
#include "base/file.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/unix_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool has_path(const UnixSkEntry *e)
{
	return e->name.len > 0 && e->name.data[0] != 0;
}

socklen_t unix_name_addr(const UnixSkEntry *e, struct sockaddr_un *ret)
{
	size_t len = MIN(e->name.len, sizeof(ret->sun_path));

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, e->name.data, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

const char *unix_name_dir(const UnixSkEntry *e)
{
	return has_path(e) ? e->name_dir : NULL;
}

const char *unix_name_show(const UnixSkEntry *e)
{
	static char buf[128];

	if (has_path(e))
		snprintf(buf, sizeof(buf), "%.*s", (int)e->name.len, (const char *)e->name.data);
	else if (e->name.len == 0)
		return "unnamed";
	else
		snprintf(buf, sizeof(buf), "@%.*s", (int)e->name.len - 1,
			 (const char *)e->name.data + 1);
	return buf;
}

/* The root directory that it was bound below, where nothing is mounted over it. */
static int root_of(struct restore *r, const UnixSkEntry *e)
{
	const struct unix_cover *c = unix_cover(r, e->id);

	return c ? c->root : spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1);
}

/* The directory of PATH, inside the tree's root. */
static int parent_of(struct restore *r, const UnixSkEntry *e, const char *path, int *ret_dir,
		     char base[static NAME_BYTES])
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	g_autofree char *up = g_path_get_dirname(path), *last = g_path_get_basename(path);

	g_strlcpy(base, last, NAME_BYTES);
	*ret_dir = file_openat2(root_of(r, e), up, &how);
	return *ret_dir < 0 ? err_errno("directory of unix socket %s", path) : 0;
}

/* The directory that has the name; 1: it is not in the file system. */
static int parent(struct restore *r, const UnixSkEntry *e, int *ret_dir,
		  char base[static NAME_BYTES])
{
	g_autofree char *name = NULL, *path = NULL;

	if (!has_path(e))
		return 1;
	name = g_strndup((const char *)e->name.data, e->name.len);
	path = g_build_filename(e->name_dir ? e->name_dir : "/", name, NULL);
	return parent_of(r, e, path, ret_dir, base);
}

static int open_dir(int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};

	return file_openat2(root, path, &how);
}

/*
 * On a file system of a user namespace our own user does not exist (fs/namei.c: may_create()): as
 * the root of its users, directory BASE of DIR, or file BASE in place of FROM of FROM_DIR.
 */
static int make_as(uid_t uid, gid_t gid, int from_dir, const char *from, int dir, const char *base)
{
	int ret = from ? renameat(from_dir, from, dir, base) : mkdirat(dir, base, 0755), err;

	if (ret == 0 || errno != EOVERFLOW)
		return ret;
	setfsgid(gid);
	setfsuid(uid);
	ret = from ? renameat(from_dir, from, dir, base) : mkdirat(dir, base, 0755);
	err = errno;
	setfsuid(geteuid());
	setfsgid(getegid());
	errno = err;
	return ret;
}

static int move_as(const struct unix_name *n, const char *from, int dir, const char *to)
{
	return make_as(n->uid, n->gid, n->dir, from, dir, to);
}

/* Directories that are gone like the socket in them. */
static int make_way(struct restore *r, const char *path, struct unix_name *n)
{
	g_autofree char *up = g_path_get_dirname(path), *base = g_path_get_basename(path);
	autoclose int there = open_dir(n->root, path), dir = -1;
	int ret = 0;

	if (there >= 0 || errno != ENOENT)
		return 0; /* whoever opens it says so */
	if (strcmp(up, path) != 0)
		ret = make_way(r, up, n);
	if (ret < 0)
		return ret;
	dir = open_dir(n->root, up);
	if (dir < 0 || make_as(n->uid, n->gid, -1, NULL, dir, base) < 0 ||
	    fchownat(dir, base, users_outer_uid(r, 0), users_outer_gid(r, 0), 0) < 0 ||
	    fchmodat(dir, base, 0755, 0) < 0)
		return err_errno("create directory %s for a while", path);
	if (!n->made)
		n->made = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(n->made, g_strdup(path));
	return 0;
}

static void remove_way(struct unix_name *n)
{
	for (unsigned i = n->made ? n->made->len : 0; i-- > 0;) {
		const char *path = g_ptr_array_index(n->made, i);
		g_autofree char *up = g_path_get_dirname(path), *base = g_path_get_basename(path);
		autoclose int dir = open_dir(n->root, up);

		if (dir >= 0)
			unlinkat(dir, base, AT_REMOVEDIR);
	}
	g_clear_pointer(&n->made, g_ptr_array_unref);
}

static int make_parent(struct restore *r, const UnixSkEntry *e, struct unix_name *n)
{
	g_autofree char *name = NULL, *path = NULL, *up = NULL;

	n->root = root_of(r, e);
	n->uid = users_outer_uid(r, 0);
	n->gid = users_outer_gid(r, 0);
	if (!has_path(e))
		return 0;
	name = g_strndup((const char *)e->name.data, e->name.len);
	path = g_build_filename(e->name_dir ? e->name_dir : "/", name, NULL);
	up = g_path_get_dirname(path);
	return make_way(r, up, n);
}

int unix_name_aside(struct restore *r, const UnixSkEntry *e, struct unix_name *ret)
{
	struct unix_name n = UNIX_NAME_NONE;
	int ret_ = make_parent(r, e, &n);

	if (ret_ == 0)
		ret_ = parent(r, e, &n.dir, n.base);
	if (ret_ != 0) {
		remove_way(&n);
		return ret_ < 0 ? ret_ : 0;
	}
	snprintf(n.aside, sizeof(n.aside), ".cryo-%s", n.base);
	if (move_as(&n, n.base, n.dir, n.aside) == 0) {
		n.moved = true;
	} else if (errno != ENOENT) {
		ret_ = err_errno("move %s aside", unix_name_show(e));
		close(n.dir);
		remove_way(&n);
		return ret_;
	}
	*ret = n;
	return 0;
}

void unix_name_back(struct unix_name *n)
{
	if (n->dir < 0)
		return;
	unlinkat(n->dir, n->base, 0);
	if (n->moved)
		move_as(n, n->aside, n->dir, n->base);
	close(n->dir);
	n->dir = -1;
	remove_way(n);
}

int unix_name_move(struct restore *r, const UnixSkEntry *e, const struct unix_name *n,
		   const char *to)
{
	autoclose int dir = -1;
	char base[NAME_BYTES];
	struct stat st;
	int ret;

	if (!to)
		return 0;
	ret = parent_of(r, e, to, &dir, base);
	if (ret < 0)
		return ret;
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(EADDRINUSE, "%s is not a socket any more", to);
	return move_as(n, n->base, dir, base) < 0 ? err_errno("rename %s to %s", n->base, to) : 0;
}

int unix_name_free(struct restore *r, const UnixSkEntry *e)
{
	autoclose int dir = -1;
	char base[NAME_BYTES];
	struct stat st;
	int ret = parent(r, e, &dir, base);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno("stat %s", unix_name_show(e));
	if (!S_ISSOCK(st.st_mode))
		return err_set(EADDRINUSE, "%s is not a socket any more", unix_name_show(e));
	return unlinkat(dir, base, 0) < 0 ? err_errno("remove %s", unix_name_show(e)) : 0;
}

int unix_name_reach(struct restore *r, const UnixSkEntry *e, struct sockaddr_un *ret,
		    socklen_t *ret_len, int *ret_hold)
{
	autoclose int dir = -1;
	char base[NAME_BYTES];
	int ret_ = parent(r, e, &dir, base);

	if (ret_ == 1)
		*ret_len = unix_name_addr(e, ret);
	if (ret_ != 0)
		return ret_ < 0 ? ret_ : 0;
	*ret_hold = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_hold < 0)
		return err_errno("open %s", unix_name_show(e));
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d", *ret_hold);
	*ret_len = sizeof(*ret);
	return 0;
}

int unix_name_own(struct restore *r, const UnixSkEntry *e)
{
	autoclose int dir = -1;
	char base[NAME_BYTES];
	int ret = parent(r, e, &dir, base);

	if (ret != 0 || !e->file_perms)
		return ret < 0 ? ret : 0;
	if (fchownat(dir, base, users_outer_uid(r, e->file_perms->uid),
		     users_outer_gid(r, e->file_perms->gid), AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("owner of %s", unix_name_show(e));
	if (fchmodat(dir, base, e->file_perms->mode & 07777, 0) < 0)
		return err_errno("mode of %s", unix_name_show(e));
	return 0;
}
