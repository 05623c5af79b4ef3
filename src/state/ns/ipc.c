/* SPDX-License-Identifier: Apache-2.0 */
/* Message queues, semaphores, limits of the namespace; shared memory is ipc_shm.c. */
#include "state/ns/ipc.h"
#include "state/ns/mqueue.h"
#include "state/ns/spaces.h"

#include "base/file.h"
#include "image/ipc-msg.pb-c.h"
#include "image/ipc-sem.pb-c.h"
#include "image/ipc-var.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#ifndef MSG_COPY
#define MSG_COPY 040000 /* Linux 3.8, CONFIG_CHECKPOINT_RESTORE */
#endif
#define MSG_BYTES_MAX (64u << 20)
#define SEMS_MAX      65536
#define TEXT_MAX      (16u << 20)

/* Numbers, not structures of the images: the order is that of the fields below. */
enum {
	SHMMAX,
	SHMALL,
	SHMMNI,
	RMID_FORCED,
	MSGMAX,
	MSGMNB,
	MSGMNI,
	QUEUES,
	MQ_MSG,
	MQ_SIZE,
	MQ_MSG_DEFAULT,
	MQ_SIZE_DEFAULT,
	VARS
};
static const char *const vars[VARS] = {
	[SHMMAX] = "kernel/shmmax",
	[SHMALL] = "kernel/shmall",
	[SHMMNI] = "kernel/shmmni",
	[RMID_FORCED] = "kernel/shm_rmid_forced",
	[MSGMAX] = "kernel/msgmax",
	[MSGMNB] = "kernel/msgmnb",
	[MSGMNI] = "kernel/msgmni",
	[QUEUES] = "fs/mqueue/queues_max",
	[MQ_MSG] = "fs/mqueue/msg_max",
	[MQ_SIZE] = "fs/mqueue/msgsize_max",
	[MQ_MSG_DEFAULT] = "fs/mqueue/msg_default",
	[MQ_SIZE_DEFAULT] = "fs/mqueue/msgsize_default",
};

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
	bool other = e->cuid || e->cgid;

	if (r < 0)
		return r;
	if (other && (syscall(SYS_setresgid, -1, e->cgid, -1) < 0 ||
		      syscall(SYS_setresuid, -1, e->cuid, -1) < 0))
		return err_errno("become user %u", e->cuid);
	id = fn((key_t)e->key, IPC_CREAT | IPC_EXCL | (int)(e->mode & 0777), arg);
	code = errno;
	if (other &&
	    (syscall(SYS_setresuid, -1, 0, -1) < 0 || syscall(SYS_setresgid, -1, 0, -1) < 0))
		return err_errno("become root again");
	if (id < 0)
		return err_code(-code, "make %s %u", kind, e->id);
	return (uint32_t)id == e->id
		       ? 0
		       : err_set(EEXIST, "%s %u is in use here: made as %d", kind, e->id, id);
}

