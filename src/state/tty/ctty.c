/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/tty, as interactive shells keep it open: a description of the controlling terminal under
 * another name.  It can be opened only by somebody whose session has that terminal, so its leader
 * does, and gives it to us.  The container's own terminal is that of the first task, which the OCI
 * runtime has made a session leader with it.
 */
#include "state/fd/kind.h"
#include "state/tty/pty.h"

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

/* drivers/tty/tty_io.c: tty_devnum() in the kernel's new encoding */
static int terminal_of(const struct fd_view *v, unsigned *ret_dev)
{
	autoclose int fd = -1;
	int r = fd_view_get(v, &fd);

	if (r < 0)
		return r;
	return ioctl(fd, TIOCGDEV, ret_dev) < 0
		       ? err_set(EOPNOTSUPP, "%s is a terminal that was hung up; close it", v->link)
		       : 0;
}

/* The terminal behind it is the container's own, or one from inside. */
static int check(struct dump *d, const struct fd_view *v)
{
	struct pty_seen *s;
	unsigned dev;
	char key[32];
	int r = terminal_of(v, &dev);

	if (r < 0)
		return r;
	if (pty_index_of_tty_nr(dev) >= 0 &&
	    pty_find(d, (unsigned)pty_index_of_tty_nr(dev), &s) == 0)
		return 0;
	snprintf(key, sizeof(key), "tty[%x:", dev);
	for (unsigned i = 0; i < d->o.nexternals; i++)
		if (g_str_has_prefix(d->o.externals[i].key, key))
			return 0;
	return err_set(EOPNOTSUPP, "%s is not the container's own terminal; close it", v->link);
}

static int dump(struct dump *d, const struct fd_view *v, FileEntry *e)
{
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;
	TtyPtyEntry pty = TTY_PTY_ENTRY__INIT;
	struct pty_seen *s;
	unsigned dev;
	int r = check(d, v);

	if (r == 0)
		r = terminal_of(v, &dev);

	if (r < 0)
		return r;
	e->tty = g_new0(TtyFileEntry, 1);
	tty_file_entry__init(e->tty);
	e->tty->id = e->id;
	e->tty->tty_info_id = info.id = PTY_INFO_CTTY(e->id);
	e->tty->flags = v->info.flags & ~(unsigned)O_CLOEXEC;
	info.type = TTY_TYPE__CTTY;
	info.sid = (uint32_t)v->task->nssid;
	if (pty_index_of_tty_nr(dev) >= 0 &&
	    pty_find(d, (unsigned)pty_index_of_tty_nr(dev), &s) == 0) {
		pty.index = (uint32_t)pty_index_of_tty_nr(dev);
		info.pty = &pty;
	}
	info.rdev = (uint32_t)v->st.st_rdev;
	r = image_write(&d->w, IMG_TTY_INFO, 0, &info.base);
	return r < 0 ? r : fown_dump(v, &e->tty->fown);
}

static int load(struct restore *r, struct file *f)
{
	TtyInfoEntry *info;
	int ret;

	if (!f->entry->tty)
		return 1;
	ret = tty_info_of(r, f, &info);
	return ret < 0 ? ret : info->type != TTY_TYPE__CTTY;
}

static struct rtask *find_leader(struct restore *r, const struct pty *p)
{
	for (unsigned i = 0; i < r->nimages && p->slave; i++)
		if (restore_task(r, i)->nspid == (pid_t)p->slave->sid &&
		    !restore_task(r, i)->zombie)
			return restore_task(r, i);
	return NULL;
}

/* Who has got its terminal from the OCI runtime: the first task, or a guest. */
static struct rtask *root_of(struct restore *r, pid_t sid)
{
	for (unsigned i = 0; i < r->o.nguests; i++)
		if (r->guests[i].task->nspid == sid)
			return r->guests[i].task;
	return restore_task(r, 0);
}

/* By a task whose controlling terminal it is. */
static int open_by(struct rtask *t, unsigned flags, int *ret_fd)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	CLEANUP(batch_end) struct batch b = {0};
	int op, ret;

	rtask_batch(t, &b);
	op = batch_add(&b, SYS_openat, IMM(AT_FDCWD), batch_str(&b, "/dev/tty"),
		       IMM(flags | O_CLOEXEC));
	ret = batch_run(&b);
	if (ret == 0)
		ret = proc_open(rtask_pid(t), &p);
	if (ret == 0)
		ret = proc_getfd(&p, (int)batch_result(&b, op), ret_fd);
	if (ret < 0)
		return err_wrap(ret, "controlling terminal");
	batch_add(&b, SYS_close, IMM(batch_result(&b, op)));
	return batch_run(&b);
}

static int open_(struct restore *r, struct file *f)
{
	unsigned flags = f->entry->tty->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND);
	struct rtask *leader;
	TtyInfoEntry *info;
	struct pty *p = NULL;
	int ret = tty_info_of(r, f, &info);

	if (ret < 0)
		return ret;
	leader = root_of(r, (pid_t)info->sid);

	if (ret == 0 && info->pty) {
		p = pty_of_index(r->ttys, info->pty->index);
		leader = find_leader(r, p);
		ret = pty_check(r, p);
		if (ret == 0)
			ret = pty_make(r, p);
	}
	if (ret < 0)
		return ret;
	/* a session that had it is gone: the terminal itself, then */
	ret = leader ? open_by(leader, flags, &f->fd) : pty_open_slave(p, flags, &f->fd);
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
