/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories in mounts that are attached nowhere: unmounted lazily (umount -l) while
 * they were in use, or never attached (fsmount(2), open_tree(2) with OPEN_TREE_CLONE).  No list of
 * mounts has them; that a mount is of no namespace is read in struct mount.mnt_ns, or shown by its
 * being copied although it is not of ours (fs/namespace.c: may_copy_tree(), Linux 6.15).
 *
 * At restore there is such a mount again, for all that were in the same: a view of what the tree's
 * mounts show, or a new tmpfs.  Of the latter everything is saved where a task has a directory of
 * it, else the files that are open: nobody of the tree finds others.  Who has an O_PATH descriptor
 * of its top gets the mount itself, which may be attached.
 *
 * In IMAGE_EXTRA, "adrift_files": {"ID": {"mount": number, "view": PATH, "space": number of the
 * mount namespace} or {"tmpfs": device number}}, "adrift_tmpfs": {"NUMBER": {"size", "inodes",
 * "flags", "top"}}.
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/find.h"
#include "state/fd/kind.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include "kernel/fsmagic.h"
#include "kernel/mount.h"
#include "kernel/peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define UP_MAX 4096 /* as deep as a path can be */

/* MOUNT is of the mount namespace that the process SELF is in, all of which it has to see. */
static bool is_listed(int self, int mount)
{
	CLEANUP(mountinfo_clear) struct mountinfo all = {0};

	return self < 0 || mountinfo_read(self, &all) < 0 || mountinfo_by_id(&all, mount);
}

static bool is_ours(int mount)
{
	autoclose int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return is_listed(self, mount);
}

/* struct mount of our FD has no namespace. */
static bool has_no_namespace(struct dump *d, int fd)
{
	uint64_t file, mount, in_mount, ns = 1;
	struct peek *k;

	return dump_peek(d, &k) && peek_file(k, fd, &file) == 0 &&
	       peek_u64(k, file, "file", "f_path.mnt", &mount) == 0 &&
	       peek_at(k, 0, "mount", "mnt", &in_mount) == 0 &&
	       peek_u64(k, mount - in_mount, "mount", "mnt_ns", &ns) == 0 && ns == 0;
}

struct copy {
	int fd, proc, mount;
};

static int copy_it(void *arg, int *ret_fd)
{
	const struct copy *c = arg;
	autoclose int self = openat(c->proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return is_listed(self, c->mount) ? err_set(EBUSY, "it is attached")
					 : mount_copy(c->fd, "", false, ret_fd);
}

/*
 * MOUNT, which our FD is in, can be copied though it is not attached.  Of what open_tree(2) has
 * made only whoever is in the namespace that it was made from may do so (check_anonymous_mnt()).
 */
static bool can_be_copied(const struct path_view *v, int fd, int mount)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	autoclose int copy = -1, ns = -1, proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct copy c = {.fd = fd, .proc = proc, .mount = mount};
	int pid;

	if (mount_copy(fd, "", false, &copy) == 0)
		return true;
	return sscanf(v->reopen, "/proc/%d/", &pid) == 1 && proc_open(pid, &p) == 0 &&
	       ns_open(p.dir, NS_MNT, &ns) == 0 && ns_run(&ns, 1, copy_it, &c, &copy) == 0;
}

/* Opened, or -1: it is somewhere, or not to be told. */
static int open_adrift(struct dump *d, const struct path_view *v, int *ret_mount)
{
	autoclose int fd = -1;
	struct statx at;

	if (statx(AT_FDCWD, v->reopen, 0, STATX_MNT_ID, &at) < 0)
		return -1;
	*ret_mount = (int)at.stx_mnt_id;
	if (spaces_mount(d, *ret_mount) || is_ours(*ret_mount))
		return -1;
	fd = open(v->reopen, O_PATH | O_CLOEXEC);
	if (fd < 0 || (!has_no_namespace(d, fd) && !can_be_copied(v, fd, *ret_mount))) {
		err_clear();
		return -1;
	}
	return take_fd(&fd);
}

/* The top of the mount that directory DIR is in: ".." leads no further. */
static int open_top(int dir, int *ret_fd)
{
	autoclose int at = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; at >= 0 && i < UP_MAX; i++) {
		autoclose int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct stat a, b;

		if (up < 0 || fstat(at, &a) < 0 || fstat(up, &b) < 0)
			return -1;
		if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			*ret_fd = take_fd(&up);
			return 0;
		}
		close(at);
		at = take_fd(&up);
	}
	return -1;
}

static struct file_handle *handle_of(int fd)
{
	struct file_handle *h = g_malloc0(sizeof(*h) + MAX_HANDLE_SZ);
	int mount;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", h, &mount, AT_EMPTY_PATH) < 0)
		g_clear_pointer(&h, g_free);
	return h;
}

/* A name of what FD is, in the tree's mounts. */
static char *name_of(struct dump *d, int fd)
{
	g_autofree struct file_handle *h = handle_of(fd);
	struct find_key k = {.handle = h};
	struct stat st;
	char *name;

	if (fstat(fd, &st) < 0)
		return NULL;
	k.major = major(st.st_dev);
	k.minor = minor(st.st_dev);
	k.ino = st.st_ino;
	return find_name(d, &k, &name) ? name : NULL;
}

