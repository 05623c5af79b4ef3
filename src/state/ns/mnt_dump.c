/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of a standalone tree into mountpoints.img. */
#include "state/extra.h"
#include "state/ns/mnt.h"

#include "kernel/mount.h"
#include "kernel/mountflags.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static bool has_peer(const struct mnt_scope *s, int group)
{
	for (unsigned k = 0; k < s->outer->len; k++) {
		const struct mountinfo *all = g_ptr_array_index(s->outer, k);

		for (size_t i = 0; i < all->n; i++)
			if (all->v[i].shared == group)
				return true;
	}
	return false;
}

char *mnt_options_of(const char *options, uint32_t (*number)(void *arg, bool group, uint32_t id),
		     void *arg)
{
	g_auto(GStrv) words = g_strsplit(options, ",", -1);

	for (char **w = words; *w; w++) {
		bool user = g_str_has_prefix(*w, "uid="), group = g_str_has_prefix(*w, "gid=");
		uint32_t id = user || group ? (uint32_t)strtoul(*w + 4, NULL, 10) : 0;
		char *word;

		if (!user && !group)
			continue;
		word = g_strdup_printf("%.4s%u", *w, number(arg, group, id));
		g_free(*w);
		*w = word;
	}
	return g_strjoinv(",", words);
}

/* The kernel shows owners as the initial user namespace sees them (mm/shmem.c:
 * shmem_show_options()). */
static uint32_t number_inside(void *dump, bool group, uint32_t id)
{
	return group ? users_gid(dump, id) : users_uid(dump, id);
}

static void note(struct dump *d, const char *what, const struct mount_entry *m, json_t *take)
{
	extra_set(d->extra, what, (uint32_t)m->id, take);
}

int mnt_write_record(const struct mnt_scope *scope, const struct mount_entry *m,
		     const struct mnt_seen *s)
{
	struct dump *d = scope->d;
	g_autofree char *target = g_strconcat(".", m->target, NULL), *options = NULL;
	g_autofree char *inside = NULL, *root = mnt_root_of(m);
	MntEntry e = MNT_ENTRY__INIT;

	e.fstype = s->kind ? s->kind->code : FSTYPE__UNSUPPORTED;
	e.fsname = (char *)m->fstype;
	e.mnt_id = (uint32_t)m->id;
	e.parent_mnt_id = (uint32_t)m->parent;
	e.root_dev = m->major << 20 | m->minor; /* MKKDEV */
	e.flags = mountflags_of_mount(m->options) | (m->unbindable ? MS_UNBINDABLE : 0);
	e.root = s->host_path ?: root;
	e.has_deleted = e.deleted = mnt_is_gone(m);
	e.mountpoint = target;
	e.source = (char *)(s->device ?: m->source);
	e.has_sb_flags = true;
	e.sb_flags = mountflags_of_fs(m->sb_options, &options);
	e.options = inside = mnt_options_of(options, number_inside, d);
	e.has_shared_id = e.has_master_id = true;
	e.shared_id = (uint32_t)m->shared;
	e.master_id = (uint32_t)m->master;
	e.has_ext_mount = true;
	e.ext_mount = s->way == MNT_EXTERNAL;
	e.ext_key = (char *)s->key;
	e.has_internal_sharing = true;
	e.internal_sharing = m->shared && !has_peer(scope, m->shared);
	return image_write(&d->w, IMG_MNTS, scope->id, &e.base);
}

struct bare {
	const struct mountinfo *all;
	const struct mount_entry *m;
};

