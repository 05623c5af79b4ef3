/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount namespace of a tree without a container around it.  Two ways to have it again:
 *
 *  - it is a copy of ours: the root directory is mounted from the same place.  The new one is a
 *    copy of ours, too, and only what we do not have is mounted there.
 *  - it has a root directory of its own: all mounts are made anew, aside, put together into one
 *    tree, which then becomes the root.
 *
 * A mount is the root, which whoever restores names; external, likewise; of a file system that
 * comes into being by being mounted (mnt_kinds[]); or another view of one of those.
 */
#pragma once

#include "state/dump.h"

#include <jansson.h>

#include "image/mnt.pb-c.h"

struct mnt_kind {
	const char *fstype;
	unsigned code;	/* Fstype */
	unsigned bound; /* CLONE_NEW* of the namespace whose objects it shows; 0: the host's */
	bool own;	/* each mount is a file system of its own; not SHOWN of a namespace */
	bool content;	/* is saved: tmpfs-dev-N */
	bool host;	/* not to be mounted in a user namespace: no FS_USERNS_MOUNT */
};
/* NULL: it cannot be made by its name alone. */
const struct mnt_kind *mnt_kind_find(const char *fstype);

enum mnt_way { MNT_ROOT, MNT_OURS, MNT_EXTERNAL, MNT_OUTER, MNT_NEW, MNT_VIEW, MNT_SKIPPED };

struct mnt_seen {
	enum mnt_way way;
	const struct mnt_kind *kind; /* MNT_NEW; MNT_VIEW of such */
	const char *key;	     /* MNT_EXTERNAL, borrowed; NULL: it is at HOST_PATH */
	char *host_path;
	const char *device; /* MNT_NEW of a device by this name; borrowed, NULL */
	uint32_t pids;	    /* MNT_NEW of proc: the pid namespace that it shows; 0: the root's */
	json_t *late;	    /* what it shows is to come (mnt_late.c); owned, NULL */
};
void mnt_seen_clear(struct mnt_seen *s);

/*
 * One mount namespace of the tree: its root's, or a space (state/ns/spaces.h), whose mounts are
 * views of what the namespaces before it show, or made anew.
 */
struct mnt_scope {
	struct dump *d;
	const struct mountinfo *its, *ours;
	const struct space *space; /* NULL: the root's */
	GPtrArray *outer;	   /* const struct mountinfo: of the namespaces before it */
	uint32_t id;		   /* in the images */
};

/* How mount I would be had again; what cannot be is -EOPNOTSUPP. */
int mnt_look(const struct mnt_scope *s, size_t i, struct mnt_seen *ret) MUST_CHECK;

/* The tree's root directory is not mounted from where ours is. */
bool mnt_has_own_root(const struct dump *d, const struct mountinfo *ours);

/* All mounts of the tree's namespaces: refuses, records. */
int mnt_check(struct dump *d) MUST_CHECK; /* the root's, of a standalone tree */
int mnt_dump(struct dump *d) MUST_CHECK;
int mnt_check_spaces(struct dump *d) MUST_CHECK; /* the others */
int mnt_dump_spaces(struct dump *d) MUST_CHECK;

/* Calls FN for the root's namespace (if ROOT) or for each space. */
int mnt_each_scope(struct dump *d, bool root, int (*fn)(const struct mnt_scope *s)) MUST_CHECK;

/* The space whose mounts they are; NULL: the root's, or nobody's of the tree. */
const struct space *mnt_space_of(const struct dump *d, const struct mountinfo *its);
/* mnt_inside_look.c: of a mount that has been looked at. */
int mnt_check_inside(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_seen *seen) MUST_CHECK;

/* mnt_binfmt.c: likewise */
int mnt_check_binfmt(const struct mnt_scope *s, size_t i, const struct mnt_seen *seen) MUST_CHECK;

/* mnt_socks.c: of a mount that has been looked at; what cannot be had again is -EOPNOTSUPP. */
int mnt_sock_look(const struct mnt_scope *s, size_t i, struct mnt_seen *seen) MUST_CHECK;

/* mnt_nsfs.c: likewise; the files of namespaces of the tree. */
bool mnt_is_namespace(const struct dump *d, const struct mount_entry *m);
int mnt_nsfs_look(const struct mnt_scope *s, const struct mount_entry *m, struct mnt_seen *seen)
	MUST_CHECK;
