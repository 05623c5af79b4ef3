/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers and masters of mounts (mount_namespaces(7), shared subtrees), when all are in their places.
 *
 * MOVE_MOUNT_SET_GROUP (Linux 5.15) takes over the group of another mount of the same file system,
 * which has to show at least as much (fs/namespace.c: do_set_group()).
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
	return m == p->root || m->e->ext_mount;
}

/* Peers outside: only what was copied from there has them. */
static bool has_outer_peers(const struct mnt_plan *p, const struct mnt *m)
{
	return is_outside(p, m) && m->e->shared_id && m->e->has_internal_sharing &&
	       !m->e->internal_sharing;
}

int mnt_unshare_all(struct mnt_plan *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		const struct mnt *m = at(p, i);

		if (is_outside(p, m) && has_outer_master(p, m))
			r = mount_change(m->fd, false, 0, 0, MS_SLAVE);
		else if (!has_outer_peers(p, m))
			r = mount_change(m->fd, false, 0, 0, MS_PRIVATE);
	}
	return r;
}

/* A settled mount of GROUP that shows at least what M does. */
static struct mnt *find_member(const struct mnt_plan *p, const struct mnt *m, uint32_t group)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		struct mnt *o = at(p, i);

		if (o != m && o->shared && o->e->shared_id == group &&
		    o->e->root_dev == m->e->root_dev && mnt_below(m->e->root, o->e->root))
			return o;
	}
	return NULL;
}

/* Somebody of the same group shows more. */
static bool is_wider_there(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = at(p, i);

		if (o != m && o->e->shared_id == m->e->shared_id &&
		    strlen(o->e->root) < strlen(m->e->root))
			return true;
	}
	return false;
}

static int join(const struct mnt *from, const struct mnt *to)
{
	if (move_mount(from->fd, "", to->fd, "",
		       MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
	    0)
		return err_errno("become a peer of mount %s", from->e->mountpoint + 1);
	return 0;
}

/* 1: not yet. */
static int settle(const struct mnt_plan *p, struct mnt *m)
{
	const struct mnt *peer = m->e->shared_id ? find_member(p, m, m->e->shared_id) : NULL;
	const struct mnt *master;
	int r = 0;

	if (has_outer_peers(p, m))
		return 0;
	if (peer)
		return join(peer, m);
	if (m->e->shared_id && is_wider_there(p, m))
		return 1;
	if (m->e->master_id && !has_outer_master(p, m)) {
		master = find_member(p, m, m->e->master_id);
		if (!master)
			return 1;
		r = join(master, m);
		if (r == 0)
			r = mount_change(m->fd, false, 0, 0, MS_SLAVE);
	}
	if (r == 0 && m->e->shared_id)
		r = mount_change(m->fd, false, 0, 0, MS_SHARED);
	return r;
}

int mnt_share(struct mnt_plan *p)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < p->all->len; i++) {
			struct mnt *m = at(p, i);
			int r = m->shared ? 1 : settle(p, m);

			if (r < 0)
				return err_wrap(r, "mount %s", m->e->mountpoint + 1);
			m->shared = m->shared || r == 0;
			more = more || r == 0;
		}
	}
	for (unsigned i = 0; i < p->all->len; i++)
		if (!at(p, i)->shared)
			return err_set(EOPNOTSUPP,
				       "mount %s: none of its peers or masters shows as much as it "
				       "does",
				       at(p, i)->e->mountpoint + 1);
	return 0;
}
