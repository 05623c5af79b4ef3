/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals that are mounted over a file, as /dev/console is in a container: they are not there
 * when mounts are made, so that these mounts come when terminals have been opened again.
 */
#include "state/ns/mnt_plan.h"
#include "state/ns/ns.h"

#include "kernel/mount.h"
#include "kernel/mountflags.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

bool mnt_is_tty(const MntEntry *e)
{
	return e->fstype == FSTYPE__DEVPTS && !e->ext_mount && !e->deleted && e->root[0] == '/' &&
	       g_ascii_isdigit(e->root[1]);
}

struct tty_mount {
	const MntEntry *e;
	char *source;
};

/* In the tree's mount namespace. */
static int make_one(void *arg, int *ret_fd)
{
	const struct tty_mount *m = arg;
	unsigned long sharing = m->e->shared_id ? MS_SHARED : MS_PRIVATE;
	autoclose int fd = -1;
	int r = mount_copy(AT_FDCWD, m->source, false, &fd);

	/* none of those that share with where it is seen */
	if (r == 0)
		r = mount_change(fd, false, mountflags_attrs(m->e->flags), MOUNT_ATTR__ATIME,
				 MS_PRIVATE);
	if (r == 0 && sharing != MS_PRIVATE)
		r = mount_change(fd, false, 0, 0, sharing);
	return r < 0 ? r : mount_attach(fd, AT_FDCWD, mnt_target(m->e));
}

static const MntEntry *find_whole(const GPtrArray *records, const MntEntry *e)
{
	for (unsigned i = 0; i < records->len; i++) {
		const MntEntry *o = g_ptr_array_index(records, i);

		if (o->root_dev == e->root_dev && strcmp(o->root, "/") == 0)
			return o;
	}
	return NULL;
}

int mnt_ttys_restore(struct restore *r)
{
	g_autoptr(GPtrArray) records = NULL;
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int ns = -1;
	int ret = r->o.mounts_made
			  ? image_load_all(r->o.images, IMG_MNTS, r->nsids.v[NS_MNT], &records)
			  : 0;

	for (unsigned i = 0; ret == 0 && records && i < records->len; i++) {
		const MntEntry *e = g_ptr_array_index(records, i), *whole = find_whole(records, e);
		g_autofree char *source = NULL;

		if (!mnt_is_tty(e))
			continue;
		if (!whole)
			return err_set(EBADMSG,
				       "mount %s: the terminals that it shows one of are "
				       "mounted nowhere",
				       mnt_target(e));
		source = g_build_filename(mnt_target(whole), e->root, NULL);
		if (ns < 0)
			ret = proc_open(r->stub.pid, &p);
		if (ret == 0 && ns < 0)
			ret = ns_open(p.dir, NS_MNT, &ns);
		if (ret == 0)
			ret = ns_run(&ns, 1, make_one, &(struct tty_mount){e, source}, NULL);
		if (ret < 0)
			return err_wrap(ret, "mount %s", mnt_target(e));
	}
	return ret;
}
