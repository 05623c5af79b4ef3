/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts from mountpoints.img.
 *
 * What is outside has been taken hold of (mnt_load.c).  All this happens in the box.  Everything is
 * first mounted aside, in a yard: a tmpfs that lies on top of "/", where no path leads, since paths
 * begin below it.  Then each place is opened while nothing is mounted there yet, so that one mount
 * may cover another; then they are put in their places, in the order of the records; peers and
 * slaves are made (mnt_share.c), and the root is changed.
 */
#include "state/extra.h"
#include "state/ns/mnt_plan.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/mountflags.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *target_of(const struct mnt *m)
{
	return mnt_target(m->e);
}

static int wrap(const struct mnt *m, int r)
{
	return r < 0 ? err_wrap(r, "mount %s", target_of(m)) : r;
}

static int make_yard(struct mnt_plan *p)
{
	/* users inside mount there, too */
	const struct mount_param params[] = {
		{"source", "cryo-yard"}, {"mode", p->o.inside ? "711" : "700"}, {NULL}};
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("make all mounts private");
	r = mnt_ours_leave(p);
	if (r < 0)
		return r;
	r = mount_make("tmpfs", params, 0, &p->yard);
	return r < 0 ? r : mount_attach(p->yard, AT_FDCWD, "/");
}

