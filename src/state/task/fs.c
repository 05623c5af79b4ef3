/* SPDX-License-Identifier: Apache-2.0 */
/* Current and root directory (as records of files.img) and umask. */
#include "state/task/task.h"

#include "image/fs.pb-c.h"
#include "image/regfile.pb-c.h"
#include "state/fd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int view_of(struct dtask *t, const char *name, char reopen[static 64], char **link,
		   struct path_view *ret)
{
	int r = proc_link(t->proc.dir, name, link);

	if (r < 0)
		return r;
	snprintf(reopen, 64, "/proc/%d/%s", t->proc.pid, name);
	*ret = (struct path_view){
		.link = *link, .reopen = reopen, .flags = O_PATH | O_DIRECTORY, .mnt_id = -1};
	return stat(reopen, &ret->st) < 0 ? err_errno("stat %s", reopen) : 0;
}

static int each(struct dump *d, struct dtask *t, const char *name, uint32_t *ret_id)
{
	g_autofree char *link = NULL;
	struct path_view p;
	char reopen[64];
	int r = view_of(t, name, reopen, &link, &p);

	if (r == 0 && procfile_is_gone(d, &p))
		return ret_id ? procfile_dump_dir(d, &p, ret_id) : 0;
	if (r == 0)
		r = ret_id ? path_dump_new(d, &p, ret_id) : path_check(d, &p);
	return r < 0 ? err_wrap(r, "%s directory", strcmp(name, "cwd") ? "root" : "current") : 0;
}

int fs_check(struct dump *d, struct dtask *t)
{
	int r = each(d, t, "cwd", NULL);

	if (r < 0)
		r = dump_refuse(d, dtask_wrap(t, r));
	if (r == 0)
		r = each(d, t, "root", NULL);
	return r < 0 ? dump_refuse(d, dtask_wrap(t, r)) : 0;
}

int fs_dump(struct dump *d, struct dtask *t)
{
	FsEntry e = FS_ENTRY__INIT;
	int r = each(d, t, "cwd", &e.cwd_id);

	if (r == 0)
		r = each(d, t, "root", &e.root_id);
	if (r < 0)
		return r;
	t->cwd_id = e.cwd_id;
	t->root_id = e.root_id;
	e.has_umask = true;
	e.umask = t->status.umask;
	return image_write(&d->w, IMG_FS, (uint64_t)t->nspid, &e.base);
}

int fs_load(struct restore *r, struct rtask *t)
{
	return image_load_needed(r->o.images, IMG_FS, (uint64_t)t->nspid, &t->fs);
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

int fs_restore(struct restore *r, struct rtask *t)
{
	CLEANUP(batch_end) struct batch b = {0};
	const char *root, *cwd;
	int tfd, ret;

	if (is_shared(r, t))
		return 0;
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
