/* SPDX-License-Identifier: Apache-2.0 */
/* Current and root directory (as records of files.img) and umask, of processes and of threads that
 * have their own (unshare(2) of CLONE_FS). */
#include "state/extra.h"
#include "state/task/task.h"

#include "base/fd.h"
#include "image/fs.pb-c.h"
#include "image/regfile.pb-c.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int view_of(pid_t tid, int dir, const char *name, char reopen[static 64], char **link,
		   struct path_view *ret)
{
	int r = proc_link(dir, name, link);

	if (r < 0)
		return r;
	snprintf(reopen, 64, "/proc/%d/%s", tid, name);
	*ret = (struct path_view){
		.link = *link, .reopen = reopen, .flags = O_PATH | O_DIRECTORY, .mnt_id = -1};
	return stat(reopen, &ret->st) < 0 ? err_errno("stat %s", reopen) : 0;
}

static int each(struct dump *d, pid_t tid, int dir, bool thread, const char *name, uint32_t *ret_id)
{
	g_autofree char *link = NULL;
	struct path_view p;
	char reopen[64];
	int r = view_of(tid, dir, name, reopen, &link, &p);

	if (r == 0 && procfile_is_gone(d, &p)) {
		if (thread)
			return err_set(EOPNOTSUPP,
				       "its current directory, %s, is that of a process that has "
				       "ended; let it go elsewhere",
				       link);
		return ret_id ? procfile_dump_dir(d, &p, ret_id) : 0;
	}
	if (r == 0)
		r = ret_id ? path_dump_new(d, &p, ret_id) : path_check(d, &p);
	return r < 0 ? err_wrap(r, "%s directory", strcmp(name, "cwd") ? "root" : "current") : 0;
}

/* Also of one that ends while we look. */
static int check_thread(struct dump *d, const struct dtask *t, pid_t tid)
{
	static const char *const names[] = {"cwd", "root"};
	autoclose int dir = -1;
	int r = proc_open_task(t->proc.dir, tid, &dir);

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = each(d, tid, dir, true, names[i], NULL);
	if (r != -ESRCH && r != -ENOENT)
		return r < 0 ? err_wrap(r, "thread %d", tid) : 0;
	err_clear();
	return 0;
}

int fs_check(struct dump *d, struct dtask *t)
{
	int r = each(d, t->proc.pid, t->proc.dir, false, "cwd", NULL);

	if (r < 0)
		r = dump_refuse(d, dtask_wrap(t, r));
	if (r == 0)
		r = each(d, t->proc.pid, t->proc.dir, false, "root", NULL);
	for (unsigned i = 0; r == 0 && t->own_tables && i < dtask_nthreads(t); i++)
		if (dtask_seen(t, i)->own_fs)
			r = check_thread(d, t, dtask_tid(t, i));
	return r < 0 ? dump_refuse(d, dtask_wrap(t, r)) : 0;
}

static int dump_one(struct dump *d, pid_t tid, int dir, bool thread, unsigned mask, FsEntry *e)
{
	int r = each(d, tid, dir, thread, "cwd", &e->cwd_id);

	e->has_umask = true;
	e->umask = mask;
	return r < 0 ? r : each(d, tid, dir, thread, "root", &e->root_id);
}

/* Beside those of its process, in fs-TID.img. */
static int dump_thread(struct dump *d, const struct dthread *h)
{
	FsEntry e = FS_ENTRY__INIT;
	autoclose int dir = -1;
	int r = proc_open_task(h->task->proc.dir, h->tid, &dir);

	files_need(d, 2);
	if (r == 0)
		r = dump_one(d, h->tid, dir, true, h->status.umask, &e);
	return r < 0 ? err_wrap(r, "thread %d", h->nstid)
		     : image_write(&d->w, IMG_FS, (uint64_t)h->nstid, &e.base);
}

int fs_dump(struct dump *d, struct dtask *t)
{
	FsEntry e = FS_ENTRY__INIT;
	int r = dump_one(d, t->proc.pid, t->proc.dir, false, t->status.umask, &e);

	if (r < 0)
		return r;
	t->cwd_id = e.cwd_id;
	t->root_id = e.root_id;
	r = image_write(&d->w, IMG_FS, (uint64_t)t->nspid, &e.base);
	for (unsigned i = 0; r == 0 && t->own_tables && i < t->nthreads; i++)
		if (t->threads[i].own_fs)
			r = dump_thread(d, &t->threads[i]);
	return r;
}

/* "own_fs" of its task in IMAGE_EXTRA: {"TID": true}. */
static bool has_own(const struct rthread *h)
{
	return extra_get(h->task->extra, "own_fs", (uint32_t)h->nstid) != NULL;
}

bool fs_of_threads(const struct rtask *t)
{
	return json_object_size(json_object_get(t->extra, "own_fs")) > 0;
}

