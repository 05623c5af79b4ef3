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

#include "base/log.h"
#include "image/files.h"
#include "kernel/mountflags.h"
#include "state/extra.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

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

		/* of a root directory after chroot(2) nobody sees what it is on */
		if (is_alike(o, m) &&
		    (on ? o->parent == on->id
			: strcmp(m->target, "/") != 0 || !mountinfo_by_id(ours, o->parent)))
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
	const struct mount_entry *root = mountinfo_at(s->its, "/");
	g_autofree bool *seen = g_new0(bool, s->ours->n + 1);
	const char *shares = NULL;

	/* after chroot(2) it shows other places than ours */
	if (s->space || s->d->own_root || !root || !mnt_find_ours(s->its, s->ours, root))
		return;
	for (size_t i = 0; i < s->its->n; i++) {
		const struct mount_entry *m = &s->its->v[i], *o = mnt_find_ours(s->its, s->ours, m);

		if (!o)
			continue;
		seen[o - s->ours->v] = true;
		shares = shares ?: (m->shared || m->master ? m->target : NULL);
		if (mountflags_of_mount(m->options) != mountflags_of_mount(o->options))
			note(s, "our_flags", m, (int)mountflags_of_mount(m->options));
	}
	if (shares)
		log_warn("mount %s and others of ours will neither share nor get what is mounted "
			 "elsewhere",
			 shares);
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

/* The topmost come first. */
int mnt_ours_load(struct mnt_plan *p)
{
	g_autoptr(GArray) notes = g_array_new(false, false, sizeof(struct noted));
	CLEANUP(mountinfo_clear) struct mountinfo ours = {0};
	g_autofree bool *gone = NULL;
	int r = p->o.outer || p->root ? 0 : read_notes(p->o.extra, "unmounted", notes);

	p->unmounted = g_ptr_array_new_with_free_func(g_free);
	if (r < 0 || !notes->len)
		return r;
	r = mnt_read_ours(&ours);
	gone = g_new0(bool, ours.n + 1);
	for (size_t i = r < 0 ? 0 : ours.n; i-- > 0;) {
		const struct mount_entry *m = &ours.v[i];
		struct noted *n = find_note(notes, m);

		if (!n || is_hidden(&ours, gone, m) || count_alike(&ours, gone, false, m) <= n->n)
			continue;
		n->found = gone[i] = true;
		g_ptr_array_add(p->unmounted, g_strdup(m->target));
	}
	return r;
}

int mnt_ours_leave(const struct mnt_plan *p)
{
	for (unsigned i = 0; i < p->unmounted->len; i++) {
		const char *target = g_ptr_array_index(p->unmounted, i);

		/* gone meanwhile, or locked (fs/namespace.c: can_umount()): it stays */
		if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
		    errno != ENOENT)
			return err_errno("unmount %s, as the tree has", target);
	}
	return 0;
}

/* M is where its place leads, and not something else. */
static bool is_at(int fd, const struct mount_entry *m)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 && st.stx_mask & STATX_MNT_ID &&
	       st.stx_mnt_id == (uint64_t)m->id;
}

struct touched {
	const struct mountinfo *its;
	GArray *notes;
};

static int touch(void *arg, int *ret_fd)
{
	const struct touched *t = arg;
	int r = 0;

	for (size_t i = t->its->n; r == 0 && i-- > 0;) {
		const struct mount_entry *m = &t->its->v[i];
		struct noted *n = find_note(t->notes, m);
		autoclose int fd = -1;

		if (!n)
			continue;
		n->found = true;
		fd = open(m->target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && is_at(fd, m))
			r = mnt_set_flags(fd, (unsigned)n->n);
		if (r < 0)
			return err_wrap(r, "mount %s", m->target);
	}
	return r;
}

int mnt_ours_restore(struct restore *r)
{
	g_autoptr(GArray) notes = g_array_new(false, false, sizeof(struct noted));
	CLEANUP(mountinfo_clear) struct mountinfo its = {0};
	CLEANUP(proc_close) struct proc root = PROC_NONE;
	struct touched t = {&its, notes};
	int ns, ret = r->o.mounts_made ? read_notes(r->extra, "our_flags", notes) : 0;

	if (ret < 0 || !notes->len)
		return ret;
	ret = proc_open(rtask_pid(restore_task(r, 0)), &root);
	if (ret == 0)
		ret = mountinfo_read(root.dir, &its);
	if (ret == 0)
		ret = spaces_fd(r, NS_MNT, r->nsids.v[NS_MNT], &ns);
	return ret < 0 ? ret : ns_run(&ns, 1, touch, &t, NULL);
}
