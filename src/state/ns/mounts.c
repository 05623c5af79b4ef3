/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts: those that the box will have again are recorded for readers of the images only; others
 * cannot be made again and are refused.
 */
#include "state/ns/mnt.h"
#include "state/ns/ns.h"

#include "image/mnt.pb-c.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static bool is_expected(const struct dump *d, const char *target)
{
	for (unsigned i = 0; i < d->o.nmounts; i++)
		if (strcmp(d->o.mounts[i], target) == 0)
			return true;
	return !d->o.mounts;
}

int mounts_check(struct dump *d)
{
	int r = 0;

	if (d->o.standalone)
		r = d->own & CLONE_NEWNS ? mnt_check(d) : 0;
	if (r == 0)
		r = mnt_check_spaces(d);
	if (d->o.standalone)
		return r;
	if (d->o.foreign)
		tmpfs_load(); /* before anything stands still */
	for (size_t i = 0; r == 0 && i < d->mounts.n; i++) {
		const struct mount_entry *m = &d->mounts.v[i];

		if (!is_expected(d, m->target))
			r = dump_refuse(d, err_set(EOPNOTSUPP,
						   "%s (%s) was mounted after the container's "
						   "start; unmount it",
						   m->target, m->fstype));
	}
	return r;
}

int mounts_dump(struct dump *d)
{
	int r = 0;

	if (d->o.standalone && d->own & CLONE_NEWNS)
		r = mnt_dump(d);
	if (r == 0)
		r = mnt_dump_spaces(d);
	if (r < 0 || (d->o.standalone && d->own & CLONE_NEWNS))
		return r;
	if (d->o.foreign)
		return mnt_dump_foreign(d);
	for (size_t i = 0; r == 0 && i < d->mounts.n; i++) {
		const struct mount_entry *m = &d->mounts.v[i];
		g_autofree char *root = mnt_root_of(m), *target = NULL;
		g_autofree char *source = g_strdup(m->source), *fs = g_strdup(m->fstype);
		g_autofree char *options = g_strdup(m->sb_options);
		MntEntry e = MNT_ENTRY__INIT;

		/* CRIU writes mount points relative to the root: "./proc" */
		target = g_strconcat(".", m->target, NULL);
		e.fstype = FSTYPE__AUTO;
		e.fsname = fs;
		e.mnt_id = (uint32_t)m->id;
		e.parent_mnt_id = (uint32_t)m->parent;
		e.root_dev = m->major << 20 | m->minor; /* MKKDEV */
		e.root = root;
		e.has_deleted = e.deleted = mnt_is_gone(m);
		e.mountpoint = target;
		e.source = source;
		e.options = options;
		e.has_shared_id = e.has_master_id = e.has_ext_mount = true;
		e.shared_id = (uint32_t)m->shared;
		e.master_id = (uint32_t)m->master;
		e.ext_mount = true;
		r = image_write(&d->w, IMG_MNTS, NSID_MNT, &e.base);
	}
	return r;
}
