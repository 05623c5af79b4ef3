/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the IPC namespace. */
#include "state/ns/ipc.h"

#include "base/file.h"
#include "image/ipc-var.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The number that the next object shall have, once; -1: none (ipc/util.h: ipc_ids). */
static bool read_next(const char *kind, uint32_t *ret)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/kernel/%s_next_id", kind);
	g_autofree char *text = NULL;
	int value = -1;

	if (file_read_at(AT_FDCWD, path, 32, &text, NULL) == 0)
		value = atoi(text);
	err_clear(); /* it needs CONFIG_CHECKPOINT_RESTORE */
	*ret = value < 0 ? 0 : (uint32_t)value;
	return value >= 0;
}

int ipc_vars_dump(struct dump *d)
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
	e.has_msg_next_id = read_next("msg", &e.msg_next_id);
	e.has_sem_next_id = read_next("sem", &e.sem_next_id);
	e.has_shm_next_id = read_next("shm", &e.shm_next_id);
	return image_write(&d->w, IMG_IPC_VAR, d->ipc_id, &e.base);
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

int ipc_vars_restore(struct restore *r)
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

/* After all objects: each of them used one up. */
int ipc_vars_restore_next(struct restore *r)
{
	CLEANUP(image_record_free) IpcVarEntry *e = NULL;
	int ret = image_load_optional(r->o.images, IMG_IPC_VAR, r->ipc_id, &e);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	const struct {
		const char *kind;
		bool has;
		uint32_t id;
	} next[] = {{"msg", e->has_msg_next_id, e->msg_next_id},
		    {"sem", e->has_sem_next_id, e->sem_next_id},
		    {"shm", e->has_shm_next_id, e->shm_next_id}};
	for (unsigned i = 0; ret == 0 && i < ARRAY_SIZE(next); i++)
		if (next[i].has && next[i].id <= INT32_MAX) /* CRIU writes -1 */
			ret = ipc_next_id(next[i].kind, next[i].id);
	return ret;
}
