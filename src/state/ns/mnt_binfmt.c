/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binfmt_misc: mounted by users of a user namespace it is one of their own (Linux 6.7,
 * fs/binfmt_misc.c: bm_get_tree()), with what they have registered there.  That is not saved; and
 * further in, where mounts are made by the root's users, it would be another one afterwards.
 */
#include "state/ns/mnt.h"
#include "state/ns/spaces.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* 1: RET_NAME is registered there, or all of it is switched off: "status". */
static int find_entry(int top, char **ret_name)
{
	g_autofree char *status = NULL;
	int r = file_read_at(top, "status", 64, &status, NULL);
	DIR *d = r < 0 ? NULL : fdopendir(openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	if (r < 0)
		return r;
	if (!d)
		return err_errno("read its entries");
	while ((e = readdir(d)) != NULL && !*ret_name)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, "register") != 0 &&
		    (strcmp(e->d_name, "status") != 0 || strcmp(status, "enabled\n") != 0))
			*ret_name = g_strdup(e->d_name);
	closedir(d);
	return *ret_name != NULL;
}

int mnt_check_binfmt(const struct mnt_scope *s, size_t i, const struct mnt_seen *seen)
{
	const struct mount_entry *m = &s->its->v[i];
	g_autofree char *name = NULL;
	autoclose int top = -1;
	int r;

	if (strcmp(m->fstype, "binfmt_misc") != 0 || seen->way != MNT_NEW)
		return 0;
	if (s->space && s->space->owner)
		return err_set(EOPNOTSUPP,
			       "mount %s (binfmt_misc): it belongs to a user namespace inside, for "
			       "which it cannot be made again; unmount it",
			       m->target);
	if (!(s->d->own & CLONE_NEWUSER))
		return 0;
	r = mnt_open_bare(s, i, &top);
	if (r == 0)
		r = find_entry(top, &name);
	if (r <= 0)
		return r;
	return err_set(EOPNOTSUPP,
		       "mount %s (binfmt_misc): what is registered there, %s, is the user "
		       "namespace's own and cannot be saved; take it away (echo -1 to that file), "
		       "or unmount it",
		       m->target, name);
}
