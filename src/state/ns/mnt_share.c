/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers and masters of mounts (mount_namespaces(7), shared subtrees), when all are in their places.
 *
 * MOVE_MOUNT_SET_GROUP (Linux 5.15) takes over the group of another mount of the same file system,
 * which has to show at least as much (fs/namespace.c: do_set_group()).  So each group is made as a
 * mount in the yard that shows as much as there is; it stays when that one goes.
 */
#include "state/ns/mnt_plan.h"

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100
#endif

static struct mnt *at(const struct mnt_plan *p, unsigned i)
{
	return g_ptr_array_index(p->all, i);
}

static bool is_group_inside(const struct mnt_plan *p, uint32_t group)
{
	for (unsigned i = 0; i < p->all->len; i++)
		if (at(p, i)->e->shared_id == group)
			return true;
	return false;
}

static bool has_outer_master(const struct mnt_plan *p, const struct mnt *m)
{
	return m->e->master_id && !is_group_inside(p, m->e->master_id);
}

static bool is_outside(const struct mnt_plan *p, const struct mnt *m)
{
	return (m == p->root && !p->o.outer) || m->e->ext_mount || m->shown;
}

/* Peers outside: only what was copied from there has them. */
static bool has_outer_peers(const struct mnt_plan *p, const struct mnt *m)
{
	return is_outside(p, m) && m->e->shared_id && m->e->has_internal_sharing &&
	       !m->e->internal_sharing;
}

/* Its peers outside are to get nothing of what is put below it now: another one holds its place. */
static int stand_in(struct mnt_plan *p, struct mnt *m)
{
	int r = mount_copy(m->fd, "", false, &m->peer);

	return r < 0 ? r : mnt_yard(p, m->peer);
}

int mnt_unshare_all(struct mnt_plan *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		struct mnt *m = at(p, i);

		if (has_outer_peers(p, m))
			r = stand_in(p, m);
		if (r == 0 && has_outer_master(p, m) && !has_outer_peers(p, m))
			r = mount_change(m->fd, false, 0, 0, MS_SLAVE);
		else if (r == 0)
			r = mount_change(m->fd, false, 0, 0, MS_PRIVATE);
	}
	return r;
}

/* The made mount that shows most of M's file system. */
static const struct mnt *widest(const struct mnt_plan *p, const struct mnt *m)
{
	const struct mnt *best = m;

	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = at(p, i);

		if (o->e->root_dev == m->e->root_dev && mnt_below(best->e->root, o->e->root))
			best = o;
	}
	return best;
}

/* The group of M, as a mount in the yard that shows enough for all others to take it over. */
struct group {
	uint32_t id;
	int fd; /* -1: being made */
};

static int group_of(struct mnt_plan *p, GArray *groups, const struct mnt *m, uint32_t id,
		    int *ret_fd);

/* The group is one outside: what holds the place of a copy of a member that shows all of M. */
static int find_outer_group(const struct mnt_plan *p, const struct mnt *m, uint32_t id)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = at(p, i);

		if (o->peer >= 0 && o->e->shared_id == id && o->e->root_dev == m->e->root_dev &&
		    mnt_below(m->e->root, o->e->root))
			return o->peer;
	}
	return -1;
}

/* A member of group ID, for what its master is. */
static const struct mnt *member(const struct mnt_plan *p, uint32_t id)
{
	for (unsigned i = 0; i < p->all->len; i++)
		if (at(p, i)->e->shared_id == id)
			return at(p, i);
	return NULL;
}

