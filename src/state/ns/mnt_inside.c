/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount namespaces that belong to user namespaces below the root's (user_namespaces(7)).
 *
 * What their users got when they made one is locked together (fs/namespace.c: copy_mnt_ns(),
 * lock_mnt_tree()), so that they cannot look below it; what they mount themselves is not.  Nobody
 * tells which is which.  So all is put together with the rights of the root's users, and copied as
 * the owner.  File systems of theirs, and what hides nothing but such, are mounted in their places
 * after that: those they can unmount.  What lies on one of these comes along with it, locked, as
 * after a recursive bind mount of theirs.
 *
 * Their own file systems belong to them (s_user_ns): they can remount them, and files on them have
 * no other owners.
 */
#include "state/ns/mnt_plan.h"

#include "kernel/mount.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* That of proc, sysfs and the like is what they show, whoever mounts it. */
bool mnt_is_inside(const struct mnt_plan *p, const struct mnt *m)
{
	return p->o.inside && m->kind && m->kind->own && !m->shown && !m->e->ext_mount;
}

struct job {
	const struct mnt_plan *p;
	const char *source, *name, *fstype, *options;
	unsigned flags;
};

static int become(const struct mnt_plan *p)
{
	uint32_t uid = p->o.number(p->o.arg, false, p->o.uid);
	uint32_t gid = p->o.number(p->o.arg, true, p->o.gid);

	if (uid == OVERFLOW_ID || gid == OVERFLOW_ID)
		return 0;
	if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
		return err_errno("become a user of the namespace");
	return 0;
}

/* The current directory is that of the copy then, too. */
static int mount_there(void *arg, int *ret_fd)
{
	const struct job *j = arg;
	int r = become(j->p);

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno("new mount namespace");
	if (mount(j->source, j->name, j->fstype, j->flags, j->options) < 0)
		return err_errno("file system %s, options %s", j->fstype, j->options);
	return mount_copy(AT_FDCWD, j->name, false, ret_fd);
}

int mnt_mount_inside(struct mnt_plan *p, const struct mnt *m, const char *source, const char *name,
		     unsigned flags)
{
	struct job j = {
		.p = p, .source = source, .name = name, .fstype = m->kind->fstype, .flags = flags};
	/* their numbers of users in place of the box's */
	g_autofree char *options = mnt_options_of(m->e->options, p->o.number, p->o.arg);
	autoclose int fd = -1;
	int r;

	j.options = options;
	r = ns_run(&p->o.users, 1, mount_there, &j, &fd);
	return r < 0 ? r : mount_attach(fd, AT_FDCWD, name);
}

void mnt_own_files(const struct mnt_plan *p, bool begin)
{
	/* or the change takes the rights away that owners of files are given with */
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	setfsgid(begin ? p->o.gid : getegid());
	setfsuid(begin ? p->o.uid : geteuid());
}

static const struct mnt *first_of_fs(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = g_ptr_array_index(p->all, i);

		if (o->e->root_dev == m->e->root_dev)
			return o;
	}
	return m;
}

static bool is_below(const struct mnt *m, const struct mnt *above)
{
	for (const struct mnt *o = m->parent; o; o = o->parent)
		if (o == above)
			return true;
	return false;
}

/* Also what came from another namespace of users inside. */
static bool is_theirs(const struct mnt_plan *p, const struct mnt *m)
{
	const struct mnt *first = first_of_fs(p, m);

	if (m->e->deleted || first->e->ext_mount || !first->kind || !p->o.inside)
		return false;
	return !first->shown || (first->outer->inside && first->kind->own);
}

/* What it hides, if anything, is theirs, and the path to its place leads there. */
static bool can_be_again(const struct mnt_plan *p, unsigned i)
{
	const struct mnt *m = g_ptr_array_index(p->all, i);

	if (m == p->root || m->e->flags & MS_UNBINDABLE ||
	    !(is_theirs(p, m) || (m->parent && is_theirs(p, m->parent))))
		return false;
	for (unsigned k = i + 1; k < p->all->len; k++) {
		const struct mnt *o = g_ptr_array_index(p->all, k);

		if (!is_below(o, m) && mnt_below(mnt_target(m->e), mnt_target(o->e)))
			return false;
	}
	return true;
}

void mnt_mark_inside(struct mnt_plan *p)
{
	for (unsigned i = p->all->len; p->o.inside && i-- > 0;)
		((struct mnt *)g_ptr_array_index(p->all, i))->late = can_be_again(p, i);
}

static bool bears_what_stays(const struct mnt_plan *p, const struct mnt *m)
{
	for (unsigned i = 0; i < p->all->len; i++) {
		const struct mnt *o = g_ptr_array_index(p->all, i);

		if (o->parent == m && !o->late)
			return true;
	}
	return false;
}

/* The current directory is that of the copy: what lies on it is locked there. */
static int copy_there(void *arg, int *ret_fd)
{
	int r = become(arg);

	if (r < 0)
		return r;
	return unshare(CLONE_NEWNS) < 0 ? err_errno("new mount namespace")
					: mount_copy(AT_FDCWD, ".", true, ret_fd);
}

static int keep(struct mnt_plan *p, struct mnt *m)
{
	if (!bears_what_stays(p, m))
		return mount_copy(m->fd, "", false, &m->again);
	if (fchdir(m->fd) < 0)
		return err_errno("enter it");
	return ns_run(&p->o.users, 1, copy_there, p, &m->again);
}

int mnt_keep_inside(struct mnt_plan *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		struct mnt *m = g_ptr_array_index(p->all, i);

		if (m->late)
			r = keep(p, m);
		if (r < 0)
			r = err_wrap(r, "mount %s", mnt_target(m->e));
	}
	return r;
}

int mnt_plan_enter(struct mnt_plan *p)
{
	int r = 0;

	if (setns(p->o.users, CLONE_NEWUSER) < 0)
		return err_errno("enter a user namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno("new mount namespace");
	for (unsigned i = 0; r == 0 && i < p->all->len; i++) {
		struct mnt *m = g_ptr_array_index(p->all, i);

		if (m->again >= 0)
			r = mount_attach(m->again, AT_FDCWD, mnt_target(m->e));
		if (r < 0)
			r = err_wrap(r, "mount %s", mnt_target(m->e));
	}
	return r;
}
