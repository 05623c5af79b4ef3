/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mount.h"
#include "base/background.h"
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define PARAM_MAX 256 /* fs/fsopen.c: fsconfig() copies strings of up to 255 bytes */

/* The context collects messages, "e overlay: ...": the first error is what went wrong. */
static int context_error(int fs, int saved, const char *what, const char *fstype)
{
	char line[512];
	ssize_t n;

	while ((n = read(fs, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		g_strchomp(line);
		if (line[0] == 'e' && line[1] == ' ')
			return err_code(saved, "%s %s: %s", what, fstype, line + 2);
	}
	return err_code(saved, "%s %s", what, fstype);
}

static int set_param(int fs, const char *fstype, const char *key, const char *value)
{
	int r = value ? fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0)
		      : fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);

	if (r < 0) {
		g_autofree char *what =
			g_strdup_printf("option %s%s%s of", key, value ? "=" : "", value ?: "");

		return context_error(fs, errno, what, fstype);
	}
	return 0;
}

static int set_params(int fs, const char *fstype, const struct mount_param *p)
{
	int r = 0;

	for (; p && p->key && r == 0; p++)
		r = set_param(fs, fstype, p->key, p->value);
	return r;
}

static int open_context(const char *fstype, int *ret_fd)
{
	*ret_fd = fsopen(fstype, FSOPEN_CLOEXEC);
	if (*ret_fd < 0)
		return err_errno("file system %s", fstype);
	return 0;
}

static int finish_context(int fs, const char *fstype, unsigned attrs, int *ret_fd)
{
	int fd;

	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_error(fs, errno, "mount", fstype);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	if (fd < 0)
		return context_error(fs, errno, "mount", fstype);
	*ret_fd = fd;
	return 0;
}

int mount_make(const char *fstype, const struct mount_param *params, unsigned attrs, int *ret_fd)
{
	autoclose int fs = -1;
	int r = open_context(fstype, &fs);

	if (r == 0)
		r = set_params(fs, fstype, params);
	return r < 0 ? r : finish_context(fs, fstype, attrs, ret_fd);
}

/* Descriptors that stand for paths which do not fit, until the mount is made. */
struct held {
	GArray *fds;
};

static void held_drop(struct held *h)
{
	for (guint i = 0; i < h->fds->len; i++)
		close(g_array_index(h->fds, int, i));
	g_array_free(h->fds, TRUE);
}

/* "/proc/self/fd/N" for PATH; the kernel looks it up when the mount is created. */
static int short_path(struct held *h, const char *path, char **ret)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return err_errno("open %s", path);
	g_array_append_val(h->fds, fd);
	*ret = g_strdup_printf("/proc/self/fd/%d", fd);
	return 0;
}

static int set_path(int fs, struct held *h, const char *key, const char *path)
{
	g_autofree char *other = NULL;
	int r = 0;

	if (strlen(path) >= PARAM_MAX)
		r = short_path(h, path, &other);
	return r < 0 ? r : set_param(fs, "overlay", key, other ?: path);
}

/* ':' separates lower directories, so it and the backslash are escaped (ovl_split_lowerdirs()). */
static void append_lower(GString *s, const char *path)
{
	if (s->len)
		g_string_append_c(s, ':');
	for (; *path; path++) {
		if (*path == ':' || *path == '\\')
			g_string_append_c(s, '\\');
		g_string_append_c(s, *path);
	}
}

static int join_lower(const struct mount_overlay *o, struct held *h, size_t max, char **ret)
{
	g_autoptr(GString) plain = g_string_new(NULL);
	g_autoptr(GString) brief = g_string_new(NULL);

	for (size_t i = 0; i < o->nlower; i++)
		append_lower(plain, o->lower[i]);
	if (plain->len < max) {
		*ret = g_strdup(plain->str);
		return 0;
	}
	for (size_t i = 0; i < o->nlower; i++) {
		g_autofree char *path = NULL;
		int r = short_path(h, o->lower[i], &path);

		if (r < 0)
			return r;
		append_lower(brief, path);
	}
	if (brief->len >= max)
		return err_set(E2BIG, "mount overlay: %zu layers are too many for this kernel",
			       o->nlower);
	*ret = g_strdup(brief->str);
	return 0;
}

struct old_way {
	const struct mount_overlay *o;
	const char *lower;
};

/*
 * mount(2) takes a page of options where fsconfig(2) takes 255 bytes.  It wants a place to mount:
 * any directory will do, in a mount namespace that only this child has; the detached copy of the
 * mount is what counts.
 */
