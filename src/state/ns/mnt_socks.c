/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of unix sockets that are bind-mounted somewhere, as one gives a server's socket to a
 * container.  bind(2) always makes a new file (net/unix/af_unix.c: unix_bind_bsd()), so that these
 * mounts come when sockets have been bound again: in IMAGE_EXTRA, "socket_mounts", by the number of
 * the mount, is in which namespace and by what path the file is found then.
 */
#include "state/ns/mnt_plan.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/mountflags.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>

#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100
#endif

static int stat_in(int root, const char *path, struct stat *st)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int fd = file_openat2(root, path, &how);

	return fd < 0 || fstat(fd, st) < 0 ? -1 : 0;
}

/* A path in one namespace that leads to what M shows, but not by a mount like M. */
static char *find_in(const struct mountinfo *all, int root, const struct mount_entry *m,
		     const struct stat *st)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct mount_entry *o = &all->v[i];
		const char *rest = o->major == m->major && o->minor == m->minor && !mnt_is_gone(o)
					   ? mnt_below(m->root, o->root)
					   : NULL;
		g_autofree char *path = NULL;
		struct stat its;

		if (!rest || !*rest || mountinfo_is_covered(all, o))
			continue;
		path = g_build_filename(o->target, rest, NULL);
		/* something may lie on the way, or on the file itself: that would be seen */
		if (stat_in(root, path, &its) == 0 && its.st_dev == st->st_dev &&
		    its.st_ino == st->st_ino)
			return g_steal_pointer(&path);
	}
	return NULL;
}

static char *find(const struct mnt_scope *s, int root, const struct mount_entry *m,
		  const struct stat *st, uint32_t *ret_ns)
{
	const struct dump *d = s->d;
	char *path = find_in(s->its, root, m, st);

	*ret_ns = s->id;
	if (!path && s->space) {
		*ret_ns = NSID_MNT;
		path = find_in(&d->mounts, d->root, m, st);
	}
	for (unsigned i = 0; !path && i < d->spaces->len; i++) {
		const struct space *x = g_ptr_array_index(d->spaces, i);

		*ret_ns = x->id;
		path = x->kind == NS_MNT ? find_in(&x->mounts, x->root, m, st) : NULL;
	}
	return path;
}

static bool is_made(const struct mount_entry *m, const struct mnt_seen *seen)
{
	return seen->way != MNT_ROOT && seen->way != MNT_OURS && seen->way != MNT_SKIPPED &&
	       !(seen->way == MNT_EXTERNAL && seen->key) && strcmp(m->root, "/") != 0;
}

/* What mount I shows, also where something lies on it. */
static int look_below(const struct mnt_scope *s, size_t i, struct stat *st)
{
	autoclose int top = -1;
	int r = mnt_open_bare(s, i, &top);

	return r < 0 ? r : fstat(top, st) < 0 ? err_errno("stat %s", s->its->v[i].target) : 0;
}

int mnt_sock_look(const struct mnt_scope *s, size_t i, struct mnt_seen *seen)
{
	const struct mount_entry *m = &s->its->v[i];
	int r = 0, root = s->space ? s->space->root : s->d->root;
	struct stat st;
	bool covered;

	if (!is_made(m, seen))
		return 0;
	covered = mountinfo_is_covered(s->its, m);
	if (covered)
		r = look_below(s, i, &st);
	else if (stat_in(root, m->target, &st) < 0)
		return 0;
	if (r < 0 || !S_ISSOCK(st.st_mode))
		return r;
	if (mnt_is_gone(m))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): the file of a unix socket that is mounted there has "
			       "been deleted; unmount it",
			       m->target, m->fstype);
	if (covered)
		return err_set(
			EOPNOTSUPP,
			"mount %s (%s): something else is mounted over the unix socket there; "
			"unmount that",
			m->target, m->fstype);
	seen->sock_path = find(s, root, m, &st, &seen->sock_ns);
	return seen->sock_path || seen->host_path
		       ? 0
		       : err_set(EOPNOTSUPP,
				 "mount %s (%s): the unix socket that is mounted there is to be "
				 "found by no path of the tree; unmount it",
				 m->target, m->fstype);
}

static const json_t *about(json_t *extra, const MntEntry *e)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", e->mnt_id);
	return json_object_get(json_object_get(extra, "socket_mounts"), id);
}

bool mnt_is_sock(json_t *extra, const MntEntry *e)
{
	return about(extra, e) != NULL;
}

struct sock_mount {
	const MntEntry *e;
	const char *path;	  /* of the socket's file */
	const MntEntry *relative; /* a mount in its place's namespace that has its group; or NULL */
	uid_t uid;		  /* the root of the tree's users */
	gid_t gid;
	int fd;
};

