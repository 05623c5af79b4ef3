/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of tmpfs mounts, which end with the container: /dev/shm, --tmpfs, what the OCI runtime
 * mounts.  CRIU's format: tmpfs-dev-N.tar.gz, N being the device number that mountpoints.img knows.
 *
 * A tmpfs that we see in our own mount namespace is the host's and stays as it is, unless the
 * options say that it belongs to the tree.  Device nodes are never taken from a container's
 * checkpoint; a standalone tree has its own.
 */
#include "base/file.h"
#include "state/ns/mnt.h"
#include "state/ns/ns.h"

#include "base/log.h"
#include "image/mnt.pb-c.h"
#include "kernel/fsmagic.h"
#include "kernel/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int open_dir(int root, const char *target)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	int fd = file_openat2(root, target, &how);

	return fd < 0 ? err_errno("open %s", target) : fd;
}

static bool is_hosts(const struct mountinfo *ours, const struct mount_entry *m)
{
	for (size_t i = 0; i < ours->n; i++)
		if (ours->v[i].major == m->major && ours->v[i].minor == m->minor)
			return true;
	return false;
}

static bool belongs(const struct dump *d, const struct mountinfo *ours, size_t at)
{
	const struct mount_entry *m = &d->mounts.v[at];

	if (strcmp(m->fstype, "tmpfs") != 0 || strcmp(m->root, "/") != 0 ||
	    mount_option(m->options, "ro", NULL) || mountinfo_at(&d->mounts, m->target) != m)
		return false;
	for (size_t i = 0; i < at; i++) /* mounted twice */
		if (d->mounts.v[i].major == m->major && d->mounts.v[i].minor == m->minor)
			return false;
	for (unsigned i = 0; i < d->o.ntmpfs; i++)
		if (strcmp(d->o.tmpfs[i], m->target) == 0)
			return true;
	return d->o.mounts && !is_hosts(ours, m);
}