/* A place for FD in the yard, of its type. */
int mnt_yard(struct mnt_plan *p, int fd)
{
	char name[24];
	struct stat st;
	int place;

	if (fstat(fd, &st) < 0)
		return err_errno("look at a mount");
	snprintf(name, sizeof(name), "%u", p->places++);
	if (S_ISDIR(st.st_mode) ? mkdirat(p->yard, name, 0700) < 0
				: mknodat(p->yard, name, S_IFREG | 0600, 0) < 0)
		return err_errno("make a place for a mount");
	place = openat(p->yard, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0)
		return err_errno("open a place for a mount");
	if (move_mount(fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
		int r = err_errno("mount aside");

		close(place);
		return r;
	}
	close(place);
	return 0;
}

/* Paths of ROOTs of mounts of one file system: what follows in INNER, or NULL. */
const char *mnt_below(const char *inner, const char *outer)
{
	size_t len = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

	if (strncmp(inner, outer, len) != 0 || (inner[len] && inner[len] != '/'))
		return NULL;
	return inner + len + strspn(inner + len, "/");
}

int mnt_view(struct mnt_plan *p, int wide, const char *rest, int *ret)
{
	int r = 0;

	*ret = open_tree(wide, rest,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT |
				 (*rest ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH));
	if (*ret < 0)
		r = err_errno("bind mount of %s", rest);
	return r < 0 ? r : mnt_yard(p, *ret);
}

static const char *fstype_of(const struct mnt *m)
{
	return m->kind && *m->kind->fstype ? m->kind->fstype : m->e->fsname;
}

static int fill(const struct mnt *m, int fd)
{
	return m->archive < 0 ? 0 : tmpfs_unpack(fd, m->archive, target_of(m), true);
}

/* Not by way of /proc, which need not be that of our pid namespace. */
static int make_dirs(int whole, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	autoclose int at = openat(whole, ".", O_PATH | O_CLOEXEC);

	for (char **part = parts; at >= 0 && *part; part++) {
		int next;

		if (!**part)
			continue;
		if (mkdirat(at, *part, 0755) < 0 && errno != EEXIST)
			return err_errno("create directory %s", path);
		next = openat(at, *part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		cleanup_close(&at);
		at = next;
	}
	return at < 0 ? err_errno("create directory %s", path) : 0;
}

static int fill_part(struct mnt_plan *p, struct mnt *m, int whole)
{
	autoclose int fd = -1;
	int r = m->archive < 0 ? 0 : make_dirs(whole, m->e->root);

	if (r < 0)
		return r;
	fd = openat(whole, m->e->root + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* of a cgroup namespace it is the root itself: kernel/cgroup/cgroup.c, cgroup_do_get_tree()
	 */
	if (fd < 0 && errno == ENOENT && g_str_has_prefix(fstype_of(m), "cgroup"))
		fd = openat(whole, ".", O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open %s of a new %s", m->e->root, fstype_of(m));
	r = fill(m, fd);
	return r < 0 ? r : mnt_view(p, fd, "", &m->fd);
}

static int show_one(int scratch, const struct mnt *m)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int at = file_openat2(scratch, target_of(m), &how), copy = -1;
	int r = at < 0 ? err_errno("open %s", target_of(m)) : mount_copy(m->fd, "", false, &copy);

	if (r == 0)
		r = mount_change(copy, false, 0, 0, MS_PRIVATE);
	if (r == 0 &&
	    move_mount(copy, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = err_errno("mount at %s", target_of(m));
	return r;
}

/* A copy of the tree as far as it has been made, for paths to lead through. */
static int make_scratch(struct mnt_plan *p, int *ret)
{
	/* without a root of its own: what we show it with, and in between what is new */
	int r = p->root ? mount_copy(p->root->fd, "", false, ret)
			: mount_copy(AT_FDCWD, "/", true, ret);

	if (r == 0)
		r = mnt_yard(p, *ret);
	if (r == 0)
		r = mount_change(*ret, true, 0, 0, MS_PRIVATE);
	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		const struct mnt *m = g_ptr_array_index(p->all, i);

		if (m != p->root && m->fd >= 0)
			r = show_one(*ret, m);
	}
	return r;
}

/* Of a device that is given: its file, where we see it, and read-only from the first if it was. */
static int find_device(const struct mnt_plan *p, const struct mnt *m, const char **ret_source)
{
	g_autofree char *key = g_strdup_printf("dev[%s]", m->e->source);

	*ret_source = m->e->source;
	for (unsigned i = 0; i < p->o.nexternals && m->e->fstype == FSTYPE__AUTO; i++)
		if (strcmp(p->o.externals[i].key, key) == 0) {
			*ret_source = p->o.externals[i].name;
			return 1;
		}
	if (extra_get(p->o.extra, "device_mounts", m->e->mnt_id))
		return err_set(EINVAL, "its device is external; use --external dev[%s]:PATH",
			       m->e->source);
	return 0;
}

/* Paths in options (overlay) are those of the tree; what they lead to is before it in the records.
 */
static int mount_in_root(struct mnt_plan *p, const struct mnt *m, const char *name)
{
	bool paths = strchr(m->e->options, '/') &&
		     (p->root ? p->root->fd >= 0 : strcmp(fstype_of(m), "overlay") == 0);
	autoclose int root = paths ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	autoclose int scratch = -1;
	const char *source;
	int r = find_device(p, m, &source);
	unsigned flags = r > 0 ? m->e->sb_flags : m->e->sb_flags & ~(unsigned)MS_RDONLY;

	if (r >= 0)
		r = paths ? make_scratch(p, &scratch) : 0;
	if (r < 0)
		return r;
	if (paths && (root < 0 || fchdir(scratch) < 0 || chroot(".") < 0))
		return err_errno("enter the new root");
	if (fchdir(p->yard) < 0)
		return err_errno("enter the yard");
	if (mnt_is_inside(p, m))
		r = mnt_mount_inside(p, m, source, name, flags);
	else if (mount(source, name, fstype_of(m), flags, m->e->options) < 0)
		r = err_errno("file system %s, options %s", fstype_of(m), m->e->options);
	if (paths && (fchdir(scratch) < 0 || umount2(".", MNT_DETACH) < 0 || fchdir(root) < 0 ||
		      chroot(".") < 0))
		return err_errno("leave the new root");
	return r;
}

/* mount(2) rather than fsopen(2): it takes options as the kernel shows them, of any length. */
static int make_new(struct mnt_plan *p, struct mnt *m)
{
	bool whole = strcmp(m->e->root, "/") == 0;
	char name[24];
	autoclose int fd = -1;
	int r;

	snprintf(name, sizeof(name), "%u", p->places++);
	if (mkdirat(p->yard, name, 0700) < 0 || fchdir(p->yard) < 0)
		return err_errno("make a place for a mount");
	r = mount_in_root(p, m, name);
	if (r < 0)
		return r;
	fd = openat(p->yard, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open what is mounted");
	if (mnt_is_inside(p, m))
		mnt_own_files(p, true);
	r = whole ? fill(m, fd) : fill_part(p, m, fd); /* nobody shows all of it */
	if (mnt_is_inside(p, m))
		mnt_own_files(p, false);
	if (r == 0 && whole)
		m->fd = take_fd(&fd);
	return r;
}

/* Another mount, made already, that shows at least what M does. */
static struct mnt *find_wider(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		struct mnt *o = g_ptr_array_index(p->all, i);

		if (o != m && o->fd >= 0 && !o->e->deleted && o->e->root_dev == m->e->root_dev &&
		    mnt_below(m->e->root, o->e->root))
			return o;
	}
	return NULL;
}

/* One that is still to be made and would serve better than M as the first of its file system. */
static bool is_better_first(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = g_ptr_array_index(p->all, i);

		if (o != m && o->fd < 0 && o->e->root_dev == m->e->root_dev &&
		    strlen(o->e->root) < strlen(m->e->root) && mnt_below(m->e->root, o->e->root))
			return true;
	}
	return false;
}

static bool can_be_new(const struct mnt *m)
{
	return !m->e->deleted && (m->kind || m->e->fstype == FSTYPE__AUTO);
}

/* 1: not yet. */
static int make_one(struct mnt_plan *p, struct mnt *m)
{
	int pids = p->o.pids ? p->o.pids(p->o.arg, m->e->mnt_id) : -1, r;
	const struct mnt *wide;

	if (m->source >= 0) {
		m->fd = take_fd(&m->source);
		return mnt_yard(p, m->fd);
	}
	wide = find_wider(p, m);
	if (wide && m->e->deleted)
		return mnt_gone_make(p, m, wide->fd, mnt_below(m->e->root, wide->e->root), &m->fd);
	if (wide)
		return mnt_view(p, wide->fd, mnt_below(m->e->root, wide->e->root), &m->fd);
	if (is_better_first(p, m) || !can_be_new(m))
		return 1;
	if (pids >= 0) {
		r = mnt_make_proc(pids, &m->fd);
		return r < 0 ? r : mnt_yard(p, m->fd);
	}
	return make_new(p, m);
}

static int make_all(struct mnt_plan *p)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < p->all->len; i++) {
			struct mnt *m = g_ptr_array_index(p->all, i);
			int r = m->fd < 0 ? make_one(p, m) : 1;

			if (r < 0)
				return wrap(m, r);
			more = more || r == 0;
		}
	}
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *m = g_ptr_array_index(p->all, i);

		if (m->fd < 0)
			return wrap(m, err_set(EBADMSG, "what it shows is not there"));
	}
	return 0;
}