static int take_group(int from, int to)
{
	if (move_mount(from, "", to, "",
		       MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
	    0)
		return err_errno("become a peer");
	return 0;
}

static int make_group(struct mnt_plan *p, GArray *groups, const struct mnt *m, uint32_t id,
		      int *ret_fd)
{
	const struct mnt *one = member(p, id);
	uint32_t master = one->e->master_id;
	autoclose int fd = -1;
	int r, above;

	r = mount_copy(widest(p, m)->fd, "", false, &fd);
	if (r == 0)
		r = mnt_yard(p, fd);
	if (r == 0)
		r = mount_change(fd, false, 0, 0,
				 master && !is_group_inside(p, master) ? MS_SLAVE : MS_PRIVATE);
	if (r == 0 && master && is_group_inside(p, master)) {
		r = group_of(p, groups, m, master, &above);
		if (r == 0)
			r = take_group(above, fd);
		if (r == 0)
			r = mount_change(fd, false, 0, 0, MS_SLAVE);
	}
	if (r == 0)
		r = mount_change(fd, false, 0, 0, MS_SHARED);
	*ret_fd = take_fd(&fd);
	return r;
}

static int group_of(struct mnt_plan *p, GArray *groups, const struct mnt *m, uint32_t id,
		    int *ret_fd)
{
	struct group g = {.id = id, .fd = -1};
	int r, outer = find_outer_group(p, m, id);

	if (outer >= 0) {
		*ret_fd = outer;
		return 0;
	}
	for (unsigned i = 0; i < groups->len; i++) {
		const struct group *o = &g_array_index(groups, struct group, i);

		if (o->id != id)
			continue;
		*ret_fd = o->fd;
		return o->fd < 0 ? err_set(EBADMSG, "group %u is its own master", id) : 0;
	}
	g_array_append_val(groups, g);
	r = make_group(p, groups, m, id, ret_fd);
	for (unsigned i = 0; r == 0 && i < groups->len; i++)
		if (g_array_index(groups, struct group, i).id == id)
			g_array_index(groups, struct group, i).fd = *ret_fd;
	return r;
}

/*
 * Whose group M takes over, and what becomes of it after that (MS_*; 0: nothing).  A master outside
 * came with the copy of what is outside; peers of its own are added.
 */
static int find_group(struct mnt_plan *p, GArray *groups, const struct mnt *m, int *ret_from,
		      unsigned long *ret_then)
{
	*ret_from = -1;
	*ret_then = 0;
	if (has_outer_peers(p, m)) {
		*ret_from = m->peer;
		return 0;
	}
	if (has_outer_master(p, m) && is_outside(p, m)) {
		*ret_then = m->e->shared_id ? MS_SHARED : 0;
		return 0;
	}
	if (m->e->shared_id)
		return group_of(p, groups, m, m->e->shared_id, ret_from);
	if (!m->e->master_id || has_outer_master(p, m))
		return 0;
	*ret_then = MS_SLAVE;
	return group_of(p, groups, m, m->e->master_id, ret_from);
}

static int settle(struct mnt_plan *p, GArray *groups, const struct mnt *m)
{
	unsigned long then;
	int from, r = find_group(p, groups, m, &from, &then);

	/* pivot_root(2) wants a root that is not shared: it takes over from a copy, later */
	if (m == p->root)
		return r == 0 && from >= 0 ? mount_copy(from, "", false, &p->root_group) : r;
	if (r == 0 && from >= 0)
		r = take_group(from, m->fd);
	return r == 0 && then ? mount_change(m->fd, false, 0, 0, then) : r;
}

int mnt_share_root(struct mnt_plan *p)
{
	const MntEntry *e = p->root ? p->root->e : NULL;
	int r = p->root_group >= 0 ? take_group(p->root_group, p->root->fd) : 0;

	cleanup_close(&p->root_group);
	if (r == 0 && e && e->master_id && !e->shared_id && is_group_inside(p, e->master_id))
		r = mount_change(p->root->fd, false, 0, 0, MS_SLAVE);
	if (r == 0 && e && e->shared_id && has_outer_master(p, p->root) &&
	    !has_outer_peers(p, p->root))
		r = mount_change(p->root->fd, false, 0, 0, MS_SHARED);
	return r < 0 ? err_wrap(r, "mount /") : 0;
}

int mnt_share(struct mnt_plan *p)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(struct group));
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		r = settle(p, groups, at(p, i));
		if (r < 0)
			r = err_wrap(r, "mount %s", at(p, i)->e->mountpoint + 1);
	}
	for (unsigned i = 0; i < groups->len; i++)
		cleanup_close(&g_array_index(groups, struct group, i).fd);
	/* last: nothing is copied from these */
	for (unsigned i = 0; r == 0 && i < p->all->len; i++)
		if (at(p, i)->e->flags & MS_UNBINDABLE && at(p, i) != p->root) {
			r = mount_change(at(p, i)->fd, false, 0, 0, MS_UNBINDABLE);
			if (r < 0)
				r = err_wrap(r, "mount %s", at(p, i)->e->mountpoint + 1);
		}
	return r;
}
