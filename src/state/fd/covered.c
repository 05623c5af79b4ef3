/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories that something is mounted over, so that their names lead elsewhere.  They
 * are looked at in a copy of the mount namespace where that is taken away, and opened in the mount
 * itself by their handles (open_by_handle_at(2)), which no path leads through.
 *
 * In IMAGE_EXTRA, "covered_files": {"ID": {"mount": TARGET, "covers": [TARGET...], "space":
 * number of the mount namespace, 0: the root's}}
 */
#include "state/extra.h"
#include "state/fd/files.h"
#include "state/fd/kind.h"
#include "state/ns/spaces_restore.h"

#include "base/file.h"
#include "image/regfile.pb-c.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct uncover {
	const json_t *covers; /* the topmost first */
	const char *name;     /* NULL: the namespace itself */
	int proc;	      /* O_PATH, our own */
};

/* What was mounted on something that is away already is not there. */
static int uncover(void *arg, int *ret_fd)
{
	const struct uncover *u = arg;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno("new mount namespace");
	for (size_t i = 0; i < json_array_size(u->covers); i++) {
		const char *target = json_string_value(json_array_get(u->covers, i));

		if (target && umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 &&
		    errno != EINVAL && errno != ENOENT)
			return err_errno("uncover %s", target);
	}
	*ret_fd = u->name ? open(u->name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
			  : openat(u->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", u->name ?: "the mount namespace") : 0;
}

/* Who owns the namespace may take away what a copy for others has locked: copy_mnt_ns(). */
static int open_uncovered(int ns, const json_t *covers, const char *name, int *ret_fd)
{
	autoclose int owner = -1, proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct uncover u = {.covers = covers, .name = name, .proc = proc};
	int r = proc < 0 ? err_errno("open /proc") : ns_owner(ns, &owner);

	return r < 0 ? r : ns_run((const int[]){owner, ns}, 2, uncover, &u, ret_fd);
}

static json_t *covers_of(const struct mountinfo *all, const struct mount_entry *m, const char *name)
{
	json_t *covers = json_array();

	for (size_t i = all->n; i-- > 0;)
		if (mountinfo_hides(all, &all->v[i], m, name))
			json_array_append_new(covers, json_string(all->v[i].target));
	return covers;
}

/* In which namespace the mount is, opened, and its mounts; *RET_SPACE 0: the root's. */
static const struct mount_entry *find_mount(struct dump *d, int id,
					    const struct mountinfo **ret_all, uint32_t *ret_space,
					    int *ret_ns)
{
	const struct mount_entry *m = mountinfo_by_id(&d->mounts, id);

	*ret_all = &d->mounts;
	*ret_space = 0;
	if (m)
		return ns_open(dump_task(d, 0)->proc.dir, NS_MNT, ret_ns) < 0 ? NULL : m;
	for (unsigned i = 0; i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		m = s->kind == NS_MNT ? mountinfo_by_id(&s->mounts, id) : NULL;
		if (!m)
			continue;
		*ret_all = &s->mounts;
		*ret_space = s->id;
		*ret_ns = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
		return m;
	}
	return NULL;
}

json_t *covered_look(struct dump *d, const struct path_view *v)
{
	struct statx at = {0};
	autoclose int ns = -1, fd = -1;
	const struct mountinfo *all;
	const struct mount_entry *m = NULL;
	json_t *covers, *ret = NULL;
	uint32_t space;
	struct stat st;

	if (d->o.standalone && statx(AT_FDCWD, v->reopen, 0, STATX_MNT_ID, &at) == 0)
		m = find_mount(d, (int)at.stx_mnt_id, &all, &space, &ns);
	covers = m ? covers_of(all, m, v->link) : NULL;
	if (json_array_size(covers) && open_uncovered(ns, covers, v->link, &fd) == 0 &&
	    fstat(fd, &st) == 0 && st.st_dev == v->st.st_dev && st.st_ino == v->st.st_ino)
		ret = json_pack("{s:s, s:O, s:I}", "mount", m->target, "covers", covers, "space",
				(json_int_t)space);
	json_decref(covers);
	if (!ret)
		err_clear();
	return ret;
}

/*
 * How PATH, on mount M of ALL in namespace NS, leads to what ST is of, or led before that was
 * deleted; NULL: it does not.
 */
static json_t *look_below(const struct mountinfo *all, const struct mount_entry *m, int ns,
			  uint32_t space, const char *path, const struct stat *st)
{
	json_t *covers = covers_of(all, m, path), *ret = NULL;
	autoclose int fd = -1;
	struct stat its;

	if (json_array_size(covers) &&
	    (!st->st_nlink || (open_uncovered(ns, covers, path, &fd) == 0 && fstat(fd, &its) == 0 &&
			       its.st_dev == st->st_dev && its.st_ino == st->st_ino)))
		ret = json_pack("{s:O, s:I}", "covers", covers, "space", (json_int_t)space);
	json_decref(covers);
	if (!ret)
		err_clear();
	return ret;
}

static json_t *look_in(const struct mountinfo *all, int ns, uint32_t space, const char *path,
		       const struct stat *st)
{
	json_t *ret = NULL;

	for (size_t i = 0; i < all->n && !ret; i++) {
		const struct mount_entry *m = &all->v[i];
		size_t len = strcmp(m->target, "/") == 0 ? 0 : strlen(m->target);

		if (m->major == major(st->st_dev) && m->minor == minor(st->st_dev) &&
		    strncmp(path, m->target, len) == 0 && path[len] == '/')
			ret = look_below(all, m, ns, space, path, st);
	}
	return ret;
}

json_t *covered_look_at(struct dump *d, const char *path, const struct stat *st)
{
	autoclose int ns = -1;
	json_t *ret = NULL;

	if (!d->o.standalone)
		return NULL;
	if (ns_open(dump_task(d, 0)->proc.dir, NS_MNT, &ns) == 0)
		ret = look_in(&d->mounts, ns, 0, path, st);
	for (unsigned i = 0; !ret && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);

		if (s->kind == NS_MNT)
			ret = look_in(&s->mounts, s->fd, s->id, path, st);
	}
	return ret;
}

int covered_namespace(struct restore *r, const json_t *how, int *ret_fd)
{
	int ns, ret = spaces_fd(r, NS_MNT,
				(uint32_t)json_integer_value(json_object_get(how, "space")), &ns);

	return ret < 0 ? ret : open_uncovered(ns, json_object_get(how, "covers"), NULL, ret_fd);
}

void covered_note(struct dump *d, uint32_t id, json_t *take)
{
	extra_set(d->extra, "covered_files", id, take);
}

const json_t *covered_find(const struct restore *r, uint32_t id)
{
	return extra_get(r->extra, "covered_files", id);
}

/* -1: the mount cannot be got at, or its file system has no handles. */
static int open_there(int root, const char *target, int file, unsigned flags)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	autoclose int mount = target ? file_openat2(root, target, &how) : -1;
	g_autofree struct file_handle *h = g_malloc0(sizeof(*h) + MAX_HANDLE_SZ);
	struct stat its, here;
	int id;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (mount < 0 || fstat(mount, &here) < 0 || fstat(file, &its) < 0 ||
	    here.st_dev != its.st_dev || name_to_handle_at(file, "", h, &id, AT_EMPTY_PATH) < 0)
		return -1;
	return open_by_handle_at(mount, h, (int)flags | O_CLOEXEC);
}

int covered_open(struct restore *r, const RegFileEntry *e, const json_t *how, unsigned flags,
		 int *ret_fd)
{
	const char *target = json_string_value(json_object_get(how, "mount"));
	autoclose int fd = -1;
	char path[64];
	int ns, ret = spaces_fd(r, NS_MNT,
				(uint32_t)json_integer_value(json_object_get(how, "space")), &ns);

	if (ret == 0)
		ret = open_uncovered(ns, json_object_get(how, "covers"), e->name, &fd);
	if (ret < 0)
		return ret;
	*ret_fd = open_there(spaces_root_of(r, e->has_mnt_id ? e->mnt_id : -1), target, fd, flags);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (*ret_fd < 0)
		*ret_fd = open(path, (int)(flags & ~(unsigned)O_NOFOLLOW) | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", e->name) : 0;
}