/* Those that live by such a mount become spaces. */
int mnt_nsfs_spaces(struct dump *d) MUST_CHECK;

/* mnt_overlay.c: likewise, of the directories that an overlay is made of. */
int mnt_overlay_look(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_seen *seen) MUST_CHECK;

int mnt_write_record(const struct mnt_scope *s, const struct mount_entry *m,
		     const struct mnt_seen *seen) MUST_CHECK;
bool mnt_is_first_of_fs(const struct mnt_scope *s, size_t i);

/* Mounts as we see them. */
int mnt_read_ours(struct mountinfo *ret) MUST_CHECK;
/* mnt_ours.c: that of OURS that M is a copy of, with those that it is mounted on; NULL. */
const struct mount_entry *mnt_find_ours(const struct mountinfo *its, const struct mountinfo *ours,
					const struct mount_entry *m);
void mnt_note_ours(const struct mnt_scope *s); /* of the root's: what it has done to its copy */

/* mnt_foreign.c: a container's, for other readers (options.foreign). */
int mnt_dump_foreign(struct dump *d) MUST_CHECK;
bool mnt_foreign_has_content(const struct mnt_scope *s, size_t i);
bool mnt_foreign_is_empty(int dir);

/* mnt_gone.c: mounts of what has been deleted. */
bool mnt_is_gone(const struct mount_entry *m);
char *mnt_root_of(const struct mount_entry *m); /* without the mark; the caller's */
int mnt_gone_dump(const struct mnt_scope *s, size_t i) MUST_CHECK;

/* A detached copy of mount I with nothing mounted on it, also where it is covered. */
int mnt_open_bare(const struct mnt_scope *s, size_t i, int *ret_fd) MUST_CHECK;

/* mnt_make.c */
struct mnt_options {
	const char *root;		       /* directory that becomes the root; NULL: ours */
	const struct cryo_external *externals; /* "mnt[NAME]" and the path that takes its place */
	unsigned nexternals;
	int images;
	/* Of a space: the namespaces before it, whose mounts it shows; NULL: the root's. */
	GPtrArray *outer; /* struct mnt_outer */
	json_t *extra;	  /* borrowed; may be NULL */
	/* Of the pid namespace that a mount shows; -1: of whoever mounts it. */
	int (*pids)(void *arg, uint32_t mnt_id);
	void *arg;
	int space; /* a namespace: that of the root; the new one is a copy of it */
	/*
	 * It belongs to users below the root's: their namespace, if INSIDE; a user and a group that
	 * they have, as the box numbers them; how they number ID (OVERFLOW_ID: not at all).
	 */
	bool inside;
	int users;
	uid_t uid;
	gid_t gid;
	uint32_t (*number)(void *arg, bool group, uint32_t id);
};

struct mnt_outer {
	int ns;		    /* borrowed */
	bool inside;	    /* it belongs to users below the root's: what lies on it is locked */
	GPtrArray *records; /* MntEntry */
};

/* Records of namespace ID; where those have paths outside instead of what is shown, the latter. */
int mnt_records(int images, uint64_t id, json_t *extra, GPtrArray **ret) MUST_CHECK;

struct mnt_plan;

/* Reads records, opens archives, takes hold of what is outside. */
int mnt_plan_load(const struct mnt_options *o, uint64_t id, struct mnt_plan **ret) MUST_CHECK;
bool mnt_plan_has_root(const struct mnt_plan *p);

/* In a process that is alone in a copy of our mount namespace: makes all mounts, enters the root.
 */
int mnt_plan_make(struct mnt_plan *p) MUST_CHECK;
/*
 * After that, of one that belongs to users inside: goes there, into a copy whose mounts are locked,
 * and makes those again that they had made themselves and can take away.  mnt_inside.c
 */
int mnt_plan_enter(struct mnt_plan *p) MUST_CHECK;
void mnt_plan_free(struct mnt_plan **p);

/* mnt_dump.c: OPTIONS with each uid= and gid= as NUMBER gives it; freed by the caller. */
char *mnt_options_of(const char *options, uint32_t (*number)(void *arg, bool group, uint32_t id),
		     void *arg);
