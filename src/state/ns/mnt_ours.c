/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree whose root directory is mounted from where ours is has a copy of our mounts, and gets one
 * again.  What it has done to that since is noted in IMAGE_EXTRA, by the mount: [place, root, file
 * system, N].  "unmounted": one of ours that it has no more, and how many such lie there still;
 * "our_flags": one of other attributes, MS_*.  What whoever restores has not mounted there is
 * passed over.
 *
 * Not of a tree with users of its own: in a copy of theirs nothing can be unmounted that was there
 * when it was made (fs/namespace.c: copy_mnt_ns(), lock_mnt_tree()).
 */
#include "state/ns/mnt_plan.h"

#include "image/files.h"
#include "kernel/mountflags.h"
#include "state/extra.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool is_alike(const struct mount_entry *a, const struct mount_entry *b)
{
	return a->major == b->major && a->minor == b->minor && strcmp(a->target, b->target) == 0 &&
	       strcmp(a->root, b->root) == 0;
}

const struct mount_entry *mnt_find_ours(const struct mountinfo *its, const struct mountinfo *ours,
					const struct mount_entry *m)
{
	const struct mount_entry *parent = mountinfo_by_id(its, m->parent), *on = NULL;

	if (parent == m)
		parent = NULL;
	if (parent && !(on = mnt_find_ours(its, ours, parent)))
		return NULL;
	for (size_t i = 0; i < ours->n; i++) {
		const struct mount_entry *o = &ours->v[i];

		if (is_alike(o, m) &&
		    (on ? o->parent == on->id : !mountinfo_by_id(ours, o->parent)))
			return o;
	}
	return NULL;
}

static void note(const struct mnt_scope *s, const char *table, const struct mount_entry *m, int n)
{
	extra_set(s->d->extra, table, (uint32_t)m->id,
		  json_pack("[s,s,s,i]", m->target, m->root, m->fstype, n));
}

static bool looks_alike(const struct mount_entry *a, const struct mount_entry *b)
{
	return strcmp(a->target, b->target) == 0 && strcmp(a->root, b->root) == 0 &&
	       strcmp(a->fstype, b->fstype) == 0;
}

/* Of those that MARKED says MARK of. */
static int count_alike(const struct mountinfo *all, const bool *marked, bool mark,
		       const struct mount_entry *m)
{
	int n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += marked[i] == mark && looks_alike(&all->v[i], m);
	return n;
}

void mnt_note_ours(const struct mnt_scope *s)
{
	g_autofree bool *seen = g_new0(bool, s->ours->n + 1);

	if (s->space || s->d->own_root)
		return;
	for (size_t i = 0; i < s->its->n; i++) {
		const struct mount_entry *m = &s->its->v[i], *o = mnt_find_ours(s->its, s->ours, m);

		if (!o)
			continue;
		seen[o - s->ours->v] = true;
		if (mountflags_of_mount(m->options) != mountflags_of_mount(o->options))
			note(s, "our_flags", m, (int)mountflags_of_mount(m->options));
	}
	for (size_t i = 0; !(s->d->own & CLONE_NEWUSER) && i < s->ours->n; i++)
		if (!seen[i] && strcmp(s->ours->v[i].target, "/") != 0)
			note(s, "unmounted", &s->ours->v[i],
			     count_alike(s->ours, seen, true, &s->ours->v[i]));
}

struct noted {
	const char *target, *root, *fstype;
	int n;
	bool found;
};

static int read_notes(json_t *extra, const char *table, GArray *ret)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(extra, table), key, v)
	{
		struct noted n = {0};

		if (json_unpack(v, "[s,s,s,i]", &n.target, &n.root, &n.fstype, &n.n) < 0)
			return err_set(EBADMSG, "%s: %s of mount %s", IMAGE_EXTRA, table, key);
		g_array_append_val(ret, n);
	}
	return 0;
}

static struct noted *find_note(GArray *notes, const struct mount_entry *m)
{
	for (unsigned i = 0; i < notes->len; i++) {
		struct noted *n = &g_array_index(notes, struct noted, i);

		if (!n->found && strcmp(n->target, m->target) == 0 &&
		    strcmp(n->root, m->root) == 0 && strcmp(n->fstype, m->fstype) == 0)
			return n;
	}
	return NULL;
}

/* Something that stays lies on it: no path leads there, and nobody sees it. */
static bool is_hidden(const struct mountinfo *all, const bool *gone, const struct mount_entry *m)
{
	for (size_t i = 0; i < all->n; i++)
		if (!gone[i] && mountinfo_covers(all, &all->v[i], m))
			return true;
	return false;
}

static void add(struct mnt_plan *p, const struct mount_entry *m, bool gone, unsigned flags)
{
	struct mnt_change *c = g_new0(struct mnt_change, 1);

	*c = (struct mnt_change){
		.target = g_strdup(m->target), .gone = gone, .flags = flags, .fd = -1};
	g_ptr_array_add(p->changes, c);
}

static void change_free(void *arg)
{
	struct mnt_change *c = arg;

	if (c->fd >= 0)
		close(c->fd);
	g_free(c->target);
	g_free(c);
}

/* The topmost come first. */
int mnt_ours_load(struct mnt_plan *p)
{
	g_autoptr(GArray) gone = g_array_new(false, false, sizeof(struct noted));
	g_autoptr(GArray) flags = g_array_new(false, false, sizeof(struct noted));
	CLEANUP(mountinfo_clear) struct mountinfo ours = {0};
	g_autofree bool *away = NULL;
	int r = p->o.outer || p->root ? 0 : read_notes(p->o.extra, "unmounted", gone);

	p->changes = g_ptr_array_new_with_free_func(change_free);
	if (r == 0 && !p->o.outer && !p->root)
		r = read_notes(p->o.extra, "our_flags", flags);
	if (r < 0 || !(gone->len + flags->len))
		return r;
	r = mnt_read_ours(&ours);
	away = g_new0(bool, ours.n + 1);
	for (size_t i = r < 0 ? 0 : ours.n; i-- > 0;) {
		const struct mount_entry *m = &ours.v[i];
		struct noted *g = find_note(gone, m), *f = g ? NULL : find_note(flags, m);

		if ((!g && !f) || is_hidden(&ours, away, m) ||
		    (g && count_alike(&ours, away, false, m) <= g->n))
			continue;
		away[i] = g != NULL;
		(g ?: f)->found = true;
		add(p, m, g != NULL, (unsigned)(g ?: f)->n);
	}
	return r;
}

int mnt_ours_leave(struct mnt_plan *p)
{
	for (unsigned i = 0; i < p->changes->len; i++) {
		struct mnt_change *c = g_ptr_array_index(p->changes, i);

		if (c->gone && umount2(c->target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_errno("unmount %s, as the tree has", c->target);
		if (!c->gone)
			c->fd = open(c->target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (!c->gone && c->fd < 0)
			return err_errno("open mount %s", c->target);
	}
	return 0;
}

int mnt_ours_attributes(const struct mnt_plan *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->changes->len; i++) {
		const struct mnt_change *c = g_ptr_array_index(p->changes, i);

		r = c->gone ? 0 : mnt_set_flags(c->fd, c->flags);
		if (r < 0)
			return err_wrap(r, "mount %s", c->target);
	}
	return r;
}
