/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of semaphores; who undoes what is ipc_undo.c. */
#include "state/ns/ipc.h"

#include "image/ipc-sem.pb-c.h"

#include <errno.h>
#include <sys/sem.h>

#define SEMS_MAX 65536

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

int ipc_sem_dump(struct dump *d)
{
	return ipc_each(d, "sem", dump_semaphores);
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

int ipc_sem_restore(struct restore *r)
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