static int mount_old_way(void *arg, int *ret_fd)
{
	const struct old_way *w = arg;
	g_autoptr(GString) data = g_string_new(NULL);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("new mount namespace");
	g_string_printf(data, "lowerdir=%s", w->lower);
	if (w->o->upper)
		g_string_append_printf(data, ",upperdir=%s,workdir=%s", w->o->upper, w->o->work);
	for (const struct mount_param *p = w->o->params; p && p->key; p++)
		g_string_append_printf(data, ",%s%s%s", p->key, p->value ? "=" : "",
				       p->value ?: "");
	if (mount("overlay", w->o->lower[0], "overlay", 0, data->str) < 0)
		return err_errno("mount overlay");
	return mount_copy(AT_FDCWD, w->o->lower[0], false, ret_fd);
}

static int without_lower_plus(const struct mount_overlay *o, struct held *h, int *ret_fd)
{
	g_autofree char *lower = NULL;
	int r = join_lower(o, h, 3000, &lower);

	if (r < 0)
		return r;

	struct old_way w = {.o = o, .lower = lower};

	r = ns_run(NULL, 0, mount_old_way, &w, ret_fd);
	if (r == 0 && o->attrs) {
		r = mount_change(*ret_fd, false, o->attrs, 0, 0);
		if (r < 0)
			close(take_fd(ret_fd));
	}
	return r;
}

int mount_make_overlay(const struct mount_overlay *o, int *ret_fd)
{
	CLEANUP(held_drop) struct held h = {g_array_new(FALSE, FALSE, sizeof(int))};
	autoclose int fs = -1;
	int r = open_context("overlay", &fs);

	if (r < 0)
		return r;
	for (size_t i = 0; i < o->nlower && r == 0; i++) {
		r = o->old_way ? -EINVAL : set_path(fs, &h, "lowerdir+", o->lower[i]);
		if (r == -EINVAL && i == 0) /* "Unknown parameter" */
			return without_lower_plus(o, &h, ret_fd);
	}
	if (r == 0 && o->upper)
		r = set_path(fs, &h, "upperdir", o->upper);
	if (r == 0 && o->upper)
		r = set_path(fs, &h, "workdir", o->work);
	if (r == 0)
		r = set_params(fs, "overlay", o->params);
	return r < 0 ? r : finish_context(fs, "overlay", o->attrs, ret_fd);
}

int mount_copy(int dir, const char *path, bool recursive, int *ret_fd)
{
	int fd = open_tree(dir, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) |
				   (*path ? 0 : AT_EMPTY_PATH));

	if (fd < 0)
		return err_errno("bind mount of %s", path);
	*ret_fd = fd;
	return 0;
}

int mount_change(int fd, bool recursive, uint64_t set, uint64_t clr, uint64_t propagation)
{
	struct mount_attr a = {.attr_set = set, .attr_clr = clr, .propagation = propagation};

	if (mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) <
	    0)
		return err_errno("change mount attributes");
	return 0;
}

int mount_attach(int fd, int dir, const char *path)
{
	if (move_mount(fd, "", dir, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno("mount at %s", path);
	return 0;
}

struct attach {
	int fd;
	const char *path;
};

static int attach_here(void *arg, int *ret_fd)
{
	const struct attach *a = arg;

	return mount_attach(a->fd, AT_FDCWD, a->path);
}

int mount_attach_in(int fd, int mntns, const char *path)
{
	struct attach a = {.fd = fd, .path = path};

	return ns_run(&mntns, 1, attach_here, &a, NULL);
}

int mount_bind(const char *source, const char *target, bool recursive)
{
	autoclose int fd = -1;
	int r = mount_copy(AT_FDCWD, source, recursive, &fd);

	return r < 0 ? r : mount_attach(fd, AT_FDCWD, target);
}

/* Its end lets go of what it holds: 3, the mount, and 4, at whose end our parent has let go. */
static void hold(void *unused)
{
	char byte;

	(void)!read(4, &byte, 1);
}

int mount_detach_later(const char *path)
{
	autoclose int held = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int theirs = -1, ours = -1;
	int p[2], r;

	if (held < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", path);
	r = mount_is_mount(path);
	if (r <= 0)
		return r;
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno("create a pipe");
	theirs = p[0];
	ours = p[1];
	(void)!background_run((const int[]){held, theirs}, 2, hold, NULL);
	r = mount_detach(path);
	close(take_fd(&held)); /* before OURS, which ends the other process */
	return r;
}

int mount_detach(const char *path)
{
	/* EINVAL: not, or no longer, a mount point. */
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		return err_errno("unmount %s", path);
	return 0;
}

int mount_is_mount(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return err_errno("look at %s", path);
	}
	return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
