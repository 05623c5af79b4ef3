/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of pseudoterminals, and whose controlling terminals they are. */
#include "state/task/levels.h"
#include "state/tty/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

int tty_info_of(struct restore *r, struct file *f, TtyInfoEntry **ret)
{
	const TtyFileEntry *e = f->entry->tty;
	struct ttys *t;
	int ret_ = ttys_get(r, &t);

	if (ret_ < 0)
		return ret_;
	*ret = g_hash_table_lookup(t->by_id, GUINT_TO_POINTER(e->tty_info_id));
	if (!*ret)
		return err_set(EBADMSG, "file %u is terminal %u, which is not in tty-info.img",
			       f->id, e->tty_info_id);
	return 0;
}

int pty_load(struct restore *r, struct file *f)
{
	TtyInfoEntry *info;
	struct pty *p;
	int ret;

	if (!f->entry->tty)
		return 1;
	ret = tty_info_of(r, f, &info);
	if (ret < 0)
		return ret;
	if (info->type != TTY_TYPE__PTY)
		return 1;
	p = pty_of_index(r->ttys, info->pty->index);
	ret = info->termios ? pty_check(r, p) : 0;
	if (ret < 0)
		return ret;
	if (f->entry->tty->has_regf_id) { /* a name, not a file to be opened */
		if (!r->named)
			r->named = g_hash_table_new(NULL, NULL);
		g_hash_table_add(r->named, GUINT_TO_POINTER(f->entry->tty->regf_id));
	}
	return 0;
}

int pty_open(struct restore *r, struct file *f)
{
	const TtyFileEntry *e = f->entry->tty;
	TtyInfoEntry *info;
	struct pty *p;
	int ret = tty_info_of(r, f, &info);

	if (ret < 0)
		return ret;
	p = pty_of_index(r->ttys, info->pty->index);
	ret = pty_make(r, p);
	if (ret < 0)
		return ret;
	if (info == p->master) {
		f->fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
		if (f->fd < 0)
			return err_errno("master of /dev/pts/%u", p->index);
	} else if (info != p->hung) {
		ret = pty_open_slave(p, e->flags, &f->fd);
		if (ret < 0)
			return ret;
	} else if (f->fd < 0) {
		return err_set(EBADMSG, "file %u is a terminal without a master", f->id);
	}
	if (fcntl(f->fd, F_SETFL, (int)(e->flags & (O_NONBLOCK | O_APPEND))) < 0)
		return err_errno("flags of /dev/pts/%u", p->index);
	return fown_restore(r, f, e->fown, e->flags);
}

/* What would be in the way of opening the slave, or be noticed by the master. */
int pty_finish(struct restore *r, struct file *f)
{
	TtyInfoEntry *info;
	int on = 1, ret = tty_info_of(r, f, &info);
	const struct pty *p;

	if (ret < 0)
		return ret;
	p = pty_of_index(r->ttys, info->pty->index);
	if (info != p->master)
		return 0;
	if (info->packet_mode && ioctl(f->fd, TIOCPKT, &on) < 0)
		return err_errno("packet mode of /dev/pts/%u", p->index);
	if (info->locked && ioctl(f->fd, TIOCSPTLCK, &on) < 0)
		return err_errno("lock /dev/pts/%u", p->index);
	return 0;
}

/* A slave of ours in task T, for one call. */
static int with_slave(struct restore *r, struct rtask *t, struct pty *p, unsigned long request,
		      const int32_t *arg)
{
	CLEANUP(batch_end) struct batch b = {0};
	int tfd, ret;

	rtask_batch(t, &b);
	batch_recv_fds(&b, &p->peer, 1, &tfd);
	ret = batch_run(&b);
	if (ret < 0)
		return ret;
	batch_add(&b, SYS_ioctl, IMM(tfd), IMM(request),
		  arg ? batch_in(&b, arg, sizeof(*arg)) : IMM(0));
	batch_add(&b, SYS_close, IMM(tfd));
	ret = batch_run(&b);
	return ret < 0 ? err_wrap(ret, "/dev/pts/%u", p->index) : 0;
}

int tty_session_restore(struct restore *r, struct rtask *t)
{
	struct ttys *all;
	struct pty *p;
	int ret = ttys_get(r, &all);

	if (ret < 0)
		return ret;
	p = pty_of_session(all, t->nspid);
	if (!p || t->zombie || t->helper)
		return 0;
	ret = pty_make(r, p);
	if (ret < 0)
		return ret;
	if (p->peer < 0)
		return err_set(EBADMSG,
			       "/dev/pts/%u is a controlling terminal, but nobody has "
			       "opened it",
			       p->index);
	return with_slave(r, t, p, TIOCSCTTY, NULL);
}

static bool is_group(struct restore *r, pid_t pgrp)
{
	for (unsigned i = 0; i < r->nimages; i++)
		if (restore_task(r, i)->nspgid == pgrp && !restore_task(r, i)->zombie)
			return true;
	return false;
}

int tty_group_restore(struct restore *r, struct rtask *t)
{
	struct ttys *all;
	struct pty *p;
	int ret = ttys_get(r, &all);
	int32_t group;

	p = ret < 0 ? NULL : pty_of_session(all, t->nssid);
	if (!p || t->helper || p->peer < 0)
		return ret;
	if (json_is_true(json_object_get(t->extra, "notty")))
		return with_slave(r, t, p, TIOCNOTTY, NULL);
	if (t->nspid != t->nssid || !p->slave->pgrp || !is_group(r, (pid_t)p->slave->pgrp))
		return 0;
	group = levels_any_group(t, (pid_t)p->slave->pgrp);
	return group ? with_slave(r, t, p, TIOCSPGRP, &group) : 0;
}
