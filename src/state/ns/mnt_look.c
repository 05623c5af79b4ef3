/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at mounts: which can be had again, and how. */
#include "state/ns/mnt.h"

#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool same_fs(const struct mount_entry *a, const struct mount_entry *b)
{
	return a->major == b->major && a->minor == b->minor;
}

bool mnt_has_own_root(const struct dump *d, const struct mountinfo *ours)
{
	const struct mount_entry *its = mountinfo_at(&d->mounts, "/");
	const struct mount_entry *our = mountinfo_at(ours, "/");

	return its && our && (!same_fs(its, our) || strcmp(its->root, our->root) != 0);
}

/* PATH is DIR or below it: what follows, without slashes in front.  NULL: it is not. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	if (strncmp(path, dir, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len + strspn(path + len, "/");
}

static bool is_root(const struct mountinfo *its, const struct mount_entry *m)
{
	return strcmp(m->target, "/") == 0 && !mountinfo_by_id(its, m->parent);
}

static bool has_fs(const struct mountinfo *all, const struct mount_entry *m)
{
	for (size_t i = 0; i < all->n; i++)
		if (same_fs(&all->v[i], m))
			return true;
	return false;
}

static bool is_fs_outside(const struct mnt_scope *s, const struct mount_entry *m)
{
	for (unsigned i = 0; i < s->outer->len; i++)
		if (has_fs(g_ptr_array_index(s->outer, i), m))
			return true;
	return false;
}

static const struct cryo_external *find_external(const struct dump *d, const char *target)
{
	g_autofree char *key = g_strdup_printf("mnt[%s]", target);

	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return &d->o.externals[i];
	return NULL;
}

/* The key is that of a mount of the tree's first namespace: in others it is that file system. */
static const struct cryo_external *external_of(const struct mnt_scope *s,
					       const struct mount_entry *m)
{
	const struct mount_entry *first = s->space ? mountinfo_at(&s->d->mounts, m->target) : NULL;

	return first && !same_fs(first, m) ? NULL : find_external(s->d, m->target);
}

/* --external dev[MAJOR/MINOR]:NAME: whoever restores gives a device with a file system for it. */
static const struct cryo_external *find_device(const struct dump *d, const struct mount_entry *m)
{
	g_autofree char *key = g_strdup_printf("dev[%u:%u]", m->major, m->minor);

	if (!m->major || d->own & CLONE_NEWUSER)
		return NULL;
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, key) == 0)
			return &d->o.externals[i];
	return NULL;
}

static bool has_all_outside(const struct dump *d)
{
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (strcmp(d->o.externals[i].key, "mnt[]") == 0)
			return true;
	return false;
}

/* Of its peers, or its master's: a copy of that one has the same. */
static bool is_related(const struct mount_entry *o, const struct mount_entry *m)
{
	return (m->shared && o->shared == m->shared) ||
	       (m->master && (o->shared == m->master || o->master == m->master));
}

/* A mount that shows what M does, where nothing lies on it. */
static const struct mount_entry *find_shown(const struct mountinfo *all,
					    const struct mount_entry *m)
{
	const struct mount_entry *found = NULL;

	for (size_t k = 0; k < all->n; k++) {
		const struct mount_entry *o = &all->v[k];

		if (!same_fs(o, m) || mnt_is_gone(o) || !below(m->root, o->root) ||
		    mountinfo_is_covered(all, o))
			continue;
		if (!found || (is_related(o, m) && !is_related(found, m)))
			found = o;
	}
	return found;
}

static bool has_wider(const struct mountinfo *all, const struct mount_entry *m)
{
	for (size_t k = 0; k < all->n; k++)
		if (same_fs(&all->v[k], m) && !mnt_is_gone(&all->v[k]) &&
		    below(m->root, all->v[k].root))
			return true;
	return false;
}

/* Whatever we see at some place of ours is taken from there. */
static char *find_host_path(const struct mountinfo *ours, const struct mount_entry *m)
{
	const struct mount_entry *o = find_shown(ours, m);
	const char *rest = o ? below(m->root, o->root) : NULL;

	return o ? g_build_filename(o->target, *rest ? rest : NULL, NULL) : NULL;
}

static bool is_shown_outside(const struct mnt_scope *s, const struct mount_entry *m)
{
	for (unsigned i = 0; i < s->outer->len; i++)
		if (has_wider(g_ptr_array_index(s->outer, i), m))
			return true;
	return false;
}

/* One of its file system that shows all of it; or M itself. */
static const struct mount_entry *whole_of(const struct mnt_scope *s, const struct mount_entry *m)
{
	for (size_t i = 0; strcmp(m->root, "/") != 0 && i < s->its->n; i++)
		if (same_fs(&s->its->v[i], m) && strcmp(s->its->v[i].root, "/") == 0)
			return &s->its->v[i];
	return m;
}

