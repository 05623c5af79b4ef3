/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of what is not there yet when mounts are made: files of unix sockets (mnt_socks.c) and of
 * namespaces (mnt_nsfs.c).  They are left out of the plan, and come when the files of the tree have
 * been opened.  IMAGE_EXTRA, "late_mounts", says by the number of the mount what it shows.
 */
#include "state/extra.h"
#include "state/ns/mnt_plan.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "kernel/mount.h"
#include "kernel/mountflags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>

#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100
#endif

static const json_t *about(json_t *extra, const MntEntry *e)
{
	return extra_get(extra, "late_mounts", e->mnt_id);
}

bool mnt_is_late(json_t *extra, const MntEntry *e)
{
	return about(extra, e) != NULL;
}

struct late {
	const MntEntry *e;
	const char *path;	  /* of a socket's file */
	const MntEntry *relative; /* a mount in its place's namespace that has its group; or NULL */
	uid_t uid;		  /* the root of the tree's users */
	gid_t gid;
	int fd;
};

/*
 * Where the socket, or terminal, is.  Nobody may have bound it: what its owner left behind when it
 * ended.
 */
static int copy_file(void *arg, int *ret_fd)
{
	const struct late *m = arg;

	if (m->e->fstype == FSTYPE__DEVPTS)
		return mount_copy(AT_FDCWD, m->path, false, ret_fd);
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

static int share(const struct late *m)
{
	autoclose int from = -1;
	int r = mount_change(m->fd, false, mountflags_attrs(m->e->flags), MOUNT_ATTR__ATIME,
			     MS_PRIVATE);

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
static bool is_there(const struct late *m)
{
	struct statx file, at;

	return statx(m->fd, "", AT_EMPTY_PATH, STATX_INO, &file) == 0 &&
	       statx(AT_FDCWD, mnt_target(m->e), AT_SYMLINK_NOFOLLOW, STATX_INO, &at) == 0 &&
	       at.stx_attributes & STATX_ATTR_MOUNT_ROOT && at.stx_ino == file.stx_ino &&
	       at.stx_dev_major == file.stx_dev_major && at.stx_dev_minor == file.stx_dev_minor;
}

static int put(void *arg, int *ret_fd)
{
	const struct late *m = arg;
	int r = is_there(m) ? 1 : share(m);

	return r == 0 ? mount_attach(m->fd, AT_FDCWD, mnt_target(m->e)) : MIN(r, 0);
}

static const MntEntry *find_relative(json_t *extra, const GPtrArray *all, const MntEntry *e)
{
	for (unsigned i = 0; i < all->len; i++) {
		const MntEntry *o = g_ptr_array_index(all, i);

		if (o->shared_id && !mnt_is_late(extra, o) && mnt_below(e->root, o->root) &&
		    (o->shared_id == e->shared_id || o->shared_id == e->master_id))
			return o;
	}
	return NULL;
}

/* fs/namespace.c: may_copy_tree(): files of namespaces are to be mounted from everywhere. */
static int copy_namespace(struct restore *r, const char *kind, uint32_t id, int *ret_fd)
{
	int ns, ret;

	for (unsigned k = 0; k < NS_COUNT; k++)
		if (strcmp(ns_infos[k].name, kind) == 0) {
			ret = spaces_fd(r, (enum ns_kind)k, id, &ns);
			return ret < 0 ? ret : mount_copy(ns, "", false, ret_fd);
		}
	return err_set(EBADMSG, "late_mounts: %s is no kind of namespace", kind);
}

static int make_one(struct restore *r, int ns, const GPtrArray *all, const MntEntry *e)
{
	const json_t *x = about(r->extra, e);
	const char *kind = json_string_value(json_object_get(x, "kind"));
	uint32_t of = (uint32_t)json_integer_value(json_object_get(x, kind ? "of" : "ns"));
	struct late m = {
		.e = e, .fd = -1, .uid = users_outer_uid(r, 0), .gid = users_outer_gid(r, 0)};
	autoclose int fd = -1;
	int there, ret;

	m.path = json_string_value(json_object_get(x, "path"));
	m.relative = find_relative(r->extra, all, e);
	if (!kind && !m.path)
		return err_set(EBADMSG, "late_mounts: mount %u has no path", e->mnt_id);
	if (kind)
		ret = copy_namespace(r, kind, of, &fd);
	else
		ret = spaces_fd(r, NS_MNT, of, &there);
	if (ret == 0 && !kind)
		ret = ns_run(&there, 1, copy_file, &m, &fd);
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

		if (!mnt_is_late(r->extra, e))
			continue;
		ret = make_one(r, ns, all, e);
		if (ret < 0)
			return err_wrap(ret, "mount %s", mnt_target(e));
	}
	return ret;
}

int mnt_late_restore(struct restore *r)
{
	int ret = 0;

	if (!json_object_get(r->extra, "late_mounts"))
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