static int open_bare(void *arg, int *ret_fd)
{
	const struct bare *b = arg;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("new mount namespace");
	for (size_t i = b->all->n; i-- > 0;)
		if (mountinfo_covers(b->all, &b->all->v[i], b->m) &&
		    umount2(b->all->v[i].target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_errno("uncover %s", b->m->target);
	return mount_copy(AT_FDCWD, b->m->target, false, ret_fd);
}

/*
 * A copy of a namespace that belongs to another user namespace has all its mounts locked, so that
 * none shows without what lies on it (fs/namespace.c: copy_mnt_ns(), has_locked_children()).  A
 * copy that belongs to the same one has not; but there we have fewer rights.
 */
static int open_bare_as_owner(int ns, struct bare *b, int *ret_fd)
{
	autoclose int owner = -1;
	int r = ns_owner(ns, &owner);

	if (r < 0)
		return r;
	return owner < 0 ? -EINVAL : ns_run((const int[]){owner, ns}, 2, open_bare, b, ret_fd);
}

static bool is_same(const struct mount_entry *a, const struct mount_entry *b)
{
	return a->major == b->major && a->minor == b->minor && strcmp(a->root, b->root) == 0;
}

/* What is locked there may be shown by a namespace of the root's users as well. */
static int open_bare_outside(const struct mnt_scope *s, size_t i, int *ret_fd)
{
	for (unsigned k = 0; s->space && s->space->owner && k < s->outer->len; k++) {
		const struct mountinfo *all = g_ptr_array_index(s->outer, k);
		const struct space *of = mnt_space_of(s->d, all);
		const struct mnt_scope out = {
			.d = s->d, .its = all, .ours = s->ours, .space = of, .outer = s->outer};

		for (size_t n = 0; !(of && of->owner) && n < all->n; n++)
			if (is_same(&all->v[n], &s->its->v[i])) {
				err_clear();
				return mnt_open_bare(&out, n, ret_fd);
			}
	}
	return -EINVAL;
}

int mnt_open_bare(const struct mnt_scope *s, size_t i, int *ret_fd)
{
	struct bare b = {.all = s->its, .m = &s->its->v[i]};
	autoclose int opened = -1;
	int r = s->space ? 0 : ns_open(dump_task(s->d, 0)->proc.dir, NS_MNT, &opened);
	int ns = s->space ? s->space->fd : opened;

	if (r == 0)
		r = ns_run(&ns, 1, open_bare, &b, ret_fd);
	if (r == -EINVAL)
		r = open_bare_as_owner(ns, &b, ret_fd);
	if (r == -EINVAL)
		r = open_bare_outside(s, i, ret_fd);
	return r < 0 ? err_wrap(r, "mount %s", b.m->target) : 0;
}

bool mnt_is_first_of_fs(const struct mnt_scope *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (s->its->v[k].major == s->its->v[i].major &&
		    s->its->v[k].minor == s->its->v[i].minor)
			return false;
	return true;
}

/* In IMAGE_EXTRA, by the mount: "proc_mounts", the number of the pid namespace that it shows. */
static void note_pids(struct dump *d, const struct mount_entry *m, uint32_t pids)
{
	note(d, "proc_mounts", m, json_integer(pids));
}

/* The record has the path outside in its place: "mount_roots". */
static void note_root(struct dump *d, const struct mount_entry *m)
{
	note(d, "mount_roots", m, json_string(m->root));
}

static int dump_scope(const struct mnt_scope *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->its->n; i++) {
		CLEANUP(mnt_seen_clear) struct mnt_seen seen;

		r = mnt_look(s, i, &seen);
		if (r == 0 && seen.pids)
			note_pids(s->d, &s->its->v[i], seen.pids);
		if (r == 0 && seen.host_path)
			note_root(s->d, &s->its->v[i]);
		if (r == 0 && seen.device)
			note(s->d, "device_mounts", &s->its->v[i], json_true());
		if (r == 0 && seen.late)
			note(s->d, "late_mounts", &s->its->v[i], json_incref(seen.late));
		if (r == 0 && seen.way != MNT_SKIPPED && seen.way != MNT_OURS)
			r = mnt_write_record(s, &s->its->v[i], &seen);
		if (r == 0 && seen.way == MNT_NEW && seen.kind->content && mnt_is_first_of_fs(s, i))
			r = tmpfs_dump_mount(s, i, s->space || s->d->o.standalone);
		if (r == 0 && seen.way == MNT_VIEW && mnt_is_gone(&s->its->v[i]))
			r = mnt_gone_dump(s, i);
	}
	mnt_note_ours(s);
	return r;
}

int mnt_dump(struct dump *d)
{
	return mnt_each_scope(d, true, dump_scope);
}

int mnt_dump_spaces(struct dump *d)
{
	return d->spaces->len ? mnt_each_scope(d, false, dump_scope) : 0;
}
