/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of an image that have been deleted, as those of a package are when it is upgraded.  A file
 * of a lower layer of an overlay stays where it is, and fstat(2) tells how many names it has there
 * (fs/overlayfs/inode.c: ovl_getattr()).  The inode of the overlay itself counts them
 * (fs/overlayfs/dir.c: ovl_drop_nlink()), which only the kernel's memory shows.
 */
#include "state/fd/files.h"
#include "state/fd/kind.h"

#include "kernel/peek.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

bool gone_may_be(const struct path_view *v)
{
	struct statfs st;

	return statfs(v->reopen, &st) == 0 && st.f_type == OVERLAYFS_SUPER_MAGIC;
}

bool gone_for_sure(struct dump *d, const struct path_view *v)
{
	autoclose int fd = open(v->reopen, O_PATH | O_CLOEXEC);
	uint64_t file, inode;
	uint32_t links = 1;
	struct peek *k;
	int r;

	if (fd < 0 || !dump_peek(d, &k))
		return false;
	r = peek_file(k, fd, &file);
	if (r == 0)
		r = peek_u64(k, file, "file", "f_inode", &inode);
	if (r == 0)
		r = peek_u32(k, inode, "inode", "__i_nlink", &links);
	if (r < 0)
		err_clear();
	return r == 0 && links == 0;
}
