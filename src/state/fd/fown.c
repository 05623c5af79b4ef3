/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets SIGIO: recorded for CRIU's sake; a description that has an owner is refused so far. */
#include "state/fd/kind.h"

#include <errno.h>
#include <fcntl.h>

FownEntry *fown_none(void)
{
	FownEntry *e = g_new0(FownEntry, 1);

	fown_entry__init(e);
	return e;
}

int fown_dump(const struct fd_view *v, FownEntry **ret)
{
	struct f_owner_ex owner = {0};
	autoclose int fd = -1;
	int r;

	if (v->info.flags & O_PATH) {
		*ret = fown_none();
		return 0;
	}
	r = fd_view_get(v, &fd);
	if (r < 0)
		return r;
	if (fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return err_errno("F_GETOWN_EX");
	if (owner.pid != 0)
		return err_set(EOPNOTSUPP, "%s sends SIGIO to process %d, which cannot be saved",
			       v->link, owner.pid);
	*ret = fown_none();
	return 0;
}

int fown_restore(int fd, const FownEntry *e)
{
	if (e && e->pid != 0)
		return err_set(EOPNOTSUPP, "an owner of SIGIO (process %u) cannot be restored",
			       e->pid);
	return 0;
}
