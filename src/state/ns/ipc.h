/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the IPC namespace: sysvipc(7).  They are the tree's when it has such a namespace of
 * its own; ours is never touched.  IPC calls are made by our own thread, which enters the
 * namespace for as long as that takes; memory is filled by the tree's first task.
 */
#pragma once

#include "state/ns/ns.h"

#include "image/ipc-desc.pb-c.h"

#include <sys/ipc.h>

/* Runs FN in the IPC namespace of process DIR.  1: that is our own, FN was not called. */
int ipc_in_namespace(int dir, int (*fn)(void *arg), void *arg) MUST_CHECK;

/* In namespace NS, with the rights of its owner, as process DIR has them. */
int ipc_in_space(int dir, int ns, int (*fn)(void *arg), void *arg) MUST_CHECK;

/* /proc/sysvipc/KIND of the namespace we are in: the ids, ascending. */
int ipc_ids(const char *kind, GArray *ret) MUST_CHECK;

/* FN for each of them. */
int ipc_each(struct dump *d, const char *kind, int (*fn)(struct dump *d, int id)) MUST_CHECK;

void ipc_desc_fill(IpcDescEntry *e, int id, const struct ipc_perm *p);
int ipc_desc_check(const IpcDescEntry *e) MUST_CHECK;

/* The next object of this KIND ("shm", "msg", "sem") gets this number. */
int ipc_next_id(const char *kind, uint32_t id) MUST_CHECK;

/* Creates by FN(key, flags, arg) as the user whose creation it was; checks the number. */
int ipc_create(const char *kind, const IpcDescEntry *e, int (*fn)(key_t, int, const void *),
	       const void *arg) MUST_CHECK;
void ipc_perm_of(const IpcDescEntry *e, struct ipc_perm *ret);

/* ipc_shm.c */
int ipc_shm_dump(struct dump *d) MUST_CHECK;
int ipc_shm_restore(struct restore *r) MUST_CHECK;
int ipc_shm_end(struct restore *r) MUST_CHECK;

/* ipc_msg.c, ipc_sem.c, ipc_vars.c */
int ipc_msg_dump(struct dump *d) MUST_CHECK;
int ipc_msg_restore(struct restore *r) MUST_CHECK;
int ipc_sem_dump(struct dump *d) MUST_CHECK;
int ipc_sem_restore(struct restore *r) MUST_CHECK;
int ipc_vars_dump(struct dump *d) MUST_CHECK;
int ipc_vars_restore(struct restore *r) MUST_CHECK;
int ipc_vars_restore_next(struct restore *r) MUST_CHECK;
