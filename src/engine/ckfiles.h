/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a checkpoint in a container's static directory, named and placed as Podman has them.
 * Directory handles are borrowed.
 */
#pragma once

#include "engine/container.h"

#define CK_IMAGES	 "checkpoint" /* directory with CRIU's images */
#define CK_PRE_IMAGES	 "pre-checkpoint"
#define CK_SHM		 "devshm-checkpoint.tar" /* with images from an archive: /dev/shm */
#define CK_INVENTORY	 "checkpoint/inventory.img"
#define CK_DESCRIPTORS	 "descriptors.json"
#define CK_SESSIONS	 "exec.json"
#define CK_DUMP_LOG	 "dump.log"
#define CK_RESTORE_LOG	 "restore.log"
#define CK_STATS_DUMP	 "stats-dump"
#define CK_STATS_RESTORE "stats-restore"
#define CK_NETWORK	 "network.status"

int ck_open_static(struct engine *e, const struct container *c, int *ret) MUST_CHECK;
char *ck_path(struct engine *e, const struct container *c, const char *name);

/* What 0-2 were, as runc and crun write it. */
/* NULL: it is not known; each is the caller's. */
void ck_read_descriptors(int images, char *ret[3]);
int ck_write_descriptors(int images, char *const descriptors[3]) MUST_CHECK;
int ck_write_network(int dir, const json_t *status) MUST_CHECK;
/* A new reference; NULL if there is no such file. */
int ck_read_network(int dir, json_t **ret) MUST_CHECK;

/* A small file NAME from one directory into another; a missing one is fine. */
int ck_copy(int from, const char *name, int to) MUST_CHECK;

/* Bytes of the images in the directory IMAGES, where they lie flat; 0 for no directory (-1). */
uint64_t ck_images_size(int images);

/* Best effort, for what is only in the way.  For the images nobody waits: base/discard.h. */
void ck_remove(int dir, const char *name);

/* Connections that the checkpoint of C keeps, if there is one, end.  Best effort. */
void ck_drop_connections(struct engine *e, const struct container *c);

/*
 * Waits until conmon has noted the exit of C, whose processes are gone, and takes the note away.
 * Bounded; a conmon that died first is fine.
 */
int ck_wait_exit(struct engine *e, struct container *c) MUST_CHECK;

/* Of the files with pages in a directory of images: on disk, or as they will be. */
uint64_t ck_pages_bytes(int images, bool on_disk);

/* dump.log, restore.log: while it is open, everything down to debug is logged there. */
struct cklog {
	int fd;
	int threshold; /* before */
};
#define CKLOG_NONE ((struct cklog){.fd = -1})
int cklog_open(struct cklog *l, int dir, const char *name) MUST_CHECK;
void cklog_close(struct cklog *l);
