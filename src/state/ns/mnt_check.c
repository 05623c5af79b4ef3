/* SPDX-License-Identifier: Apache-2.0 */
/* All mounts of the tree, before anything is frozen: which of them cannot be saved. */
#include "state/ns/mnt.h"

#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "mnt[]:ms": FLAG is m for masters outside, s for peers. */
static bool is_allowed(const struct dump *d, char flag)
{
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, "mnt[]") == 0 &&
		    strchr(d->o.externals[i].name, flag))
			return true;
	return false;
}

int mnt_read_ours(struct mountinfo *ret)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	int r = proc_open(getpid(), &self);

	return r < 0 ? r : mountinfo_read(self.dir, ret);
}

static bool has_group(const struct mountinfo *all, int group)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].shared == group)
			return true;
	return false;
}

static bool is_group_of_tree(const struct mnt_scope *s, int group)
{
	bool found = has_group(s->its, group);

	for (unsigned i = 0; s->space && !found && i < s->outer->len; i++)
		found = has_group(g_ptr_array_index(s->outer, i), group);
	return found;
}

/* Peers and masters outside of the tree's namespaces would be lost. */
static int check_sharing(const struct mnt_scope *s, const struct mount_entry *m,
			 const struct mnt_seen *seen)
{
	const struct dump *d = s->d;

	if (seen->way == MNT_ROOT || seen->way == MNT_OURS || seen->way == MNT_SKIPPED ||
	    (seen->way == MNT_EXTERNAL && seen->key) || /* whoever names it knows what it is */
	    (s->space && (seen->way == MNT_OUTER || seen->way == MNT_EXTERNAL)))
		return 0;
	if (m->shared && has_group(s->ours, m->shared) && !d->o.external_sharing &&
	    !is_allowed(d, 's'))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): it shares what is mounted below it with the "
			       "outside; use --enable-external-sharing",
			       m->target, m->fstype);
	if (m->master && !is_group_of_tree(s, m->master) && !d->o.external_masters &&
	    !is_allowed(d, 'm'))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): it gets what is mounted outside; use "
			       "--enable-external-masters",
			       m->target, m->fstype);
	return 0;
}

int mnt_each_scope(struct dump *d, bool root, int (*fn)(const struct mnt_scope *s))
{
	g_autoptr(GPtrArray) outer = g_ptr_array_new();
	CLEANUP(mountinfo_clear) struct mountinfo ours = {0};
	struct mnt_scope s = {
		.d = d, .its = &d->mounts, .ours = &ours, .outer = outer, .id = NSID_MNT};
	int r = mnt_read_ours(&ours);

	if (r < 0)
		return r;
	if (root) {
		g_ptr_array_add(outer, &ours);
		return fn(&s);
	}
	g_ptr_array_add(outer, &d->mounts);
	for (unsigned i = 0; r == 0 && i < d->spaces->len; i++) {
		struct space *x = g_ptr_array_index(d->spaces, i);

		if (x->kind != NS_MNT)
			continue;
		s.its = &x->mounts;
		s.space = x;
		s.id = x->id;
		r = fn(&s);
		g_ptr_array_add(outer, &x->mounts);
	}
	return r;
}

static int check(const struct mnt_scope *s)
{
	int r = 0;

	if (!s->space)
		s->d->own_root = s->d->o.new_root || mnt_has_own_root(s->d, s->ours);
	for (size_t i = 0; r == 0 && i < s->its->n; i++) {
		CLEANUP(mnt_seen_clear) struct mnt_seen seen;

		r = mnt_look(s, i, &seen);
		if (r == 0)
			r = check_sharing(s, &s->its->v[i], &seen);
		if (r == 0)
			r = mnt_check_inside(s, &s->its->v[i], &seen);
		if (r == 0)
			r = mnt_check_binfmt(s, i, &seen);
		r = dump_refuse(s->d, r);
	}
	return r;
}

int mnt_check(struct dump *d)
{
	return mnt_each_scope(d, true, check);
}

int mnt_check_spaces(struct dump *d)
{
	return d->spaces->len ? mnt_each_scope(d, false, check) : 0;
}
