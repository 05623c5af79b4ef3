/* SPDX-License-Identifier: Apache-2.0 */
/* The IPC namespace: who enters it, and what its objects have in common; each kind has a file. */
#include "state/ns/ipc.h"
#include "state/ns/mqueue.h"
#include "state/ns/spaces.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define TEXT_MAX (16u << 20)

/*
 * Limits belong to user 0 of the namespace's user namespace, and no capability makes up for another
 * user (ipc/ipc_sysctl.c: ipc_permissions()).  Our capabilities stay.  *RET 0: as we are.
 */
static int be_owner(int dir, int self, uid_t *ret)
{
	uint64_t its, ours;
	int r = ns_id(dir, NS_USER, &its);

	*ret = 0;
	if (r == 0)
		r = ns_id(self, NS_USER, &ours);
	if (r < 0 || its == ours)
		return r;
	r = users_root_of(dir, ret);
	if (r < 0)
		return r;
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0 ||
	    syscall(SYS_setresuid, -1, *ret, -1) < 0)
		return err_errno("become user %u", *ret);
	return 0;
}

static int be_root(int r)
{
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 || prctl(PR_SET_SECUREBITS, 0) < 0)
		abort(); /* nothing that we do from here on would be done by whom it should */
	return r;
}

int ipc_in_space(int dir, int ns, int (*fn)(void *arg), void *arg)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	autoclose int ours = -1;
	uid_t owner;
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_open(self.dir, NS_IPC, &ours);
	if (r == 0)
		r = be_owner(dir, self.dir, &owner);
	if (r < 0)
		return r;
	if (setns(ns, CLONE_NEWIPC) < 0)
		return err_errno("enter the IPC namespace");
	r = fn(arg);
	if (setns(ours, CLONE_NEWIPC) < 0)
		return err_errno("leave the IPC namespace");
	return owner ? be_root(r) : r;
}

int ipc_in_namespace(int dir, int (*fn)(void *arg), void *arg)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	autoclose int its = -1;
	uint64_t a, b;
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_id(dir, NS_IPC, &a);
	if (r == 0)
		r = ns_id(self.dir, NS_IPC, &b);
	if (r < 0 || a == b)
		return r < 0 ? r : 1;
	r = ns_open(dir, NS_IPC, &its);
	return r < 0 ? r : ipc_in_space(dir, its, fn, arg);
}

int ipc_is_own(struct dump *d, bool *ret)
{
	CLEANUP(proc_close) struct proc self = PROC_NONE;
	uint64_t ours;
	int r = proc_open(getpid(), &self);

	if (r == 0)
		r = ns_id(self.dir, NS_IPC, &ours);
	*ret = r == 0 && ours != d->ns[NS_IPC];
	return r;
}

int ipc_ids(const char *kind, GArray *ret)
{
	g_autofree char *path = g_strdup_printf("/proc/sysvipc/%s", kind), *text = NULL;
	int r = file_read_at(AT_FDCWD, path, TEXT_MAX, &text, NULL);
	char *line = text ? strchr(text, '\n') : NULL; /* after the heading */

	for (; r == 0 && line && line[1]; line = strchr(line + 1, '\n')) {
		int id;

		if (sscanf(line, "%*d %d", &id) != 1)
			return err_set(EBADMSG, "%s: unexpected text", path);
		g_array_append_val(ret, id);
	}
	return r;
}

int ipc_each(struct dump *d, const char *kind, int (*fn)(struct dump *d, int id))
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int));
	int r = ipc_ids(kind, ids);

	for (unsigned i = 0; r == 0 && i < ids->len; i++) {
		int id = g_array_index(ids, int, i);

		r = fn(d, id);
		if (r < 0)
			r = err_wrap(r, "%s %d", kind, id);
	}
	return r;
}

void ipc_desc_fill(IpcDescEntry *e, int id, const struct ipc_perm *p)
{
	ipc_desc_entry__init(e);
	e->key = (uint32_t)p->__key;
	e->uid = p->uid;
	e->gid = p->gid;
	e->cuid = p->cuid;
	e->cgid = p->cgid;
	e->mode = p->mode;
	e->id = (uint32_t)id;
}

int ipc_desc_check(const IpcDescEntry *e)
{
	return e->id > INT32_MAX ? err_set(EBADMSG, "IPC object %u", e->id) : 0;
}

void ipc_perm_of(const IpcDescEntry *e, struct ipc_perm *ret)
{
	ret->uid = e->uid;
	ret->gid = e->gid;
	ret->mode = (unsigned short)(e->mode & 0777);
}

int ipc_next_id(const char *kind, uint32_t id)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/kernel/%s_next_id", kind);
	char text[16];

	snprintf(text, sizeof(text), "%u", id);
	return file_poke_at(AT_FDCWD, path, text);
}

