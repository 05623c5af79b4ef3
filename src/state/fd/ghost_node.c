/* SPDX-License-Identifier: Apache-2.0 */
/* Files that have been deleted get a name for a while, also on read-only mounts. */
#include "state/fd/files.h"

#include "image/ghost-file.pb-c.h"
#include "image/regfile.pb-c.h"
#include "kernel/mount.h"
#include "state/ns/ns.h"
#include "state/ns/spaces_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_node(int dir, const char *base, const GhostFileEntry *e)
{
	if (S_ISDIR(e->mode))
		return mkdirat(dir, base, 0700);
	if (S_ISLNK(e->mode))
		return symlinkat(e->symlnk_target, dir, base);
	if (!S_ISREG(e->mode)) /* FIFOs, devices */
		return mknodat(dir, base, (e->mode & S_IFMT) | 0600, e->rdev);
	return openat(dir, base, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* On a file system of a user namespace our own user does not exist (fs/namei.c: may_create()). */
static int make_node_there(const struct restore *r, int dir, const char *base,
			   const GhostFileEntry *e)
{
	int ret = make_node(dir, base, e), err;

	if (ret >= 0 || errno != EOVERFLOW)
		return ret;
	setfsgid(users_outer_gid(r, 0));
	setfsuid(users_outer_uid(r, 0));
	ret = make_node(dir, base, e);
	err = errno;
	setfsuid(geteuid());
	setfsgid(getegid());
	errno = err;
	return ret;
}

static int copy_writable(void *arg, int *ret_fd)
{
	int r = mount_copy(*(int *)arg, "", false, ret_fd);

	return r < 0 ? r : mount_change(*ret_fd, false, 0, MOUNT_ATTR_RDONLY, 0);
}

/*
 * The directory in a copy of its mount that nobody else sees, and that can be written to.  Only who
 * is in a mount's namespace may copy it (fs/namespace.c: __do_loopback()).
 */
static int make_writable(struct restore *r, const RegFileEntry *reg, int *dir)
{
	uint32_t space = spaces_of_mount(r, reg->has_mnt_id ? reg->mnt_id : -1);
	int ns, fd = -1, ret = spaces_fd(r, NS_MNT, space, &ns);

	if (ret == 0)
		ret = ns_run(&ns, 1, copy_writable, dir, &fd);
	if (ret < 0)
		return err_wrap(ret, "on a read-only mount");
	close(*dir);
	*dir = fd;
	return 0;
}

int ghost_node(struct restore *res, const RegFileEntry *reg, int *dir, const char *base,
	       const GhostFileEntry *e, char **ret_base)
{
	int r = -1;

	*ret_base = g_strdup(base);
	for (unsigned i = 0; i < 1000; i++) {
		r = make_node_there(res, *dir, *ret_base, e);
		if (r < 0 && errno == EROFS) {
			r = make_writable(res, reg, dir);
			if (r < 0)
				return r;
			r = make_node_there(res, *dir, *ret_base, e);
		}
		if (r >= 0 || errno != EEXIST)
			break;
		g_free(*ret_base);
		*ret_base = g_strdup_printf("%.200s.cryo.%u", base, i);
	}
	if (r < 0)
		return err_errno("create %s", base);
	if (S_ISREG(e->mode))
		return r;
	r = openat(*dir, *ret_base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return r < 0 ? err_errno("open %s", *ret_base) : r;
}