/* Where it goes, as nothing is mounted there yet. */
static int open_place(struct mnt *m)
{
	const char *rest;

	if (m->at >= 0)
		return 0;
	if (!m->parent) { /* in a copy of our tree */
		m->at = open(target_of(m), O_PATH | O_NOFOLLOW | O_CLOEXEC);
		return m->at < 0 ? wrap(m, err_errno("its place")) : 0;
	}
	rest = mnt_below(target_of(m), target_of(m->parent));
	if (!rest)
		return err_set(EBADMSG, "mount %s is said to be below %s", target_of(m),
			       target_of(m->parent));
	m->at = openat(m->parent->fd, *rest ? rest : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return m->at < 0 ? wrap(m, err_errno("its place")) : 0;
}

int mnt_set_flags(int fd, unsigned flags)
{
	struct mount_attr a = {.attr_set = mountflags_attrs(flags),
			       .attr_clr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					   MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					   MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME |
					   MOUNT_ATTR_NOSYMFOLLOW};

	return mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0 ? err_errno("attributes")
								       : 0;
}

static int set_attributes(struct mnt *m)
{
	autoclose int fs = -1;

	if (!m->e->ext_mount && m->parent && can_be_new(m) && m->e->sb_flags & MS_RDONLY) {
		fs = fspick(m->fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
		if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
		    fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
			return wrap(m, err_errno("make the file system read-only"));
	}
	return wrap(m, mnt_set_flags(m->fd, m->e->flags));
}

static int put(struct mnt *m)
{
	if (m->at >= 0 && !m->late &&
	    move_mount(m->fd, "", m->at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return wrap(m, err_errno("put it into its place"));
	return 0;
}

/*
 * pivot_root(2), "pivot_root(".", ".")": the old root lies on top of the new one then, and the yard
 * on top of that; "." means the topmost.
 */
static int enter_root(const struct mnt_plan *p)
{
	if (!p->root) {
		if (fchdir(p->yard) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			return err_errno("leave the yard");
		return 0;
	}
	if (fchdir(p->root->fd) < 0)
		return err_errno("enter the new root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno("pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno("leave the old root");
	return 0;
}

static int each(struct mnt_plan *p, int (*fn)(struct mnt *m), bool root)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		struct mnt *m = g_ptr_array_index(p->all, i);

		if (root || m != p->root)
			r = fn(m);
	}
	return r;
}

int mnt_plan_make(struct mnt_plan *p)
{
	int r = mnt_take_outer(p);

	if (r == 0)
		r = make_yard(p);
	if (r == 0)
		r = make_all(p);
	if (r == 0)
		r = each(p, open_place, false);
	if (r == 0)
		r = mnt_unshare_all(p);
	mnt_mark_inside(p);
	if (r == 0)
		r = each(p, put, false);
	mnt_gone_end(p);
	if (r == 0)
		r = mnt_share(p);
	if (r == 0)
		r = each(p, set_attributes, true);
	if (r == 0 && p->o.inside)
		r = mnt_keep_inside(p);
	if (r == 0)
		r = enter_root(p);
	return r < 0 ? r : mnt_share_root(p);
}