/* Links in /dev that OCI runtimes make: "Default Devices" of the runtime specification. */
static bool is_runtimes(const char *target, const char *name)
{
	static const char *const names[] = {"fd", "stdin", "stdout", "stderr", "core", "ptmx"};

	for (size_t i = 0; strcmp(target, "/dev") == 0 && i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Something that the next container would miss? */
static int has_content(int dir, const char *target, bool *ret)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct stat top, st;
	struct dirent *e;

	*ret = false;
	if (!d || fstat(dir, &top) < 0)
		return err_errno("read %s", target);
	while (!*ret && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*ret = tmpfs_is_wanted(&st, top.st_dev, false) &&
		       !(S_ISLNK(st.st_mode) && is_runtimes(target, e->d_name));
	}
	closedir(d);
	return 0;
}

static uint32_t number_of(const struct mount_entry *m)
{
	return m->major << 20 | m->minor;
}

static int dump_as(struct dump *d, uint32_t number, int dir, const char *what, bool nodes)
{
	autoclose int file = -1, users = -1;
	int r = image_write_fd(&d->w, IMG_TMPFS_DEV, number, &file);

	/* owners as the tree sees them */
	if (r == 0 && d->own & CLONE_NEWUSER)
		r = ns_open(dump_task(d, 0)->proc.dir, NS_USER, &users);
	return r < 0 ? r : tmpfs_pack(users, dir, file, what, nodes);
}

int tmpfs_dump_dir(struct dump *d, uint32_t number, int dir, const char *what)
{
	return dump_as(d, number, dir, what, d->o.standalone);
}

static int dump_dir(struct dump *d, const struct mount_entry *m, int dir, bool nodes)
{
	return dump_as(d, number_of(m), dir, m->target, nodes);
}

static int dump_one(struct dump *d, const struct mount_entry *m)
{
	autoclose int dir = open_dir(d->root, m->target);

	return dir < 0 ? dir : dump_dir(d, m, dir, d->o.standalone);
}

static int is_missed(const struct dump *d, const struct mount_entry *m, bool *ret)
{
	autoclose int dir = open_dir(d->root, m->target);

	return dir < 0 ? dir : has_content(dir, m->target, ret);
}

static int dump_copy(const struct mnt_scope *s, size_t i, int copy, bool nodes)
{
	const struct mount_entry *m = &s->its->v[i];
	autoclose int dir = openat(copy, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? err_errno("open %s", m->target) : dump_dir(s->d, m, dir, nodes);
}

int tmpfs_dump_mount(const struct mnt_scope *s, size_t i, bool nodes)
{
	autoclose int copy = -1;
	int r = mnt_open_bare(s, i, &copy);

	return r < 0 ? r : dump_copy(s, i, copy, nodes);
}

static int dump_empty(struct dump *d, const struct mount_entry *m, int dir)
{
	autoclose int file = -1;
	int r = image_write_fd(&d->w, IMG_TMPFS_DEV, number_of(m), &file);

	return r < 0 ? r : tmpfs_pack_empty(dir, file, m->target);
}

static int copy_alone(void *arg, int *ret_fd)
{
	return mount_copy(AT_FDCWD, arg, false, ret_fd);
}

/*
 * Without what is mounted below it: a copy of that mount alone shows it.  mnt_open_bare() makes a
 * whole namespace for that, whose end waits for the kernel (fs/namespace.c: namespace_unlock(),
 * synchronize_rcu_expedited()).
 */
static int dump_uncovered(const struct mnt_scope *s, size_t i)
{
	autoclose int ns = -1, copy = -1;
	int r = ns_open(dump_task(s->d, 0)->proc.dir, NS_MNT, &ns);

	if (r == 0)
		r = ns_run(&ns, 1, copy_alone, (void *)s->its->v[i].target, &copy);
	if (r < 0) {
		err_clear();
		return tmpfs_dump_mount(s, i, true);
	}
	return dump_copy(s, i, copy, true);
}

static int dump_all_of(const struct mnt_scope *s, size_t i)
{
	const struct mount_entry *m = &s->its->v[i];
	autoclose int dir = -1;

	if (s->d->own & CLONE_NEWUSER || mountinfo_at(&s->d->mounts, m->target) != m)
		return tmpfs_dump_mount(s, i, true);
	dir = open_dir(s->d->root, m->target);
	if (dir < 0)
		return dir;
	return mnt_foreign_is_empty(dir) ? dump_empty(s->d, m, dir) : dump_uncovered(s, i);
}

/* In IMAGE_EXTRA: those that our own restore has nothing to do with. */
#define OF_RUNTIME "runtime_tmpfs"

/* All of it, for whoever has to make it again; an error only if it has what would be missed. */
static int dump_foreign(const struct mnt_scope *s, size_t i, bool missed)
{
	struct dump *d = s->d;
	int r = dump_all_of(s, i);
	json_t *all = json_object_get(d->extra, OF_RUNTIME);

	if (r < 0 && !missed) {
		log_debug("%s", err_message());
		err_clear();
		return 0;
	}
	if (r < 0 || missed)
		return r;
	if (!all)
		json_object_set_new(d->extra, OF_RUNTIME, all = json_array());
	json_array_append_new(all, json_integer(number_of(&s->its->v[i])));
	return 0;
}

static int dump_scope(const struct mnt_scope *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->its->n; i++) {
		bool mine = belongs(s->d, s->ours, i), content = false;

		if (mine)
			r = is_missed(s->d, &s->its->v[i], &content);
		if (r == 0 && s->d->o.foreign && mnt_foreign_has_content(s, i))
			r = dump_foreign(s, i, content);
		else if (r == 0 && content)
			r = dump_one(s->d, &s->its->v[i]);
	}
	return r;
}

int tmpfs_dump(struct dump *d)
{
	/* with the mounts: mnt_dump() */
	return d->o.standalone ? 0 : mnt_each_scope(d, true, dump_scope);
}

static int restore_one(struct restore *r, const MntEntry *m)
{
	const char *target = m->mountpoint[0] == '.' ? m->mountpoint + 1 : m->mountpoint;
	CLEANUP(image_close) struct image *img = NULL;
	autoclose int dir = -1;
	uint64_t type;
	int ret = image_open(r->o.images, IMG_TMPFS_DEV, m->root_dev, &img);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	dir = open_dir(r->root, target);
	ret = dir < 0 ? dir : fsmagic_of(dir, &type);
	if (ret < 0)
		return ret;
	if (type != fsmagic_number("tmpfs"))
		return err_set(EINVAL, "%s was a tmpfs and is none here", target);
	return tmpfs_unpack(dir, img->fd, target, false);
}

static bool is_of_runtime(const struct restore *r, const MntEntry *m)
{
	json_t *number;
	size_t i;

	json_array_foreach(json_object_get(r->extra, OF_RUNTIME), i, number)
	{
		if (json_integer_value(number) == m->root_dev)
			return true;
	}
	return false;
}

int tmpfs_restore(struct restore *r)
{
	g_autoptr(GPtrArray) mounts = NULL;
	int ret;

	if (r->o.mounts_made)
		return 0;
	ret = image_load_all(r->o.images, IMG_MNTS, r->nsids.v[NS_MNT], &mounts);

	for (unsigned i = 0; ret == 0 && i < mounts->len; i++) {
		const MntEntry *m = g_ptr_array_index(mounts, i);
		bool again = false;

		for (unsigned k = 0; k < i; k++)
			again = again ||
				((const MntEntry *)g_ptr_array_index(mounts, k))->root_dev ==
					m->root_dev;
		if (!again && !is_of_runtime(r, m) && m->fsname && strcmp(m->fsname, "tmpfs") == 0)
			ret = restore_one(r, m);
	}
	return ret < 0 ? ret : 0;
}