static int dump_messages(struct dump *d, int id, const struct msqid_ds *q)
{
	struct message {
		long type;
		uint8_t data[];
	} * m;
	g_autofree void *buf = NULL;
	size_t max = q->__msg_cbytes + 8;

	if (max > MSG_BYTES_MAX)
		return err_set(EFBIG, "%zu bytes are queued", max);
	buf = m = g_malloc0(sizeof(*m) + max + 8);
	for (unsigned i = 0; i < q->msg_qnum; i++) {
		IpcMsg e = IPC_MSG__INIT;
		ssize_t n = msgrcv(id, m, max, i, IPC_NOWAIT | MSG_COPY | MSG_NOERROR);
		int r;

		if (n < 0)
			return err_errno("message %u", i);
		memset(m->data + n, 0, 8);
		e.mtype = (uint64_t)m->type;
		e.msize = (uint32_t)n;
		r = image_write(&d->w, IMG_IPCNS_MSG, d->ipc_id, &e.base);
		if (r == 0)
			r = image_write_raw(&d->w, IMG_IPCNS_MSG, d->ipc_id, m->data,
					    ROUND_UP((size_t)n, 8));
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_queue(struct dump *d, int id)
{
	IpcMsgEntry e = IPC_MSG_ENTRY__INIT;
	IpcDescEntry desc;
	struct msqid_ds q;
	int r;

	if (msgctl(id, IPC_STAT, &q) < 0)
		return err_errno("look at it");
	ipc_desc_fill(&desc, id, &q.msg_perm);
	e.desc = &desc;
	e.qbytes = (uint32_t)q.msg_qbytes;
	e.qnum = (uint32_t)q.msg_qnum;
	r = image_write(&d->w, IMG_IPCNS_MSG, d->ipc_id, &e.base);
	return r < 0 ? r : dump_messages(d, id, &q);
}

static int dump_semaphores(struct dump *d, int id)
{
	IpcSemEntry e = IPC_SEM_ENTRY__INIT;
	g_autofree unsigned short *v = NULL;
	IpcDescEntry desc;
	struct semid_ds s;
	int r;

	if (semctl(id, 0, IPC_STAT, &s) < 0)
		return err_errno("look at it");
	ipc_desc_fill(&desc, id, &s.sem_perm);
	e.desc = &desc;
	e.nsems = (uint32_t)s.sem_nsems;
	v = g_new0(unsigned short, s.sem_nsems + 4);
	if (semctl(id, 0, GETALL, v) < 0)
		return err_errno("values");
	r = image_write(&d->w, IMG_IPCNS_SEM, d->ipc_id, &e.base);
	return r < 0 ? r
		     : image_write_raw(&d->w, IMG_IPCNS_SEM, d->ipc_id, v,
				       ROUND_UP(s.sem_nsems * sizeof(*v), 8));
}

static int each(struct dump *d, const char *kind, int (*fn)(struct dump *d, int id))
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

static int open_var(unsigned i, int flags)
{
	g_autofree char *path = g_strconcat("/proc/sys/", vars[i], NULL);

	return open(path, flags | O_CLOEXEC);
}

static uint64_t read_var(unsigned i)
{
	autoclose int fd = open_var(i, O_RDONLY);
	char buf[32] = "";

	return fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 ? strtoull(buf, NULL, 10) : 0;
}

static int dump_vars(struct dump *d)
{
	IpcVarEntry e = IPC_VAR_ENTRY__INIT;
	g_autofree char *sem = NULL;
	uint32_t ctls[4];
	int r = file_read_at(AT_FDCWD, "/proc/sys/kernel/sem", 256, &sem, NULL);

	if (r < 0)
		return r;
	if (sscanf(sem, "%u %u %u %u", &ctls[0], &ctls[1], &ctls[2], &ctls[3]) != 4)
		return err_set(EBADMSG, "/proc/sys/kernel/sem: unexpected text");
	e.n_sem_ctls = 4;
	e.sem_ctls = ctls;
	e.shm_ctlmax = read_var(SHMMAX);
	e.shm_ctlall = read_var(SHMALL);
	e.shm_ctlmni = (uint32_t)read_var(SHMMNI);
	e.shm_rmid_forced = (uint32_t)read_var(RMID_FORCED);
	e.msg_ctlmax = (uint32_t)read_var(MSGMAX);
	e.msg_ctlmnb = (uint32_t)read_var(MSGMNB);
	e.msg_ctlmni = (uint32_t)read_var(MSGMNI);
	e.mq_queues_max = (uint32_t)read_var(QUEUES);
	e.mq_msg_max = (uint32_t)read_var(MQ_MSG);
	e.mq_msgsize_max = (uint32_t)read_var(MQ_SIZE);
	e.has_mq_msg_default = e.has_mq_msgsize_default = true;
	e.mq_msg_default = (uint32_t)read_var(MQ_MSG_DEFAULT);
	e.mq_msgsize_default = (uint32_t)read_var(MQ_SIZE_DEFAULT);
	return image_write(&d->w, IMG_IPC_VAR, d->ipc_id, &e.base);
}

static int dump_inside(void *arg)
{
	struct dump *d = arg;
	int r = dump_vars(d);

	if (r == 0)
		r = ipc_shm_dump(d);
	if (r == 0)
		r = each(d, "msg", dump_queue);
	if (r == 0)
		r = each(d, "sem", dump_semaphores);
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

/* Limits that the tree has changed in its namespace; 0: a CRIU that knew nothing of it. */
static int write_var(unsigned i, uint64_t value)
{
	autoclose int fd = -1;
	char buf[32];

	if (value == read_var(i) || (value == 0 && i != RMID_FORCED))
		return 0;
	fd = open_var(i, O_WRONLY);
	snprintf(buf, sizeof(buf), "%" PRIu64, value);
	if (fd < 0 || write(fd, buf, strlen(buf)) < 0)
		return err_errno("set %s to %s", vars[i], buf);
	return 0;
}

static int restore_vars(struct restore *r)
{
	CLEANUP(image_record_free) IpcVarEntry *e = NULL;
	g_autofree char *now = NULL;
	char sem[64];
	int ret = image_load_optional(r->o.images, IMG_IPC_VAR, r->ipc_id, &e);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	const uint64_t v[VARS] = {e->shm_ctlmax,      e->shm_ctlall,	 e->shm_ctlmni,
				  e->shm_rmid_forced, e->msg_ctlmax,	 e->msg_ctlmnb,
				  e->msg_ctlmni,      e->mq_queues_max,	 e->mq_msg_max,
				  e->mq_msgsize_max,  e->mq_msg_default, e->mq_msgsize_default};
	for (unsigned i = 0; ret == 0 && i < VARS; i++)
		ret = write_var(i, v[i]);
	if (ret < 0 || e->n_sem_ctls != 4)
		return ret;
	snprintf(sem, sizeof(sem), "%u\t%u\t%u\t%u\n", e->sem_ctls[0], e->sem_ctls[1],
		 e->sem_ctls[2], e->sem_ctls[3]);
	ret = file_read_at(AT_FDCWD, "/proc/sys/kernel/sem", 256, &now, NULL);
	if (ret < 0 || strcmp(now, sem) == 0)
		return ret;
	return file_poke_at(AT_FDCWD, "/proc/sys/kernel/sem", sem);
}

static int make_queue(key_t key, int flags, const void *arg)
{
	return msgget(key, flags);
}

static int restore_messages(struct image *img, const IpcMsgEntry *e)
{
	CLEANUP(image_record_free) IpcMsg *m = NULL;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < e->qnum; i++) {
		g_autofree long *buf = NULL;

		ret = image_read_as(img, &ipc_msg__descriptor, &m);
		if (ret != 0)
			return ret < 0 ? ret : err_set(EBADMSG, "message %u is missing", i);
		if (m->msize > MSG_BYTES_MAX || m->msize > image_rest(img))
			return err_set(EBADMSG, "message %u has %u bytes", i, m->msize);
		buf = g_malloc(sizeof(long) + ROUND_UP((size_t)m->msize, 8));
		*buf = (long)m->mtype;
		ret = image_read_raw(img, buf + 1, ROUND_UP((size_t)m->msize, 8));
		if (ret == 0 && msgsnd((int)e->desc->id, buf, m->msize, IPC_NOWAIT) < 0)
			ret = err_errno("message %u", i);
	}
	return ret;
}

static int restore_queues(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) IpcMsgEntry *e = NULL;
	int ret = image_open(r->o.images, IMG_IPCNS_MSG, r->ipc_id, &img);

	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		struct msqid_ds q = {0};

		ret = ipc_desc_check(e->desc);
		if (ret == 0)
			ret = ipc_create("msg", e->desc, make_queue, NULL);
		if (ret == 0 && msgctl((int)e->desc->id, IPC_STAT, &q) < 0)
			ret = err_errno("msg %u", e->desc->id);
		ipc_perm_of(e->desc, &q.msg_perm);
		q.msg_qbytes = e->qbytes;
		if (ret == 0 && msgctl((int)e->desc->id, IPC_SET, &q) < 0)
			ret = err_errno("msg %u", e->desc->id);
		if (ret == 0)
			ret = restore_messages(img, e);
		if (ret < 0)
			return err_wrap(ret, "msg %u", e->desc->id);
	}
	return ret < 0 ? ret : 0;
}

