/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of a space that the namespaces before it show as well: copies of those.  The process that
 * will make the space goes there for them, and then into a copy of the root's namespace.
 */
#include "state/extra.h"
#include "state/ns/mnt_plan.h"

#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

void mnt_true_root(MntEntry *e, json_t *extra)
{
	const char *root = json_string_value(extra_get(extra, "mount_roots", e->mnt_id));

	if (!e->ext_mount || e->ext_key || !root || root[0] != '/')
		return;
	free(e->root);
	e->root = strdup(root);
}

int mnt_records(int images, uint64_t id, json_t *extra, GPtrArray **ret)
{
	int r = image_load_all(images, IMG_MNTS, id, ret);

	for (unsigned i = 0; r == 0 && i < (*ret)->len; i++)
		mnt_true_root(g_ptr_array_index(*ret, i), extra);
	return r;
}

static const MntEntry *by_id(const GPtrArray *all, uint32_t id)
{
	for (unsigned i = 0; i < all->len; i++)
		if (((const MntEntry *)g_ptr_array_index(all, i))->mnt_id == id)
			return g_ptr_array_index(all, i);
	return NULL;
}

static bool is_above(const GPtrArray *all, const MntEntry *o, const MntEntry *e)
{
	for (unsigned n = 0; e && n <= all->len; n++) {
		if (e == o)
			return true;
		e = e->parent_mnt_id == e->mnt_id ? NULL : by_id(all, e->parent_mnt_id);
	}
	return false;
}

static bool is_hidden(const GPtrArray *all, const MntEntry *o, const MntEntry *e)
{
	for (unsigned n = 0; e && n <= all->len; n++) {
		if (mnt_below(mnt_target(o), mnt_target(e)) && !is_above(all, e, o))
			return true;
		e = e->parent_mnt_id == e->mnt_id ? NULL : by_id(all, e->parent_mnt_id);
	}
	return false;
}

/* As mountinfo_covers(). */
static bool covers(const GPtrArray *all, const MntEntry *o, const MntEntry *e)
{
	return mnt_below(mnt_target(e), mnt_target(o)) && !is_above(all, o, e) &&
	       !is_hidden(all, o, e);
}

static bool is_covered(const GPtrArray *all, const MntEntry *e)
{
	for (unsigned i = 0; i < all->len; i++)
		if (covers(all, g_ptr_array_index(all, i), e))
			return true;
	return false;
}

/* On the way from E to what is wanted of it something else lies, which a path would lead to. */
static bool is_crossed(const GPtrArray *all, const MntEntry *e, const MntEntry *want)
{
	const char *rest = mnt_below(want->root, e->root);
	g_autofree char *path = g_build_filename(mnt_target(e), rest && *rest ? rest : NULL, NULL);

	for (unsigned i = 0; rest && *rest && i < all->len; i++) {
		const MntEntry *o = g_ptr_array_index(all, i);

		if (o != e && mnt_below(path, mnt_target(o)) && !is_above(all, o, e))
			return true;
	}
	return false;
}

/* Rather one that nobody has locked, that is in sight, a peer, a peer or a slave of its master. */
static unsigned rank(const struct mnt_outer *out, const MntEntry *e, const MntEntry *want)
{
	const GPtrArray *all = out->records;
	bool peer = want->shared_id && e->shared_id == want->shared_id;
	bool related = want->master_id &&
		       (e->shared_id == want->master_id || e->master_id == want->master_id);

	return 1 + (related ? 1 : 0) + (peer ? 2 : 0) + (is_covered(all, e) ? 0 : 4) +
	       (out->inside ? 0 : 8) + (is_crossed(all, e, want) ? 0 : 16);
}

bool mnt_find_outer(const struct mnt_options *o, struct mnt *m)
{
	unsigned best = 0;

	for (unsigned i = 0; o->outer && !m->e->ext_mount && !m->e->deleted && i < o->outer->len;
	     i++) {
		const struct mnt_outer *out = g_ptr_array_index(o->outer, i);

		for (unsigned k = 0; k < out->records->len; k++) {
			const MntEntry *e = g_ptr_array_index(out->records, k);

			if (e->root_dev != m->e->root_dev || !mnt_below(m->e->root, e->root) ||
			    e->deleted || rank(out, e, m->e) <= best)
				continue;
			best = rank(out, e, m->e);
			m->shown = e;
			m->outer = out;
		}
	}
	return m->shown != NULL;
}

/* In a copy of the namespace that nobody else sees: what lies on it is taken away. */
static int uncover(const struct mnt *m)
{
	const GPtrArray *all = m->outer->records;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("new mount namespace");
	for (unsigned i = all->len; i-- > 0;) {
		const MntEntry *o = g_ptr_array_index(all, i);

		if (covers(all, o, m->shown) &&
		    umount2(mnt_target(o), MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_errno("uncover it");
	}
	return 0;
}

static int propagate(const MntEntry *e, unsigned long how)
{
	return mount(NULL, mnt_target(e), NULL, how, NULL) < 0 ? err_errno("propagation of it") : 0;
}

/* What cannot be bound, can for a moment. */
static int take(struct mnt *m)
{
	const char *rest = mnt_below(m->e->root, m->shown->root);
	g_autofree char *path = g_build_filename(mnt_target(m->shown), *rest ? rest : NULL, NULL);
	bool unbindable = m->shown->flags & MS_UNBINDABLE;
	int r = unbindable ? propagate(m->shown, MS_PRIVATE) : 0;

	if (r == 0)
		r = mount_copy(AT_FDCWD, path, false, &m->source);
	return r == 0 && unbindable ? propagate(m->shown, MS_UNBINDABLE) : r;
}

static int go(int ns)
{
	return setns(ns, CLONE_NEWNS) < 0 ? err_errno("enter a mount namespace") : 0;
}

int mnt_take_outer(struct mnt_plan *p)
{
	int r = 0, at = -1;

	if (!p->o.outer)
		return 0;
	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		struct mnt *m = g_ptr_array_index(p->all, i);

		if (!m->shown)
			continue;
		if (m->outer->ns != at)
			r = go(at = m->outer->ns);
		if (r == 0 && is_covered(m->outer->records, m->shown)) {
			r = uncover(m);
			at = -1;
		}
		if (r == 0)
			r = take(m);
		if (r < 0)
			r = err_wrap(r, "mount %s", mnt_target(m->e));
	}
	if (r == 0)
		r = go(p->o.space);
	return r == 0 && unshare(CLONE_NEWNS) < 0 ? err_errno("new mount namespace") : r;
}