/* Where the file is.  Nobody may have bound it: what its owner left behind when it ended. */
static int copy(void *arg, int *ret_fd)
{
	const struct sock_mount *m = arg;

	setfsgid(m->gid);
	setfsuid(m->uid);
	if (mknod(m->path, S_IFSOCK | 0755, 0) < 0 && errno != EEXIST)
		return err_errno("file of unix socket %s", m->path);
	return mount_copy(AT_FDCWD, m->path, false, ret_fd);
}

/* fs/namespace.c: do_set_group(): of a mount that shows at least as much. */
static int take_group(int from, int to)
{
	return move_mount(from, "", to, "",
			  MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH |
				  MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? err_errno("become a peer")
		       : 0;
}

static int share(const struct sock_mount *m)
{
	autoclose int from = -1;
	int r = mount_change(m->fd, false, mountflags_attrs(m->e->flags), 0, MS_PRIVATE);

	if (r < 0 || !m->relative)
		return r == 0 && m->e->shared_id ? mount_change(m->fd, false, 0, 0, MS_SHARED) : r;
	from = open(mnt_target(m->relative), O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return err_errno("open %s", mnt_target(m->relative));
	r = take_group(from, m->fd);
	if (r == 0 && m->relative->shared_id != m->e->shared_id)
		r = mount_change(m->fd, false, 0, 0, MS_SLAVE);
	return r == 0 && m->e->shared_id && m->relative->shared_id != m->e->shared_id
		       ? mount_change(m->fd, false, 0, 0, MS_SHARED)
		       : r;
}

/* It has come by itself when a peer of what is below it got one. */
static bool is_there(const struct sock_mount *m)
{
	struct statx file, at;

	return statx(m->fd, "", AT_EMPTY_PATH, STATX_INO, &file) == 0 &&
	       statx(AT_FDCWD, mnt_target(m->e), AT_SYMLINK_NOFOLLOW, STATX_INO, &at) == 0 &&
	       at.stx_attributes & STATX_ATTR_MOUNT_ROOT && at.stx_ino == file.stx_ino &&
	       at.stx_dev_major == file.stx_dev_major && at.stx_dev_minor == file.stx_dev_minor;
}

static int put(void *arg, int *ret_fd)
{
	const struct sock_mount *m = arg;
	int r = is_there(m) ? 1 : share(m);

	return r == 0 ? mount_attach(m->fd, AT_FDCWD, mnt_target(m->e)) : MIN(r, 0);
}

static const MntEntry *find_relative(json_t *extra, const GPtrArray *all, const MntEntry *e)
{
	for (unsigned i = 0; i < all->len; i++) {
		const MntEntry *o = g_ptr_array_index(all, i);

		if (o->shared_id && !mnt_is_sock(extra, o) && mnt_below(e->root, o->root) &&
		    (o->shared_id == e->shared_id || o->shared_id == e->master_id))
			return o;
	}
	return NULL;
}

static int make_one(struct restore *r, int ns, const GPtrArray *all, const MntEntry *e)
{
	const json_t *x = about(r->extra, e);
	uint32_t of = (uint32_t)json_integer_value(json_object_get(x, "ns"));
	struct sock_mount m = {
		.e = e, .fd = -1, .uid = users_outer_uid(r, 0), .gid = users_outer_gid(r, 0)};
	autoclose int fd = -1;
	int there, ret;

	m.path = json_string_value(json_object_get(x, "path"));
	m.relative = find_relative(r->extra, all, e);
	if (!m.path)
		return err_set(EBADMSG, "socket_mounts: mount %u has no path", e->mnt_id);
	ret = spaces_fd(r, NS_MNT, of, &there);
	if (ret == 0)
		ret = ns_run(&there, 1, copy, &m, &fd);
	m.fd = fd;
	return ret < 0 ? ret : ns_run(&ns, 1, put, &m, NULL);
}

static int make_all(struct restore *r, uint32_t id)
{
	g_autoptr(GPtrArray) all = NULL;
	int ns, ret = mnt_records(r->o.images, id, r->extra, &all);

	if (ret == 0)
		ret = spaces_fd(r, NS_MNT, id, &ns);
	for (unsigned i = 0; ret == 0 && i < all->len; i++) {
		const MntEntry *e = g_ptr_array_index(all, i);

		if (!mnt_is_sock(r->extra, e))
			continue;
		ret = make_one(r, ns, all, e);
		if (ret < 0)
			return err_wrap(ret, "mount %s", mnt_target(e));
	}
	return ret;
}

int mnt_socks_restore(struct restore *r)
{
	int ret = 0;

	if (!json_object_get(r->extra, "socket_mounts"))
		return 0;
	if (r->o.mounts_made)
		ret = make_all(r, r->nsids.v[NS_MNT]);
	for (unsigned i = 0; ret == 0 && r->spaces && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		if (s->kind == NS_MNT)
			ret = make_all(r, s->id);
	}
	return ret;
}