int fs_load(struct restore *r, struct rtask *t)
{
	int ret = image_load_needed(r->o.images, IMG_FS, (uint64_t)t->nspid, &t->fs);

	for (unsigned i = 1; ret == 0 && fs_of_threads(t) && i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];

		h->cwd = h->root = -1;
		if (has_own(h))
			ret = image_load_needed(r->o.images, IMG_FS, (uint64_t)h->nstid, &h->fs);
	}
	return ret;
}

static int receive(struct restore *r, struct batch *b, uint32_t id, int *tfd, const char **name)
{
	struct file *f;
	int ret = restore_file(r, id, &f);

	if (ret < 0)
		return ret;
	if (!f->entry->reg)
		return err_set(EBADMSG, "file %u is not a directory", id);
	*name = f->entry->reg->name;
	batch_recv_fds(b, &f->fd, 1, tfd);
	return batch_run(b);
}

/* With its parent, who has been through it already. */
static bool is_shared(struct restore *r, const struct rtask *t)
{
	const struct rtask *p = t->parent >= 0 ? restore_task(r, (unsigned)t->parent) : NULL;

	return p && p->core && p->core->ids && p->core->ids->fs_id == t->core->ids->fs_id;
}

static int keep(struct restore *r, uint32_t id, int *ret_fd)
{
	struct file *f;
	int ret = restore_file(r, id, &f);

	if (ret < 0)
		return ret;
	*ret_fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_errno("directory %u", id) : 0;
}

/* What a thread is to have: it is made when files are not open any more. */
static int keep_for_threads(struct restore *r, struct rtask *t)
{
	int ret = 0;

	for (unsigned i = 1; ret == 0 && i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];

		if (!h->fs)
			continue;
		ret = keep(r, h->fs->cwd_id, &h->cwd);
		if (ret == 0)
			ret = keep(r, h->fs->root_id, &h->root);
		if (ret < 0)
			return err_wrap(ret, "thread %d", h->nstid);
	}
	return ret;
}

void fs_threads_end(struct rtask *t)
{
	for (unsigned i = 1; i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];

		if (!h->fs)
			continue;
		cleanup_close(&h->cwd);
		cleanup_close(&h->root);
		h->cwd = h->root = -1;
		fs_entry__free_unpacked(g_steal_pointer(&h->fs), NULL);
	}
}

/* Descriptors come through the process, whose table all its threads share by now. */
static int restore_thread(struct rthread *h)
{
	const int fds[] = {h->root, h->cwd};
	CLEANUP(batch_end) struct batch to = {0}, b = {0};
	int tfds[ARRAY_SIZE(fds)], ret;

	rtask_batch(h->task, &to);
	batch_recv_fds(&to, fds, ARRAY_SIZE(fds), tfds);
	ret = batch_run(&to);
	if (ret < 0)
		return ret;
	rthread_batch(h, &b);
	batch_add(&b, SYS_unshare, IMM(CLONE_FS));
	if (h->fs->root_id != h->task->fs->root_id) {
		batch_add(&b, SYS_fchdir, IMM(tfds[0]));
		batch_add(&b, SYS_chroot, batch_str(&b, "."));
	}
	batch_add(&b, SYS_fchdir, IMM(tfds[1]));
	batch_add(&b, SYS_umask, IMM(h->fs->umask));
	ret = batch_run(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		batch_add(&to, SYS_close, IMM(tfds[i]));
	return ret < 0 ? ret : batch_run(&to);
}

int fs_restore_threads(struct restore *r, struct rtask *t)
{
	int ret = 0;

	for (unsigned i = 1; ret == 0 && fs_of_threads(t) && i < t->nthreads; i++) {
		struct rthread *h = &t->threads[i];

		if (h->fs)
			ret = restore_thread(h);
		if (ret < 0)
			return err_wrap(ret, "thread %d: its directories", h->nstid);
	}
	fs_threads_end(t);
	return ret;
}

int fs_restore(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	const char *root, *cwd;
	int tfd, ret;

	ret = fs_of_threads(t) ? keep_for_threads(r, t) : 0;
	if (ret < 0 || is_shared(r, t))
		return ret;
	rtask_batch(t, &b);
	ret = receive(r, &b, t->fs->root_id, &tfd, &root);
	if (ret < 0)
		return ret;
	if (strcmp(root, "/") != 0) {
		batch_add(&b, SYS_fchdir, IMM(tfd));
		batch_add(&b, SYS_chroot, batch_str(&b, "."));
	}
	batch_add(&b, SYS_close, IMM(tfd));
	ret = receive(r, &b, t->fs->cwd_id, &tfd, &cwd);
	if (ret < 0)
		return ret;
	ret = procfile_chdir(r, t, t->fs->cwd_id, cwd);
	if (ret == 1)
		batch_add(&b, SYS_fchdir, IMM(tfd));
	batch_add(&b, SYS_close, IMM(tfd));
	if (ret < 0)
		return ret;
	if (t->fs->has_umask)
		batch_add(&b, SYS_umask, IMM(t->fs->umask));
	return batch_run(&b);
}
