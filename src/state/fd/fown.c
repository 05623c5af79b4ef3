/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets SIGIO, and which signal it is: fcntl(2), F_SETOWN_EX, F_SETSIG.  The user ids are those
 * of whoever set it; the kernel asks them for the right to signal (fs/fcntl.c: sigio_perm()).
 */
#include "state/fd/kind.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

FownEntry *fown_none(void)
{
	FownEntry *e = g_new0(FownEntry, 1);

	fown_entry__init(e);
	return e;
}

/* The number that the tree knows it by; 0: nobody of the tree. */
static pid_t inner_number(const struct dump *d, const struct f_owner_ex *o)
{
	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		if (o->type == F_OWNER_PGRP && t->stat.pgid == o->pid)
			return t->nspgid;
		if (o->type != F_OWNER_PGRP && t->pid == o->pid)
			return t->nspid;
	}
	return 0;
}

int fown_dump(const struct fd_view *v, FownEntry **ret)
{
	g_autofree FownEntry *e = fown_none();
	struct f_owner_ex owner = {0};
	uint32_t uids[2] = {0};
	autoclose int fd = -1;
	int r, sig;

	if (v->info.flags & O_PATH) {
		*ret = g_steal_pointer(&e);
		return 0;
	}
	r = fd_view_get(v, &fd);
	if (r < 0)
		return r;
	sig = fcntl(fd, F_GETSIG);
	if (sig < 0 || fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return err_errno("%s: owner", v->link);
	e->signum = (uint32_t)sig;
	if (owner.pid != 0) {
		e->pid = (uint32_t)inner_number(v->task->dump, &owner);
		e->pid_type = (uint32_t)owner.type;
		if (e->pid == 0)
			return err_set(EOPNOTSUPP,
				       "%s sends SIGIO to %s %d, which is not in the tree; "
				       "clear its owner by fcntl(F_SETOWN)",
				       v->link,
				       owner.type == F_OWNER_PGRP  ? "process group"
				       : owner.type == F_OWNER_TID ? "thread"
								   : "process",
				       owner.pid);
		if (fcntl(fd, F_GETOWNER_UIDS, uids) < 0)
			return err_errno("%s: user of its owner", v->link);
		e->uid = users_uid(v->task->dump, uids[0]);
		e->euid = users_uid(v->task->dump, uids[1]);
	}
	*ret = g_steal_pointer(&e);
	return 0;
}

int fown_check(const struct fd_view *v)
{
	g_autofree FownEntry *e = NULL;

	return fown_dump(v, &e);
}

static pid_t outer_number(struct restore *r, const FownEntry *e)
{
	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);

		if (t->nspid == (pid_t)e->pid)
			return rtask_pid(t);
	}
	return 0;
}

/* As that user, so that the kernel notes the right ids; our own thread's only, and back at once. */
static int set_owner(const struct restore *r, int fd, const FownEntry *e, pid_t pid)
{
	struct f_owner_ex owner = {.type = (int)e->pid_type, .pid = pid};
	uid_t euid = geteuid();
	uid_t uid = users_outer_uid(r, e->uid), its = users_outer_uid(r, e->euid);
	bool other = euid == 0 && (uid || its);
	int ret;

	if (other && syscall(SYS_setresuid, uid, its, 0) < 0)
		return err_errno("become user %u", uid);
	ret = fcntl(fd, F_SETOWN_EX, &owner) < 0 ? err_errno("owner of SIGIO") : 0;
	if (other && syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_errno("become root again");
	return ret;
}

int fown_restore(struct restore *r, struct file *f, const FownEntry *e, unsigned flags)
{
	pid_t pid;

	f->async = flags & O_ASYNC;
	if (!e || flags & O_PATH)
		return 0;
	if (e->signum && fcntl(f->fd, F_SETSIG, (int)e->signum) < 0)
		return err_errno("F_SETSIG %u", e->signum);
	if (e->pid == 0)
		return 0;
	pid = outer_number(r, e);
	if (pid == 0 && e->pid_type == F_OWNER_PGRP)
		return err_set(EOPNOTSUPP, "the leader of group %u, which gets SIGIO, has ended",
			       e->pid);
	if (pid == 0)
		return err_set(EBADMSG, "SIGIO goes to process %u, which is not there", e->pid);
	return set_owner(r, f->fd, e, pid);
}

/* By the task: the signal tells the number by which O_ASYNC was set (fs/fcntl.c: fasync_helper()).
 */
int fown_settle(struct restore *r, struct rtask *t, struct file *f, int tfd)
{
	CLEANUP(batch_end) struct batch b = {0};
	int flags;

	if (!f->async)
		return 0;
	f->async = false;
	flags = fcntl(f->fd, F_GETFL);
	if (flags < 0)
		return err_errno("file %u: flags", f->id);
	rtask_batch(t, &b);
	batch_add(&b, SYS_fcntl, IMM(tfd), IMM(F_SETFL), IMM(flags | O_ASYNC));
	return batch_run(&b);
}