/* The pid namespace that a proc of a space shows, by its first process; 0: unknown. */
static uint32_t mnt_pids_of(const struct mnt_scope *s, const struct mount_entry *part)
{
	const struct mount_entry *m = whole_of(s, part);
	g_autofree char *path = g_strdup_printf("%s/1/ns/pid", m->target + 1);
	char link[64] = "";

	if (!s->space || strcmp(m->fstype, "proc") != 0 ||
	    readlinkat(s->space->root, path, link, sizeof(link) - 1) < 0 ||
	    !g_str_has_prefix(link, "pid:["))
		return 0;
	return spaces_id(s->d, NS_PID, g_ascii_strtoull(link + strlen("pid:["), NULL, 10));
}

/* Is the namespace whose objects a new mount would show another one than outside? */
static bool is_bound_elsewhere(const struct mnt_scope *s, const struct mount_entry *m,
			       unsigned bound)
{
	if (s->space && bound == CLONE_NEWPID)
		return mnt_pids_of(s, m) >= NSID_FIRST_SPACE;
	for (unsigned k = 0; s->space && k < NS_COUNT; k++)
		if ((unsigned)ns_infos[k].flag == bound)
			return s->space->around[k] != s->d->ns[k];
	return s->d->own & bound;
}

/* Could a new mount show the same file system? */
static bool can_make(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_kind *k)
{
	if (k->host && s->d->own & CLONE_NEWUSER)
		return false;
	if (k->own)
		return !is_fs_outside(s, m);
	if (mnt_pids_of(s, m)) /* each mount of proc is a file system of its own */
		return true;
	if (k->bound)
		return is_fs_outside(s, m) == !is_bound_elsewhere(s, m, k->bound);
	return true;
}

/*
 * Another mount, to be had without this one, that shows what this one does.  Of those that may come
 * from where we see them the first one does.
 */
static const struct mount_entry *find_wider(const struct mnt_scope *s, const struct mount_entry *m)
{
	for (size_t i = 0; i < s->its->n; i++) {
		const struct mount_entry *o = &s->its->v[i];

		if (o == m || !same_fs(o, m) || mnt_is_gone(o) || !below(m->root, o->root))
			continue;
		if ((!s->space && is_root(s->its, o)) || external_of(s, o) ||
		    (o < m && has_all_outside(s->d) && find_shown(s->ours, o)))
			return o;
	}
	return NULL;
}

static bool is_skipped(const struct dump *d, const char *target)
{
	for (unsigned i = 0; i < d->o.nskipped_mounts; i++)
		if (below(target, d->o.skipped_mounts[i]))
			return true;
	return false;
}

static bool is_enabled(const struct dump *d, const char *fstype)
{
	const char *list = d->o.enabled_fs;

	return list && (mount_option(list, fstype, NULL) || mount_option(list, "all", NULL));
}

/* File systems that live by a process. */
static const struct {
	const char *fstype, *why;
} served[] = {
	{"autofs", "the automounter that it waits for cannot be told of it again; stop that"},
	{"fuse",
	 "it is served by a process over a device that cannot be connected again; unmount it"},
	{"fuseblk",
	 "it is served by a process over a device that cannot be connected again; unmount it"},
	{"9p", "it is a connection to a server; unmount it"},
	{"nfs", "it is a connection to a server; unmount it"},
	{"nfs4", "it is a connection to a server; unmount it"},
	{"cifs", "it is a connection to a server; unmount it"},
};

static int refuse(const struct mount_entry *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		if (strcmp(m->fstype, served[i].fstype) == 0 ||
		    (g_str_has_prefix(m->fstype, "fuse.") && i == 1))
			return err_set(EOPNOTSUPP,
				       "mount %s (%s): %s, or use --external mnt[%s]:NAME",
				       m->target, m->fstype, served[i].why, m->target);
	if (g_str_has_suffix(m->root, "//deleted"))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): what is mounted there has been deleted; unmount it",
			       m->target, m->fstype);
	return err_set(EOPNOTSUPP,
		       "mount %s (%s of %s, %s): it can neither be made again nor found below the "
		       "root; use --external mnt[%s]:NAME",
		       m->target, m->root, m->fstype, m->source, m->target);
}

/* What was deleted can be made again in a mount that shows where it was. */
static bool find_living(const struct mnt_scope *s, const struct mount_entry *m)
{
	if (!s->space && !s->d->own_root)
		return false;
	for (size_t i = 0; i < s->its->n; i++) {
		const struct mount_entry *o = &s->its->v[i];

		if (o != m && same_fs(o, m) && !mnt_is_gone(o) && below(m->root, o->root))
			return true;
	}
	return false;
}

