/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7): watches, each with its number, of inodes that are found again by name
 * (fs/notify/fdinfo.c: inotify_fdinfo()), and events that were not read yet (inotify_queue.c).
 *
 * A watched file that has no name any more is one that somebody in the tree has open; it is in
 * IMAGE_EXTRA: {"inotify": {"FILE": {"WATCH": FILE}}}.
 */
#include "base/file.h"
#include "state/fd/files.h"
#include "state/fd/find.h"
#include "state/fd/inotify_queue.h"
#include "state/fd/kind.h"
#include "state/ns/spaces.h"

#include "base/log.h"
#include "image/fsnotify.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif
/* What inotify_add_watch(2) takes of the mask that the kernel shows. */
#define MASK (IN_ALL_EVENTS | IN_UNMOUNT | IN_ONESHOT | IN_EXCL_UNLINK)

static bool match(const struct dump *d, const struct fd_view *v)
{
	return strcmp(v->link, "anon_inode:inotify") == 0;
}

static int read_watch(const char *line, InotifyWdEntry *e)
{
	uint64_t wd, dev, mask;
	int r = fdinfo_field(line, "wd", 16, &wd);

	if (r == 0)
		r = fdinfo_field(line, "ino", 16, &e->i_ino);
	if (r == 0)
		r = fdinfo_field(line, "sdev", 16, &dev);
	if (r == 0)
		r = fdinfo_field(line, "mask", 16, &mask);
	if (r < 0)
		return r;
	e->wd = (uint32_t)wd;
	e->s_dev = (uint32_t)dev;
	e->mask = (uint32_t)mask & MASK;
	return find_handle(line, &e->f_handle);
}

static bool find_watched(struct dump *d, const InotifyWdEntry *w)
{
	return find_watched_name(d, w->s_dev, w->i_ino, w->f_handle);
}

/* All watches, ascending, as they are shown the other way round. */
static int read_watches(const struct fd_view *v, InotifyFileEntry *e)
{
	const char *line;
	size_t at = 0;
	int r = 0;

	e->wd = g_new0(InotifyWdEntry *, v->info.n);
	while (r == 0 && (line = fdinfo_next(&v->info, "inotify", &at))) {
		InotifyWdEntry *w = e->wd[e->n_wd++] = g_new0(InotifyWdEntry, 1);

		inotify_wd_entry__init(w);
		w->id = e->id;
		r = read_watch(line, w);
	}
	return r;
}

/* Names are looked for now, as that may take long; what is not found may be gone when we dump. */
static int check(struct dump *d, const struct fd_view *v)
{
	InotifyFileEntry e = INOTIFY_FILE_ENTRY__INIT;
	int r = fown_check(v);

	inotify_queue_look(d, v);
	if (r == 0)
		r = read_watches(v, &e);
	for (size_t i = 0; i < e.n_wd; i++) {
		if (r == 0)
			(void)!find_watched(d, e.wd[i]);
		inotify_wd_entry__free_unpacked(e.wd[i], NULL);
	}
	g_free(e.wd);
	return r;
}

static void warn_of_events(const struct fd_view *v)
{
	log_warn("task %d (%s): fd %d: inotify events that were not read yet are not saved, as "
		 "this kernel does not let them be seen",
		 v->task->nspid, v->task->stat.comm, v->tfd);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	InotifyFileEntry *e = f->ify = g_new0(InotifyFileEntry, 1);
	int r;

	inotify_file_entry__init(e);
	e->id = f->id;
	e->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	r = fown_dump(v, &e->fown);
	if (r == 0)
		r = read_watches(v, e);
	if (r == 0)
		r = inotify_queue_dump(d, v, f->id);
	if (r > 0)
		warn_of_events(v);
	return r < 0 ? r : 0;
}

/* A description that somebody has of the watched file, which has no name; 0: nobody. */
static uint32_t open_file_of(struct dump *d, const InotifyWdEntry *w)
{
	const struct fd_seen *all;
	unsigned n;

	all = files_all_seen(d, &n);
	for (unsigned i = 0; i < n; i++) {
		char path[64];
		struct stat st;

		if (all[i].ino != w->i_ino)
			continue;
		snprintf(path, sizeof(path), "fd/%d", all[i].tfd);
		if (fstatat(files_task(d, all[i].task)->proc.dir, path, &st, 0) == 0 &&
		    st.st_nlink == 0)
			return all[i].id;
	}
	return 0;
}

static void keep_file(struct dump *d, const InotifyWdEntry *w, uint32_t file)
{
	json_t *all = json_object_get(d->extra, "inotify"), *one;
	char key[16];

	if (!all)
		json_object_set_new(d->extra, "inotify", all = json_object());
	snprintf(key, sizeof(key), "%u", w->id);
	one = json_object_get(all, key);
	if (!one)
		json_object_set_new(all, key, one = json_object());
	snprintf(key, sizeof(key), "%u", w->wd);
	json_object_set_new(one, key, json_integer(file));
}

