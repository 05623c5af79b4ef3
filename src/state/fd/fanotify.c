/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fanotify(7): marks of inodes and of mounts.  Events that were not read yet are lost, as those of
 * inotify; but who waits for an answer to a permission event would wait for ever or go on
 * unanswered, so that is refused.  fs/notify/fdinfo.c: fanotify_fdinfo()
 *
 *	fanotify flags:0 event-flags:8000
 *	fanotify mnt_id:1b mflags:0 mask:20 ignored_mask:0
 *	fanotify ino:3c51a sdev:fe00000 mflags:40 mask:2 ignored_mask:2 fhandle-bytes:8 ...
 */
#include "state/fd/find.h"
#include "state/fd/kind.h"
#include "state/ns/spaces.h"

#include "base/log.h"
#include "image/fsnotify.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif
#define MARK_FLAGS (FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE | FAN_MARK_IGNORE)
#define CLASSES	   (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:[fanotify]") == 0;
}

static int field(const char *line, const char *name, uint32_t *ret)
{
	uint64_t v;
	int r = fdinfo_field(line, name, 16, &v);

	*ret = r < 0 ? 0 : (uint32_t)v;
	return r;
}

static int read_mark(const char *line, FanotifyMarkEntry *e)
{
	int r = field(line, "mflags", &e->mflags);

	if (r == 0)
		r = field(line, "mask", &e->mask);
	if (r == 0)
		r = field(line, "ignored_mask", &e->ignored_mask);
	if (r < 0)
		return r;
	if (g_str_has_prefix(line, "mnt_id:")) {
		e->type = MARK_TYPE__MOUNT;
		e->me = g_new0(FanotifyMountMarkEntry, 1);
		fanotify_mount_mark_entry__init(e->me);
		return field(line, "mnt_id", &e->me->mnt_id);
	}
	if (!g_str_has_prefix(line, "ino:"))
		return err_set(EOPNOTSUPP,
			       "fanotify marks of whole file systems cannot be saved; mark "
			       "mounts or directories instead");
	e->type = MARK_TYPE__INODE;
	e->ie = g_new0(FanotifyInodeMarkEntry, 1);
	fanotify_inode_mark_entry__init(e->ie);
	r = fdinfo_field(line, "ino", 16, &e->ie->i_ino);
	if (r == 0)
		r = field(line, "sdev", &e->s_dev);
	return r < 0 ? r : find_handle(line, &e->ie->f_handle);
}

/* The group, and all its marks with the names of what they are on. */
static int read_group(struct dump *d, const struct fd_view *v, FanotifyFileEntry *e)
{
	const char *line;
	size_t at = 0;
	int r = 0;

	e->mark = g_new0(FanotifyMarkEntry *, v->info.n);
	while (r == 0 && (line = fdinfo_next(&v->info, "fanotify", &at))) {
		FanotifyMarkEntry *m;
		const struct mount_entry *mount;

		if (g_str_has_prefix(line, "flags:")) {
			r = field(line, "flags", &e->faflags);
			if (r == 0)
				r = field(line, "event-flags", &e->evflags);
			continue;
		}
		m = e->mark[e->n_mark++] = g_new0(FanotifyMarkEntry, 1);
		fanotify_mark_entry__init(m);
		m->id = e->id;
		r = read_mark(line, m);
		if (r < 0)
			break;
		mount = m->me ? mountinfo_by_id(&d->mounts, (int)m->me->mnt_id) : NULL;
		if (m->me && !mount)
			r = err_set(EOPNOTSUPP, "fanotify mark of a mount outside of the tree; "
						"remove the mark");
		else if (m->me)
			m->me->path = g_strdup(mount->target);
		else if (!find_watched_name(d, m->s_dev, m->ie->i_ino, m->ie->f_handle))
			r = err_set(EOPNOTSUPP,
				    "fanotify mark of inode %" PRIu64
				    ", which has no name in the tree; remove the mark",
				    m->ie->i_ino);
	}
	return r;
}