/* The creator's ids are those of the call; our own thread's only, and back at once. */
int ipc_create(const char *kind, const IpcDescEntry *e, int (*fn)(key_t, int, const void *),
	       const void *arg)
{
	int id, code, r = ipc_next_id(kind, e->id);
	uid_t uid = geteuid(); /* the owner of a user namespace: be_owner() */
	gid_t gid = getegid();
	bool other = e->cuid != uid || e->cgid != gid;

	if (r < 0)
		return r;
	if (other && (syscall(SYS_setresgid, -1, e->cgid, -1) < 0 ||
		      syscall(SYS_setresuid, -1, e->cuid, -1) < 0))
		return err_errno("become user %u", e->cuid);
	id = fn((key_t)e->key, IPC_CREAT | IPC_EXCL | (int)(e->mode & 0777), arg);
	code = errno;
	if (other &&
	    (syscall(SYS_setresuid, -1, uid, -1) < 0 || syscall(SYS_setresgid, -1, gid, -1) < 0))
		return err_errno("become user %u again", uid);
	if (id < 0)
		return err_code(-code, "make %s %u", kind, e->id);
	return (uint32_t)id == e->id
		       ? 0
		       : err_set(EEXIST, "%s %u is in use here: made as %d", kind, e->id, id);
}

static int dump_inside(void *arg)
{
	struct dump *d = arg;
	int r = ipc_vars_dump(d);

	if (r == 0)
		r = ipc_shm_dump(d);
	if (r == 0)
		r = ipc_msg_dump(d);
	if (r == 0)
		r = ipc_sem_dump(d);
	return r < 0 || d->ipc_id != NSID_IPC ? r : mqueue_dump(d);
}

int ipc_dump(struct dump *d)
{
	int r;

	d->ipc_id = NSID_IPC;
	r = ipc_in_namespace(dump_task(d, 0)->proc.dir, dump_inside, d);
	for (unsigned i = 0; r >= 0 && i < d->spaces->len; i++) {
		const struct space *s = g_ptr_array_index(d->spaces, i);
		CLEANUP(proc_close) struct proc p = PROC_NONE;

		if (s->kind != NS_IPC)
			continue;
		d->ipc_id = s->id;
		r = proc_open(s->pid, &p);
		if (r == 0)
			r = ipc_in_space(p.dir, s->fd, dump_inside, d);
	}
	return r < 0 ? err_wrap(r, "IPC objects") : 0;
}

static int restore_inside(void *arg)
{
	struct restore *r = arg;
	int ret = ipc_vars_restore(r);

	if (ret == 0)
		ret = ipc_shm_restore(r);
	if (ret == 0)
		ret = ipc_msg_restore(r);
	if (ret == 0)
		ret = ipc_sem_restore(r);
	if (ret == 0)
		ret = ipc_vars_restore_next(r);
	return ret < 0 || r->ipc_id != r->nsids.v[NS_IPC] ? ret : mqueue_restore(r);
}

static bool has_objects(struct restore *r)
{
	static const enum image_kind kinds[] = {IMG_IPCNS_SHM, IMG_IPCNS_MSG, IMG_IPCNS_SEM};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		CLEANUP(image_close) struct image *img = NULL;

		if (image_open(r->o.images, kinds[i], r->ipc_id, &img) == 0 && image_rest(img) > 0)
			return true;
	}
	err_clear();
	return false;
}

int ipc_restore(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = proc_open(r->stub.pid, &p);

	r->ipc_id = r->nsids.v[NS_IPC];
	if (ret == 0)
		ret = ipc_in_namespace(p.dir, restore_inside, r);
	if (ret == 1)
		return has_objects(r) || mqueue_has(r)
			       ? err_set(EOPNOTSUPP,
					 "the checkpoint has IPC objects, but here is no IPC "
					 "namespace of its own for them")
			       : 0;
	return ret < 0 ? err_wrap(ret, "IPC objects") : 0;
}

int ipc_restore_space(struct restore *r, uint32_t id, int ns)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = proc_open(r->stub.pid, &p);

	r->ipc_id = id;
	if (ret == 0)
		ret = ipc_in_space(p.dir, ns, restore_inside, r);
	return ret < 0 ? err_wrap(ret, "IPC objects") : 0;
}

static int end_inside(void *arg)
{
	return ipc_shm_end(arg);
}

int ipc_restore_end(struct restore *r)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int ret = r->shms ? proc_open(r->stub.pid, &p) : 1;

	r->ipc_id = r->nsids.v[NS_IPC];
	if (ret == 0)
		ret = ipc_in_namespace(p.dir, end_inside, r);
	for (unsigned i = 0; ret >= 0 && p.pid > 0 && i < r->spaces->len; i++) {
		const struct rspace *s = g_ptr_array_index(r->spaces, i);

		r->ipc_id = s->id;
		if (s->kind == NS_IPC)
			ret = ipc_in_space(p.dir, s->fd, end_inside, r);
	}
	return ret < 0 ? err_wrap(ret, "IPC objects") : 0;
}
