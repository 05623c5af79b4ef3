/* SPDX-License-Identifier: Apache-2.0 */
/* What was allowed when a file was opened or mapped, and by now is not to whoever restores. */
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define EXECUTE 0111

static unsigned long mount_flags(const struct path_view *v)
{
	struct statfs fs;

	return g_str_has_prefix(v->link, "/memfd:") || statfs(v->reopen, &fs) < 0
		       ? 0
		       : (unsigned long)fs.f_flags;
}

/* mm/mmap.c: do_mmap(); kernel/sys.c: prctl_set_mm_exe_file() */
int reopen_check_mapped(const struct path_view *v)
{
	return mount_flags(v) & ST_NOEXEC
		       ? err_set(EOPNOTSUPP,
				 "%s is executed, but on a mount that by now is noexec, from where "
				 "nobody could map it again; remount it",
				 v->link)
		       : 0;
}

int reopen_check_program(const struct path_view *v)
{
	if (!(v->st.st_mode & EXECUTE))
		return err_set(EOPNOTSUPP,
			       "%s may be executed by nobody any more (mode %03o); chmod +x it",
			       v->link, v->st.st_mode & 0777);
	return reopen_check_mapped(v);
}

/* fs/namei.c: may_open() */
int reopen_check_opened(const struct path_view *v)
{
	bool writes = (v->flags & O_ACCMODE) != O_RDONLY && !(v->flags & O_PATH);
	uint64_t bars = STATX_ATTR_IMMUTABLE;
	struct statx st;

	if (v->flags & O_PATH)
		return 0;
	if ((S_ISCHR(v->st.st_mode) || S_ISBLK(v->st.st_mode)) && mount_flags(v) & ST_NODEV)
		return err_set(EOPNOTSUPP,
			       "%s is on a mount that by now is nodev, where nobody could open it "
			       "again; remount it",
			       v->link);
	if (!(v->flags & O_APPEND))
		bars |= STATX_ATTR_APPEND;
	if (writes && S_ISREG(v->st.st_mode) && v->st.st_nlink &&
	    statx(AT_FDCWD, v->reopen, 0, STATX_TYPE, &st) == 0 && st.stx_attributes & bars)
		return err_set(
			EOPNOTSUPP,
			"%s is open for writing, but by now immutable or for appending only, "
			"so that nobody could open it again; chattr -ia it",
			v->link);
	return 0;
}