static int check_events(const struct fd_view *v, uint32_t faflags)
{
	autoclose int fd = -1;
	int bytes = 0, r = fd_view_get(v, &fd);

	if (r < 0)
		return r;
	if (ioctl(fd, FIONREAD, &bytes) < 0 || bytes == 0)
		return 0;
	if (faflags & CLASSES)
		return err_set(EAGAIN,
			       "somebody waits for an answer of this fanotify group; try again");
	log_warn("task %d (%s): fd %d: %d bytes of fanotify events that were not read yet are not "
		 "saved",
		 v->task->nspid, v->task->stat.comm, v->tfd, bytes);
	return 0;
}

static int check(struct dump *d, const struct fd_view *v)
{
	FanotifyFileEntry *e = g_new0(FanotifyFileEntry, 1);
	int r = fown_check(v);

	fanotify_file_entry__init(e);
	if (r == 0)
		r = read_group(d, v, e);
	e->fown = fown_none();
	fanotify_file_entry__free_unpacked(e, NULL);
	return r;
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	FanotifyFileEntry *e = f->ffy = g_new0(FanotifyFileEntry, 1);
	int r;

	fanotify_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = read_group(d, v, e);
	return r < 0 ? r : check_events(v, e->faflags);
}

static int load(struct restore *r, struct file *f)
{
	const FanotifyFileEntry *e = f->entry->ffy;

	for (size_t i = 0; e && i < e->n_mark; i++)
		if (!(e->mark[i]->type == MARK_TYPE__MOUNT
			      ? e->mark[i]->me && e->mark[i]->me->path
			      : e->mark[i]->ie && e->mark[i]->ie->f_handle->path))
			return err_set(EOPNOTSUPP, "fanotify %u: mark %zu does not name its file",
				       f->id, i);
	return e ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const FanotifyFileEntry *e = f->entry->ffy;

	f->fd = fanotify_init((e->faflags & ~(unsigned)FAN_NONBLOCK) | FAN_CLOEXEC |
				      (e->flags & O_NONBLOCK ? FAN_NONBLOCK : 0),
			      e->evflags);
	if (f->fd < 0)
		return err_errno("fanotify_init of flags %#x", e->faflags);
	return fown_restore(r, f, e->fown, e->flags);
}

static int set_mark(int fd, const FanotifyMarkEntry *m, const char *path)
{
	unsigned flags = FAN_MARK_ADD | (m->me ? FAN_MARK_MOUNT : FAN_MARK_INODE);
	unsigned ignored = m->mflags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;

	if (m->mask && fanotify_mark(fd, flags | (m->mflags & FAN_MARK_EVICTABLE), m->mask,
				     AT_FDCWD, path) < 0)
		return err_errno("mask %#x", m->mask);
	if (m->ignored_mask &&
	    fanotify_mark(fd,
			  flags | ignored | (m->mflags & MARK_FLAGS & ~(unsigned)FAN_MARK_IGNORE),
			  m->ignored_mask, AT_FDCWD, path) < 0)
		return err_errno("ignored mask %#x", m->ignored_mask);
	return 0;
}

static int finish(struct restore *r, struct file *f)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	const FanotifyFileEntry *e = f->entry->ffy;

	for (size_t i = 0; i < e->n_mark; i++) {
		const FanotifyMarkEntry *m = e->mark[i];
		const FhEntry *h = m->me ? NULL : m->ie->f_handle;
		const char *name = h ? h->path : m->me->path;
		int root = spaces_root_of(r, h && h->has_mnt_id ? (int)h->mnt_id : -1);
		autoclose int fd = (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
		char path[64];
		int ret;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ret = fd < 0 ? err_errno("open") : set_mark(f->fd, m, path);
		if (ret < 0)
			return err_wrap(ret, "fanotify mark of %s", name);
	}
	return 0;
}

const struct fd_kind fd_fanotify = {
	.name = "fanotify",
	.type = FD_TYPES__FANOTIFY,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
	.finish = finish,
};
