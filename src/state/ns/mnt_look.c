/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at mounts: which can be had again, and how. */
#include "state/ns/mnt.h"

#include "state/ns/ns.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

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

static bool is_root(const struct dump *d, const struct mount_entry *m)
{
	return strcmp(m->target, "/") == 0 && !mountinfo_by_id(&d->mounts, m->parent);
}

static const struct mount_entry *find_ours(const struct mountinfo *ours,
					   const struct mount_entry *m)
{
	for (size_t i = 0; i < ours->n; i++)
		if (same_fs(&ours->v[i], m) && strcmp(ours->v[i].target, m->target) == 0 &&
		    strcmp(ours->v[i].root, m->root) == 0)
			return &ours->v[i];
	return NULL;
}

static bool is_fs_of_ours(const struct mountinfo *ours, const struct mount_entry *m)
{
	for (size_t i = 0; i < ours->n; i++)
		if (same_fs(&ours->v[i], m))
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

/* "mnt[]": whatever we see at some place of ours is taken from there. */
static char *find_host_path(const struct dump *d, const struct mountinfo *ours,
			    const struct mount_entry *m)
{
	for (unsigned i = 0; i < d->o.nexternals; i++) {
		if (strcmp(d->o.externals[i].key, "mnt[]") != 0)
			continue;
		for (size_t k = 0; k < ours->n; k++) {
			const struct mount_entry *o = &ours->v[k];
			const char *rest = same_fs(o, m) ? below(m->root, o->root) : NULL;

			if (rest && mountinfo_at(ours, o->target) == o)
				return g_build_filename(o->target, *rest ? rest : NULL, NULL);
		}
	}
	return NULL;
}

/* Could a new mount show the same file system? */
static bool can_make(const struct dump *d, const struct mountinfo *ours,
		     const struct mount_entry *m, const struct mnt_kind *k)
{
	if (k->own)
		return !is_fs_of_ours(ours, m);
	if (k->bound)
		return is_fs_of_ours(ours, m) == !(d->own & k->bound);
	return true;
}

/* Another mount, to be had without this one, that shows what this one does. */
static const struct mount_entry *find_wider(struct dump *d, const struct mountinfo *ours,
					    const struct mount_entry *m)
{
	for (size_t i = 0; i < d->mounts.n; i++) {
		const struct mount_entry *o = &d->mounts.v[i];

		if (o == m || !same_fs(o, m) || !below(m->root, o->root))
			continue;
		if (is_root(d, o) || find_external(d, o->target) || find_host_path(d, ours, o))
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

static int refuse(const struct mount_entry *m)
{
	if (g_str_has_suffix(m->root, "//deleted"))
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): what is mounted there has been deleted; unmount it",
			       m->target, m->fstype);
	return err_set(EOPNOTSUPP,
		       "mount %s (%s of %s, %s): it can neither be made again nor found below the "
		       "root; use --external mnt[%s]:NAME",
		       m->target, m->root, m->fstype, m->source, m->target);
}

int mnt_look(struct dump *d, const struct mountinfo *ours, size_t i, struct mnt_seen *ret)
{
	static const struct mnt_kind automatic = {"", FSTYPE__AUTO};
	const struct mount_entry *m = &d->mounts.v[i];
	const struct mnt_kind *k = mnt_kind_find(m->fstype);
	const struct cryo_external *x = find_external(d, m->target);

	*ret = (struct mnt_seen){0};
	if (is_skipped(d, m->target)) {
		ret->way = MNT_SKIPPED;
	} else if (d->own_root ? is_root(d, m) : find_ours(ours, m) != NULL) {
		ret->way = d->own_root ? MNT_ROOT : MNT_OURS;
	} else if (x) {
		ret->way = MNT_EXTERNAL;
		ret->key = x->name;
	} else if (g_str_has_suffix(m->root, "//deleted")) {
		return refuse(m);
	} else if (k && can_make(d, ours, m, k)) {
		ret->way = MNT_NEW;
		ret->kind = k;
	} else if (d->own_root && find_wider(d, ours, m)) {
		ret->way = MNT_VIEW;
	} else if ((ret->host_path = find_host_path(d, ours, m)) != NULL) {
		ret->way = MNT_EXTERNAL;
	} else if (!k && is_enabled(d, m->fstype) && strcmp(m->root, "/") == 0) {
		ret->way = MNT_NEW;
		ret->kind = &automatic;
	} else {
		return refuse(m);
	}
	return 0;
}

void mnt_seen_clear(struct mnt_seen *s)
{
	g_clear_pointer(&s->host_path, g_free);
}

static int read_ours(struct mountinfo *ret)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	int r = proc_open(getpid(), &self);

	return r < 0 ? r : mountinfo_read(self.dir, ret);
}

/* Peers and masters outside of the tree's namespace would be lost. */
static int check_sharing(const struct dump *d, const struct mountinfo *ours,
			 const struct mount_entry *m, const struct mnt_seen *s)
{
	bool inside = false;

	if (s->way == MNT_ROOT || s->way == MNT_OURS || s->way == MNT_SKIPPED)
		return 0;
	for (size_t i = 0; m->shared && i < ours->n; i++)
		if (ours->v[i].shared == m->shared && !d->o.external_sharing)
			return err_set(EOPNOTSUPP,
				       "mount %s (%s): it shares what is mounted below it with the "
				       "outside; use --enable-external-sharing",
				       m->target, m->fstype);
	for (size_t i = 0; m->master && i < d->mounts.n; i++)
		inside = inside || d->mounts.v[i].shared == m->master;
	if (m->master && !inside && !d->o.external_masters)
		return err_set(EOPNOTSUPP,
			       "mount %s (%s): it gets what is mounted outside; use "
			       "--enable-external-masters",
			       m->target, m->fstype);
	return 0;
}

int mnt_check(struct dump *d)
{
	CLEANUP(mountinfo_clear) struct mountinfo ours = {0};
	int r = read_ours(&ours);

	if (r < 0)
		return r;
	d->own_root = d->o.new_root || mnt_has_own_root(d, &ours);
	for (size_t i = 0; r == 0 && i < d->mounts.n; i++) {
		CLEANUP(mnt_seen_clear) struct mnt_seen s;

		r = mnt_look(d, &ours, i, &s);
		if (r == 0)
			r = check_sharing(d, &ours, &d->mounts.v[i], &s);
		r = dump_refuse(d, r);
	}
	return r;
}
