/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues (mq_overview(7)): files of a file system that belongs to the IPC namespace.
 * In IMAGE_EXTRA:
 *
 *	{"mqueues": [{"ino": N, "name": "/queue", "deleted": BOOL, "id": ID, "max": N, "size": N,
 *		      "uid": N, "gid": N, "mode": N, "priorities": [...],
 *		      "notify": {"pid": N, "signal": N, "value": N}}, ...]}
 *
 * Messages are in sk-queues.img, for ID, in the order of PRIORITIES.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

#include <sys/stat.h>

/* While looking: FD is a queue of ours to look at.  Refuses what cannot be saved. */
int mqueue_check_fd(struct dump *d, int fd, const char *name) MUST_CHECK;

/* Is queue file ST of the IPC namespace of the tree's root?  1: of another one. */
int mqueue_is_elsewhere(struct dump *d, const struct stat *st) MUST_CHECK;

/* Records the queue that FD is, once.  It has lost its name if DELETED. */
int mqueue_dump_fd(struct dump *d, int fd, const char *name, bool deleted) MUST_CHECK;

/* All that have names, in the IPC namespace that we are in. */
int mqueue_dump(struct dump *d) MUST_CHECK;
bool mqueue_has(struct restore *r);
int mqueue_restore(struct restore *r) MUST_CHECK;

/* The queue that had inode INO: a descriptor, borrowed; its record.  -1: none of these. */
int mqueue_made(struct restore *r, uint64_t ino, json_t **ret);
void mqueue_close(struct restore *r);

/* mqueue_peek.c: messages, and who is told; from the kernel's memory. */
int mqueue_peek(struct dump *d, int fd, uint32_t id, json_t *x) MUST_CHECK;