static int dump_late(struct dump *d, const struct fd_view *v, FileEntry *f)
{
	for (size_t i = 0; i < f->ify->n_wd; i++) {
		InotifyWdEntry *w = f->ify->wd[i];
		uint32_t file = open_file_of(d, w);

		if (file) {
			keep_file(d, w, file);
			continue;
		}
		if (!find_watched(d, w))
			return err_set(EOPNOTSUPP,
				       "inotify watch %u is of inode %" PRIu64
				       ", which has no name in the tree; remove the watch",
				       w->wd, w->i_ino);
	}
	return 0;
}

static int load(struct restore *r, struct file *f)
{
	const InotifyFileEntry *e = f->entry->ify;

	for (size_t i = 0; e && i < e->n_wd; i++)
		if (e->wd[i]->wd == 0 || e->wd[i]->wd > INT32_MAX)
			return err_set(EBADMSG, "inotify %u: watch %u", f->id, e->wd[i]->wd);
	return e ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	const InotifyFileEntry *e = f->entry->ify;

	f->fd = inotify_init1(IN_CLOEXEC | (e->flags & O_NONBLOCK ? IN_NONBLOCK : 0));
	if (f->fd < 0)
		return err_errno("inotify_init1");
	return fown_restore(r, f, e->fown, e->flags);
}

static int watched_root(const struct restore *r, const FhEntry *e)
{
	return spaces_root_of(r, e->has_mnt_id ? (int)e->mnt_id : -1);
}

static int open_watched(struct restore *r, const InotifyWdEntry *w, int *ret_fd)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};
	char id[16], wd[16];
	struct file *f;
	uint32_t file;
	int ret;

	snprintf(id, sizeof(id), "%u", w->id);
	snprintf(wd, sizeof(wd), "%u", w->wd);
	file = (uint32_t)json_integer_value(
		json_object_get(json_object_get(json_object_get(r->extra, "inotify"), id), wd));
	if (file) {
		ret = restore_file(r, file, &f);
		*ret_fd = ret < 0 ? -1 : fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
		return ret < 0 ? ret : *ret_fd < 0 ? err_errno("duplicate") : 0;
	}
	if (!w->f_handle->path)
		return err_set(EOPNOTSUPP, "the record does not name the file");
	*ret_fd = file_openat2(watched_root(r, w->f_handle), w->f_handle->path, &how);
	return *ret_fd < 0 ? err_errno("open %s", w->f_handle->path) : 0;
}

static int add(struct restore *r, struct file *f, const InotifyWdEntry *w)
{
	autoclose int fd = -1;
	char path[64];
	int ret = open_watched(r, w, &fd);

	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Linux 4.16, CONFIG_CHECKPOINT_RESTORE */
	if (ioctl(f->fd, INOTIFY_IOC_SETNEXTWD, (unsigned long)w->wd) < 0)
		return err_errno("INOTIFY_IOC_SETNEXTWD");
	ret = inotify_add_watch(f->fd, path, w->mask & MASK);
	if (ret < 0)
		return err_errno("inotify_add_watch");
	if (ret != (int)w->wd)
		return err_set(EEXIST, "it became watch %d", ret);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const InotifyWdEntry *const *x = a, *const *y = b;

	return ((*x)->wd > (*y)->wd) - ((*x)->wd < (*y)->wd);
}

/* Ascending, so that the next new one gets a number that was never used. */
static int finish(struct restore *r, struct file *f)
{
	InotifyFileEntry *e = f->entry->ify;
	int next = 0, ret = inotify_queue_restore(r, f, &next);

	qsort(e->wd, e->n_wd, sizeof(e->wd[0]), by_number);
	for (size_t i = 0; ret == 0 && i < e->n_wd; i++) {
		ret = add(r, f, e->wd[i]);
		if (ret < 0)
			ret = err_wrap(ret, "inotify watch %u", e->wd[i]->wd);
	}
	/* Numbers of watches that only events remember are not given again either. */
	if (ret == 0 && next && (!e->n_wd || next > (int)e->wd[e->n_wd - 1]->wd) &&
	    ioctl(f->fd, INOTIFY_IOC_SETNEXTWD, (unsigned long)next) < 0)
		ret = err_errno("INOTIFY_IOC_SETNEXTWD");
	return ret;
}

const struct fd_kind fd_inotify = {
	.name = "inotify",
	.type = FD_TYPES__INOTIFY,
	.match = match,
	.check = check,
	.dump = dump,
	.dump_late = dump_late,
	.load = load,
	.open = open_,
	.finish = finish,
};
