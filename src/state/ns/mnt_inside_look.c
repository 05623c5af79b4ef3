/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of users inside (mnt_inside.c) that could not be had again. */
#include "base/fd.h"
#include "state/ns/mnt_plan.h"
#include "state/ns/spaces.h"

#include <errno.h>

static bool same_fs(const struct mount_entry *a, const struct mount_entry *b)
{
	return a->major == b->major && a->minor == b->minor;
}

const struct space *mnt_space_of(const struct dump *d, const struct mountinfo *its)
{
	for (unsigned i = 0; i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (&s->mounts == its)
			return s;
	}
	return NULL;
}

static bool has_children(const struct mountinfo *all, const struct mount_entry *m)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].parent == m->id)
			return true;
	return false;
}

/* Shown by one that belongs to users inside only, where what lies on it is locked: mnt_inside.c. */
static bool is_locked_up(const struct mnt_scope *s, const struct mount_entry *m)
{
	bool locked = false;

	for (unsigned i = 0; i < s->outer->len; i++) {
		const struct mountinfo *all = g_ptr_array_index(s->outer, i);
		const struct space *of = mnt_space_of(s->d, all);

		for (size_t k = 0; k < all->n; k++) {
			if (!same_fs(&all->v[k], m) || !mnt_below(m->root, all->v[k].root))
				continue;
			if (!of || !of->owner)
				return false;
			locked = locked || has_children(all, &all->v[k]);
		}
	}
	return locked;
}

/* What is saved is read where nothing lies on it. */
static int check_content(const struct mnt_scope *s, const struct mount_entry *m,
			 const struct mnt_seen *seen)
{
	autoclose int fd = -1;
	int r = 0;

	if (s->space && s->space->owner && seen->way == MNT_NEW && seen->kind->content &&
	    has_children(s->its, m))
		r = mnt_open_bare(s, (size_t)(m - s->its->v), &fd);
	if (r != -EINVAL)
		return r;
	return err_set(EOPNOTSUPP,
		       "mount %s (%s): mounts on it are locked, so that what is below them cannot "
		       "be read; unmount it",
		       m->target, m->fstype);
}

int mnt_check_inside(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_seen *seen)
{
	if (s->space && s->space->owner && m->shared)
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): it shares what is mounted below it, in a namespace "
			       "of other users than the first task's; make it private",
			       m->target, m->fstype);
	if (s->space && seen->way == MNT_OUTER && is_locked_up(s, m))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): it is a view of what only users of a user namespace "
			       "inside have, with mounts on it that are locked; unmount it",
			       m->target, m->fstype);
	return check_content(s, m, seen);
}