/* What is to be shown, so that PATH in there is it; PATH may have to be another one. */
static char *view_of_file(const char *name, char **path)
{
	size_t all = strlen(name), len = strlen(*path);

	if (all > len && strcmp(name + all - len, *path) == 0)
		return g_strndup(name, all - len);
	g_free(*path);
	*path = g_strdup(strrchr(name, '/'));
	return g_path_get_dirname(name);
}

static json_t *look_view(struct dump *d, const struct path_view *v, int fd, int mount, char **path)
{
	g_autofree char *name = NULL, *view = NULL;
	autoclose int top = -1;

	if (S_ISDIR(v->st.st_mode) && open_top(fd, &top) < 0)
		return NULL;
	name = name_of(d, top >= 0 ? top : fd);
	if (!name)
		return NULL;
	view = top >= 0 ? g_steal_pointer(&name) : view_of_file(name, path);
	return json_pack("{s:i, s:s, s:i}", "mount", mount, "view", view, "space", 0);
}

static uint32_t device_of(const struct stat *st)
{
	return major(st->st_dev) << 20 | minor(st->st_dev);
}

/* A tmpfs that only this mount has: all that there will be of it is what is saved. */
static json_t *look_tmpfs(struct dump *d, const struct path_view *v, int fd)
{
	uint64_t type;

	if (fsmagic_of(fd, &type) < 0 || type != fsmagic_number("tmpfs") || users_uid(d, 0) != 0)
		return NULL;
	return json_pack("{s:I}", "tmpfs", (json_int_t)device_of(&v->st));
}

json_t *adrift_look(struct dump *d, const struct path_view *v, char **ret_path)
{
	g_autofree char *path = g_strdup(v->link);
	json_t *ret = NULL;
	int mount, fd;

	if ((!S_ISREG(v->st.st_mode) && !S_ISDIR(v->st.st_mode)) || *v->link != '/')
		return NULL;
	fd = open_adrift(d, v, &mount);
	if (fd >= 0)
		ret = look_view(d, v, fd, mount, &path);
	if (fd >= 0 && !ret)
		ret = look_tmpfs(d, v, fd);
	cleanup_close(&fd);
	err_clear();
	if (ret)
		*ret_path = g_steal_pointer(&path);
	return ret;
}

int adrift_check(struct dump *d, const struct path_view *v, const json_t *how)
{
	/* of what nobody has a directory of, files are saved one by one */
	return json_object_get(how, "tmpfs") && S_ISREG(v->st.st_mode) ? ghost_check(d, v) : 0;
}

int adrift_refuse(struct dump *d, const struct path_view *v)
{
	struct statvfs st;
	uint64_t type = 0;
	int mount, fd = open_adrift(d, v, &mount), r;

	if (fd < 0)
		return 0;
	r = fsmagic_of(fd, &type);
	if (r == 0)
		r = fstatvfs(fd, &st) < 0 ? err_errno("look at %s", v->link) : 0;
	cleanup_close(&fd);
	if (r < 0)
		return r;
	return err_set(EOPNOTSUPP,
		       "%s is in a mount (%s) that is attached nowhere, as after umount -l or "
		       "fsmount(2), and cannot be made again; close it, or attach that",
		       v->link, fsmagic_name(type) ?: "?");
}

/* The tmpfs itself, once; its content if DIR leads to all of it. */
static int dump_tmpfs(struct dump *d, const struct path_view *v, uint32_t number)
{
	autoclose int fd = open(v->reopen, O_PATH | O_CLOEXEC), top = -1, dir = -1;
	const json_t *known = extra_get(d->extra, "adrift_tmpfs", number);
	json_int_t of = json_integer_value(json_object_get(known, "top"));
	struct statvfs fs;
	struct stat st = {0};

	if (fd < 0 || fstatvfs(fd, &fs) < 0)
		return err_errno("look at %s", v->link);
	if (S_ISDIR(v->st.st_mode)) {
		if (open_top(fd, &top) < 0 || fstat(top, &st) < 0 ||
		    (dir = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			return err_errno("the top of what %s is in", v->link);
		if (of && of != (json_int_t)st.st_ino)
			return err_set(EOPNOTSUPP,
				       "%s: several directories of one tmpfs, which is mounted "
				       "nowhere, are mounts by themselves; close it",
				       v->link);
	}
	if (!known || (!of && st.st_ino))
		extra_set(d->extra, "adrift_tmpfs", number,
			  json_pack("{s:I, s:I, s:I, s:I}", "size",
				    (json_int_t)(fs.f_blocks * fs.f_frsize), "inodes",
				    (json_int_t)fs.f_files, "flags", (json_int_t)fs.f_flag, "top",
				    (json_int_t)st.st_ino));
	return dir < 0 || of ? 0 : tmpfs_dump_dir(d, number, dir, v->link);
}

int adrift_dump(struct dump *d, const struct path_view *v, uint32_t id, json_t *how_take)
{
	const json_t *tmpfs = json_object_get(how_take, "tmpfs");
	uint32_t ghost;
	int r;

	extra_set(d->extra, "adrift_files", id, how_take);
	if (!tmpfs)
		return 0;
	r = dump_tmpfs(d, v, (uint32_t)json_integer_value(tmpfs));
	if (r < 0 || !S_ISREG(v->st.st_mode))
		return r;
	r = ghost_dump(d, v, &ghost);
	return r < 0 ? r : ghost_remap(d, id, ghost);
}
