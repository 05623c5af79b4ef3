/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of the tree.  The box has been made from the container's own configuration; what is
 * recorded is what the processes have changed in there since: clocks, host name, mounts, contents
 * of tmpfs.
 */
#pragma once

#include "image/userns.pb-c.h"
#include "state/dump.h"
#include "state/restore.h"

/* Numbers that task_kobj_ids_entry and the names of images use: one namespace of each kind. */
enum { NSID_PID = 1, NSID_NET, NSID_IPC, NSID_UTS, NSID_MNT, NSID_USER, NSID_CGROUP, NSID_TIME };
#define NSID_OTHERS 100 /* added to numbers of namespaces that are not the tree's */

/* time.c: CLOCK_MONOTONIC and CLOCK_BOOTTIME as the tree sees them, taken at the freeze */
int time_dump(struct dump *d) MUST_CHECK;
int time_restore(struct restore *r) MUST_CHECK; /* before the root forks */

/* uts.c */
int uts_dump(struct dump *d) MUST_CHECK;
int uts_restore(struct restore *r) MUST_CHECK;

/* ipc.c, ipc_shm.c: System V IPC, limits; what our own namespace has is left alone */
int ipc_is_own(struct dump *d, bool *ret) MUST_CHECK; /* the tree's namespace is not ours */
int ipc_dump(struct dump *d) MUST_CHECK;
/* ipc_undo.c: what semaphores get back at the end of a process */
int ipc_undo_dump(struct dump *d) MUST_CHECK; /* with agents */
int ipc_undo_restore(struct restore *r, struct rtask *t) MUST_CHECK;
int ipc_restore(struct restore *r) MUST_CHECK; /* before anybody attaches */
int ipc_restore_space(struct restore *r, uint32_t id, int ns) MUST_CHECK; /* of a space */
int ipc_restore_end(struct restore *r) MUST_CHECK; /* everybody has attached: owners, removals */
/* Whole pages of shared memory segment ID. */
int ipc_shm_bytes(struct restore *r, uint32_t ns, uint64_t id, uint64_t *ret) MUST_CHECK;

/* box.c: what the box must have, for trees without a container around them */
struct box_record {
	unsigned namespaces; /* CLONE_NEW* */
	bool mounts;	     /* mountpoints.img holds what is to be made */
	bool other_boot;     /* clocks have started anew since */
};
int box_check(struct dump *d) MUST_CHECK;
int box_dump(struct dump *d) MUST_CHECK;
/* The name by --external KIND[INODE]:NAME; NULL: it is none. */
const char *box_external(const struct dump *d, const char *kind, uint64_t id);
/*
 * The root's control groups; those that are not there are made if MAKE.  ROOTS, NULL-terminated or
 * NULL: "[CONTROLLER:]PATH" to go to instead.
 */
int box_enter_cgroups(json_t *extra, pid_t pid, bool make, char *const *roots) MUST_CHECK;
int box_load(json_t *extra, struct box_record *ret) MUST_CHECK; /* EXTRA may be NULL */

/* user.c: numbers of users as the tree sees them */
struct id_extent {
	uint32_t inner, outer, count;
};
#define OVERFLOW_ID 65534u
int users_read(struct dump *d) MUST_CHECK;
void users_parse_map(const char *text, GArray *ret); /* struct id_extent */
int users_write_image(struct dump *d, uint32_t id, const GArray *uids, const GArray *gids)
	MUST_CHECK;
/* Into the file NAME of /proc/PID. */
int users_write_map(int dir, const char *name, UidGidExtent *const *v, size_t n) MUST_CHECK;
int users_check(struct dump *d) MUST_CHECK;
uint32_t users_uid(const struct dump *d, uint32_t uid);
uint32_t users_gid(const struct dump *d, uint32_t gid);
int users_dump(struct dump *d) MUST_CHECK;
int users_restore(int images, uint32_t id, pid_t pid) MUST_CHECK; /* the maps of a new one */
int users_load(struct restore *r) MUST_CHECK;
uint32_t users_outer_uid(const struct restore *r, uint32_t uid); /* for what we do for the tree */
uint32_t users_outer_gid(const struct restore *r, uint32_t gid);
int users_root_of(int dir, uid_t *ret) MUST_CHECK; /* its user 0, as we see it */

/* mounts.c */
int mounts_check(struct dump *d) MUST_CHECK;
int mqueue_check(struct dump *d) MUST_CHECK; /* mqueue.c */
int mounts_dump(struct dump *d) MUST_CHECK;

/* mnt_ttys.c: when terminals are open, those that are mounted over something */
int mnt_ttys_restore(struct restore *r) MUST_CHECK;
/* mnt_late.c: when files are open, mounts of sockets and namespaces */
int mnt_late_restore(struct restore *r) MUST_CHECK;
/* mnt_ours.c: when they are mapped, too, attributes of mounts that were there before */
int mnt_ours_restore(struct restore *r) MUST_CHECK;

/* tmpfs.c: tar archives */
int tmpfs_dump(struct dump *d) MUST_CHECK;
int tmpfs_restore(struct restore *r) MUST_CHECK;
struct mnt_scope;
/* One that is made again; with device NODES. */
int tmpfs_dump_mount(const struct mnt_scope *s, size_t i, bool nodes) MUST_CHECK;
/* DIR, the top of a tmpfs that is mounted nowhere; NUMBER is its device's. */
int tmpfs_dump_dir(struct dump *d, uint32_t number, int dir, const char *what) MUST_CHECK;
struct stat;
/* tmpfs_tar.c; USERS is the user namespace that numbers are of, -1: ours */
bool tmpfs_is_wanted(const struct stat *st, dev_t dev, bool nodes);
int tmpfs_pack(int users, int dir, int file, const char *what, bool nodes) MUST_CHECK;
int tmpfs_pack_empty(int dir, int file, const char *what) MUST_CHECK;
void tmpfs_load(void); /* the library: while it can be found */
int tmpfs_unpack(int dir, int archive, const char *target, bool nodes) MUST_CHECK;
