/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_tree.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

void layer_tree_forget(struct layer_tree *t)
{
	g_clear_pointer(&t->dir, g_free);
	if (t->dir_fd >= 0)
		close(take_fd(&t->dir_fd));
}

void layer_tree_clear(struct layer_tree *t)
{
	layer_tree_forget(t);
}

int layer_tree_clean(const struct layer_tree *t, const char *name, char **ret)
{
	g_auto(GStrv) parts = g_strsplit(name, "/", -1);
	g_autoptr(GString) out = g_string_new(NULL);
	unsigned depth = 0;

	for (char **p = parts; *p; p++) {
		if (!**p || !strcmp(*p, "."))
			continue;
		if (!strcmp(*p, ".."))
			return err_set(EXDEV, "%s: the path leaves the layer", name);
		if (++depth > t->depth_max)
			return err_set(ENAMETOOLONG, "%.200s...: more than %u directories deep",
				       name, t->depth_max);
		if (out->len)
			g_string_append_c(out, '/');
		g_string_append(out, *p);
	}
	*ret = g_string_free(g_steal_pointer(&out), FALSE);
	return 0;
}

bool overlay_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool overlay_is_opaque(int dir)
{
	char proc[64], v = 0;

	/* By path, since an O_PATH descriptor takes no fgetxattr(2). */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", dir);
	return getxattr(proc, OVERLAY_OPAQUE, &v, 1) == 1 && v == 'y';
}

/* One level down without following; *RET_ST of what is there.  -1 with errno. */
static int step(int dir, const char *name, struct stat *ret_st)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, ret_st) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* In one layer: 1 found, 0 nothing and the layers below are hidden, 2 nothing, look below. */
static int lookup_in(int layer, char *const *parts, struct stat *st, int *ret_fd)
{
	autoclose int at = openat(layer, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool hidden = false;

	if (at < 0 || fstat(at, st) < 0)
		return err_errno("open a layer");
	for (; *parts; parts++) {
		int next;

		if (!S_ISDIR(st->st_mode))
			return 0;
		hidden |= overlay_is_opaque(at);
		next = step(at, *parts, st);
		if (next < 0 && errno == ENOENT)
			return hidden ? 0 : 2;
		if (next < 0)
			return err_errno("look up %s", *parts);
		close(at);
		at = next;
		if (overlay_is_whiteout(st))
			return 0;
	}
	*ret_fd = take_fd(&at);
	return 1;
}

int overlay_lookup(const int *layers, unsigned n, const char *path, struct stat *ret_st,
		   int *ret_fd)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	autoclose int fd = -1;
	int r = 0;

	if (!*path)
		g_clear_pointer(&parts[0], g_free);
	for (unsigned i = 0; i < n; i++) {
		r = lookup_in(layers[i], parts, ret_st, &fd);
		if (r != 2)
			break;
	}
	if (r != 1)
		return r < 0 ? r : 0;
	if (ret_fd)
		*ret_fd = take_fd(&fd);
	return 1;
}

bool overlay_xattr_wanted(const char *name)
{
	/*
	 * trusted.overlay.* could redirect a directory to files that this layer never had;
	 * security.selinux belongs to the host's policy.
	 */
	return (g_str_has_prefix(name, "user.") && !g_str_has_prefix(name, "user.overlay.")) ||
	       !strcmp(name, "security.capability") || !strcmp(name, "security.ima") ||
	       g_str_has_prefix(name, "system.posix_acl_");
}

static void copy_xattrs(const char *from, const char *to)
{
	char names[65536], value[65536];
	ssize_t n = listxattr(from, names, sizeof(names));

	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len;

		if (!overlay_xattr_wanted(p))
			continue;
		len = getxattr(from, p, value, sizeof(value));
		if (len >= 0 && lsetxattr(to, p, value, (size_t)len, 0) < 0)
			continue; /* as good as the file system can */
	}
}

