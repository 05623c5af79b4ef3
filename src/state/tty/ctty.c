/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/tty, as interactive shells keep it open: a description of the controlling terminal under
 * another name.  It can be opened only by somebody whose session has that terminal, so the first
 * task does, which the OCI runtime has made a session leader with it, and gives it to us.
 */
#include "state/fd/kind.h"
#include "state/tty/tty.h"

#include "base/fd.h"
#include "image/tty.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static bool is_ctty(dev_t rdev)
{
	return major(rdev) == TTYAUX_MAJOR && minor(rdev) == 0;
}

static bool match(const struct dump *d, const struct fd_view *v)
{
	return S_ISCHR(v->st.st_mode) && is_ctty(v->st.st_rdev) && !(v->info.flags & O_PATH);
}

/* The terminal behind it: only the container's own comes back. */
static int check(struct dump *d, const struct fd_view *v)
{
	autoclose int fd = -1;
	unsigned dev;
	char key[32];
	int r = fd_view_get(v, &fd);

	if (r < 0)
		return r;
	/* fs/devpts, drivers/tty/tty_io.c: tty_devnum() in the kernel's new encoding */
	if (ioctl(fd, TIOCGDEV, &dev) < 0)
		return err_set(EOPNOTSUPP, "%s is a terminal that was hung up; close it", v->link);
	snprintf(key, sizeof(key), "tty[%x:", dev);
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (g_str_has_prefix(d->o.externals[i].key, key))
			return 0;
	return err_set(EOPNOTSUPP, "%s is not the container's own terminal; close it", v->link);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;
	int r = check(d, v);

	if (r < 0)
		return r;
	e->tty = g_new0(TtyFileEntry, 1);
	tty_file_entry__init(e->tty);
	e->tty->id = e->id;
	e->tty->tty_info_id = info.id = e->id;
	e->tty->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	info.type = TTY_TYPE__CTTY;
	info.sid = (uint32_t)v->task->nssid;
	info.rdev = (uint32_t)v->st.st_rdev;
	r = image_write(&d->w, IMG_TTY_INFO, 0, &info.base);
	return r < 0 ? r : fown_dump(v, &e->tty->fown);
}

static int load(struct restore *r, struct file *f)
{
	return f->entry->tty ? 0 : 1;
}

static int open_(struct restore *r, struct file *f)
{
	struct rtask *root = restore_task(r, 0);
	unsigned flags = f->entry->tty->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND);
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret;

	rtask_batch(root, &b);
	op = batch_add(&b, SYS_openat, IMM(AT_FDCWD), batch_str(&b, "/dev/tty"),
		       IMM(flags | O_CLOEXEC));
	ret = batch_run(&b);
	if (ret == 0)
		ret = proc_open(rtask_pid(root), &p);
	if (ret == 0)
		ret = proc_getfd(&p, (int)batch_result(&b, op), &f->fd);
	if (ret < 0)
		return err_wrap(ret, "controlling terminal");
	batch_add(&b, SYS_close, IMM(batch_result(&b, op)));
	ret = batch_run(&b);
	return ret < 0 ? ret : fown_restore(r, f, f->entry->tty->fown, f->entry->tty->flags);
}

const struct fd_kind fd_ctty = {
	.name = "controlling terminal",
	.type = FD_TYPES__TTY,
	.match = match,
	.check = check,
	.dump = dump,
	.load = load,
	.open = open_,
};