static int make_semaphores(key_t key, int flags, const void *arg)
{
	return semget(key, *(const int *)arg, flags);
}

static int restore_one_set(struct image *img, const IpcSemEntry *e)
{
	g_autofree unsigned short *v = NULL;
	struct semid_ds s = {0};
	int n = (int)e->nsems, ret;

	if (e->nsems == 0 || e->nsems > SEMS_MAX)
		return err_set(EBADMSG, "%u semaphores", e->nsems);
	v = g_new0(unsigned short, e->nsems + 4);
	ret = image_read_raw(img, v, ROUND_UP(e->nsems * sizeof(*v), 8));
	if (ret == 0)
		ret = ipc_create("sem", e->desc, make_semaphores, &n);
	if (ret < 0)
		return ret;
	ipc_perm_of(e->desc, &s.sem_perm);
	if (semctl((int)e->desc->id, 0, SETALL, v) < 0 ||
	    semctl((int)e->desc->id, 0, IPC_SET, &s) < 0)
		return err_errno("values");
	return 0;
}

static int restore_semaphores(struct restore *r)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) IpcSemEntry *e = NULL;
	int ret = image_open(r->o.images, IMG_IPCNS_SEM, r->ipc_id, &img);

	while (ret == 0 && (ret = image_read(img, &e)) == 0) {
		ret = ipc_desc_check(e->desc);
		if (ret == 0)
			ret = restore_one_set(img, e);
		if (ret < 0)
			return err_wrap(ret, "sem %u", e->desc->id);
	}
	return ret < 0 ? ret : 0;
}

static int restore_inside(void *arg)
{
	struct restore *r = arg;
	int ret = restore_vars(r);

	if (ret == 0)
		ret = ipc_shm_restore(r);
	if (ret == 0)
		ret = restore_queues(r);
	if (ret == 0)
		ret = restore_semaphores(r);
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