int overlay_copy_attributes(int from, const struct stat *st, int dir, const char *name)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim};
	char source[64], target[300];

	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
		return err_errno("set owner and mode of %s", name);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", from);
	snprintf(target, sizeof(target), "/proc/self/fd/%d/%s", dir, name);
	copy_xattrs(source, target);
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno("set times of %s", name);
	return 0;
}

static int open_beneath(int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve =
				       RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};

	return file_openat2(root, *path ? path : ".", &how);
}

static int beneath_error(const char *path)
{
	if (errno == EXDEV || errno == ELOOP)
		return err_set(EXDEV, "%s: the path leaves the layer by a symbolic link", path);
	return err_errno("open %s", path);
}

/* A directory that the layer has no entry for (yet). */
static int make_implicit(struct layer_tree *t, int dir, const char *path, const char *base,
			 bool opaque)
{
	autoclose int from = -1;
	struct stat st;
	char proc[300];
	int r;

	if (mkdirat(dir, base, 0755) < 0)
		return err_errno("create directory %s", path);
	if (opaque) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", dir, base);
		if (setxattr(proc, OVERLAY_OPAQUE, "y", 1, 0) < 0)
			return err_errno("make %s opaque", path);
		return fchmodat(dir, base, 0755, 0) < 0 ? err_errno("set mode of %s", path) : 0;
	}
	r = overlay_lookup(t->parents, t->nparents, path, &st, &from);
	if (r < 0)
		return r;
	if (r > 0 && S_ISDIR(st.st_mode))
		return overlay_copy_attributes(from, &st, dir, base);
	return fchmodat(dir, base, 0755, 0) < 0 ? err_errno("set mode of %s", path) : 0;
}

/* Opens the directory PATH, making what is missing; the parents are known to be looked at. */
static int open_made(struct layer_tree *t, const char *path, int *ret)
{
	g_autofree char *copy = g_strdup(path);
	autoclose int up = -1;
	struct stat st;

	for (char *slash = copy;; slash++) {
		char *base, end;
		int fd, r;

		slash += strcspn(slash, "/");
		end = *slash;
		*slash = 0;
		fd = open_beneath(t->root, copy);
		if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
			return beneath_error(copy);
		if (fd < 0) {
			base = strrchr(copy, '/');
			base = base ? base + 1 : copy;
			if (up < 0)
				up = open_beneath(t->root, "");
			if (up < 0)
				return beneath_error(copy);
			if (fstatat(up, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
				if (errno != ENOENT)
					return err_errno("look up %s", copy);
				r = make_implicit(t, up, copy, base, false);
			} else if (overlay_is_whiteout(&st) && unlinkat(up, base, 0) == 0) {
				r = make_implicit(t, up, copy, base, true);
			} else {
				r = err_set(ENOTDIR, "%s is not a directory", copy);
			}
			if (r < 0)
				return r;
			fd = open_beneath(t->root, copy);
			if (fd < 0)
				return beneath_error(copy);
		}
		if (up >= 0)
			close(up);
		up = fd;
		if (!end)
			break;
		*slash = end;
	}
	*ret = take_fd(&up);
	return 0;
}

int layer_tree_parent(struct layer_tree *t, const char *path, bool make, int *ret_dir,
		      const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	g_autofree char *dir = g_strndup(path, slash ? (size_t)(slash - path) : 0);
	int fd, r;

	*ret_base = slash ? slash + 1 : path;
	if (!t->dir || strcmp(t->dir, dir)) {
		fd = open_beneath(t->root, dir);
		if (fd < 0 && make && (errno == ENOENT || errno == ENOTDIR)) {
			r = open_made(t, dir, &fd);
			if (r < 0)
				return r;
		}
		if (fd < 0)
			return beneath_error(path);
		layer_tree_forget(t);
		t->dir = g_steal_pointer(&dir);
		t->dir_fd = fd;
	}
	*ret_dir = t->dir_fd;
	return 0;
}