/* What has been there before: in the namespace that the new one begins as a copy of. */
static bool is_given(const struct mnt_scope *s, const struct mount_entry *m)
{
	if (s->space)
		return false;
	return s->d->own_root ? is_root(s->its, m) : mnt_find_ours(s->its, s->ours, m) != NULL;
}

/* The mounts before this namespace are ours, or copies of them: no images tell of those. */
static bool is_below_ours(const struct mnt_scope *s)
{
	return s->space && s->d->o.standalone && !s->d->own_root;
}

/* What is only ours images tell nothing of. */
static bool is_recorded_outside(const struct mnt_scope *s, const struct mount_entry *m)
{
	const struct mountinfo *root = &s->d->mounts;
	bool found = !is_below_ours(s);

	for (size_t i = 0; !found && i < root->n; i++)
		found = same_fs(&root->v[i], m) && below(m->root, root->v[i].root) &&
			!mnt_find_ours(root, s->ours, &root->v[i]);
	for (unsigned i = 0; !found && i < s->outer->len; i++)
		found = g_ptr_array_index(s->outer, i) != root &&
			has_wider(g_ptr_array_index(s->outer, i), m);
	return found;
}

static int find_way(const struct mnt_scope *s, size_t i, struct mnt_seen *ret)
{
	static const struct mnt_kind automatic = {"", FSTYPE__AUTO};
	const struct mount_entry *m = &s->its->v[i];
	const struct mnt_kind *k = mnt_kind_find(m->fstype);
	const struct cryo_external *x = external_of(s, m);

	*ret = (struct mnt_seen){0};
	if (is_skipped(s->d, m->target)) {
		ret->way = MNT_SKIPPED;
	} else if (is_given(s, m)) {
		ret->way = s->d->own_root ? MNT_ROOT : MNT_OURS;
	} else if (x && !(s->space && is_shown_outside(s, m))) {
		ret->way = MNT_EXTERNAL;
		ret->key = x->name;
	} else if (mnt_is_gone(m)) {
		if (!find_living(s, m))
			return refuse(m);
		ret->way = MNT_VIEW;
	} else if (is_below_ours(s) && (ret->host_path = find_host_path(s->ours, m)) != NULL) {
		ret->way = MNT_EXTERNAL;
	} else if (mnt_is_namespace(s->d, m)) {
		ret->way = MNT_VIEW;
	} else if (s->space && is_shown_outside(s, m) && (k || is_recorded_outside(s, m))) {
		ret->way = MNT_OUTER;
	} else if (k && can_make(s, m, k)) {
		ret->way = MNT_NEW;
		ret->kind = k;
		ret->pids = mnt_pids_of(s, m);
	} else if ((s->space || s->d->own_root) && find_wider(s, m)) {
		ret->way = MNT_VIEW;
	} else if (has_all_outside(s->d) && (ret->host_path = find_host_path(s->ours, m)) != NULL) {
		ret->way = MNT_EXTERNAL;
	} else if (!k && !s->space && (x = find_device(s->d, m)) != NULL) {
		ret->way = MNT_NEW;
		ret->kind = &automatic;
		ret->device = x->name;
	} else if (!k && is_enabled(s->d, m->fstype) && strcmp(m->root, "/") == 0) {
		ret->way = MNT_NEW;
		ret->kind = &automatic;
	} else {
		return refuse(m);
	}
	return 0;
}

/* Mounts are made before all processes but the first one, which what they show may be of. */
static int check_process(const struct mnt_scope *s, const struct mount_entry *m,
			 const struct mnt_seen *seen)
{
	if (s->space || strcmp(m->fstype, "proc") != 0 || !g_ascii_isdigit(m->root[1]) ||
	    strtoll(m->root + 1, NULL, 10) == dump_task(s->d, 0)->nspid || seen->way == MNT_OURS ||
	    seen->way == MNT_SKIPPED || seen->way == MNT_EXTERNAL)
		return 0;
	return err_set(
		EOPNOTSUPP,
		"mount %s (proc): what is mounted there, %s, is of a single process; unmount "
		"it",
		m->target, m->root);
}

int mnt_look(const struct mnt_scope *s, size_t i, struct mnt_seen *ret)
{
	int r = find_way(s, i, ret);

	if (r == 0)
		r = mnt_sock_look(s, i, ret);
	if (r == 0)
		r = mnt_nsfs_look(s, &s->its->v[i], ret);
	if (r == 0)
		r = check_process(s, &s->its->v[i], ret);
	return r < 0 ? r : mnt_overlay_look(s, &s->its->v[i], ret);
}

void mnt_seen_clear(struct mnt_seen *s)
{
	g_clear_pointer(&s->host_path, g_free);
	json_decref(g_steal_pointer(&s->late));
}
