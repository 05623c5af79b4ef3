/* SPDX-License-Identifier: Apache-2.0 */
/* All open file descriptions of a tree, each recorded once, whoever has it. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

#include "image/ghost-file.pb-c.h"
#include "image/memfd.pb-c.h"

#include <sys/stat.h>

/* Descriptors of whoever restores that are not the tree's: processes, directories, images. */
#define FILES_SPARE 1000

int files_dump_begin(struct dump *d) MUST_CHECK;
void files_dump_end(struct dump *d);

/* Before the freeze: refuses what no kind knows or what its kind cannot save. */
int files_check(struct dump *d, struct dtask *t) MUST_CHECK;

/* All descriptors of a frozen task that has no agent yet: fdinfo-N.img and files.img. */
int files_dump(struct dump *d, struct dtask *t) MUST_CHECK;

/* A restore has N descriptors more at once than those that are dumped. */
void files_need(struct dump *d, unsigned n);

/* Records that need all others: when all tasks are through. */
int files_dump_late(struct dump *d) MUST_CHECK;

/* Every descriptor of every task that has been dumped, by task, then by number; threads last. */
struct fd_seen {
	unsigned task; /* index for files_task() */
	int tfd;
	uint32_t id; /* of the file */
	uint64_t ino;
};
const struct fd_seen *files_seen(const struct dump *d, unsigned task, int tfd); /* NULL: closed */
const struct fd_seen *files_all_seen(const struct dump *d, unsigned *ret_n);

/*
 * A description that is on its way in a unix socket (SCM_RIGHTS), by FD of ours, which becomes the
 * callee's: its id; recorded if no task has it, and then listed in IMAGE_EXTRA, "flight".  To be
 * called by fd_kind.dump_late() only.
 */
int files_dump_flight(struct dump *d, int fd, uint32_t *ret_id) MUST_CHECK;
bool files_in_flight(const struct restore *r, uint32_t id); /* nobody has it open */

/* table.c: a descriptor of a task, and the question that writes all of them down. */
struct fd_view;
struct table_entry {
	uint32_t fd, id;
	FdTypes type;
	bool cloexec, ask; /* ASK: it is the descriptor's or the description's */
};
struct table_entry table_entry_of(const struct fd_view *v);
void table_add(struct dtask *t, const struct table_entry *e);
extern const struct question table_question;

int table_write(struct dump *d, uint32_t table, const struct table_entry *e, bool cloexec)
	MUST_CHECK;

/* dump.c: single descriptors, also of what threads.c makes of a thread. */
int files_check_one(struct dump *d, struct dtask *t, int tfd) MUST_CHECK;
int files_dump_one(struct dump *d, struct dtask *t, int tfd) MUST_CHECK;
/* restore.c: a table of the images, its numbers checked */
int files_load_table(struct restore *r, uint32_t table, GPtrArray **ret) MUST_CHECK;

/* threads.c: threads with a table of their own.  A thread may have ended meanwhile; */
int files_check_thread(struct dump *d, struct dtask *t, pid_t tid) MUST_CHECK;
int files_dump_threads(struct dump *d) MUST_CHECK;		    /* after all processes; */
int files_dump_table(struct dump *d, struct dthread *h) MUST_CHECK; /* with agents */
struct dtask *files_task(const struct dump *d, unsigned index);	    /* of fd_seen.task */
int files_load_threads(struct restore *r, struct rtask *t) MUST_CHECK;
int files_plan_threads(struct restore *r) MUST_CHECK; /* all tables are there */
int files_restore_thread(struct restore *r, struct rthread *h) MUST_CHECK;
int files_end_threads(struct restore *r, struct rtask *t) MUST_CHECK;
void files_threads_free(struct rtask *t);

/* A fresh id for a file that no descriptor leads to. */
uint32_t files_new_id(struct dump *d);

/* "fd 7: <story>". */
int files_load(struct restore *r) MUST_CHECK; /* files.img, and each task's fdinfo */
int files_open(struct restore *r) MUST_CHECK; /* every one, in our own process */

/* The channel to a number that no task of the tree uses; before any is forked. */
int files_channel(struct restore *r) MUST_CHECK;

/* Into the descriptors of a task, through its agent; all others are closed there. */
int files_install(struct restore *r, struct rtask *t) MUST_CHECK;
int files_end(struct restore *r, struct rtask *t) MUST_CHECK; /* threads need no more of ours */

/* What is left to do in the task once sessions and groups are as they were: terminals. */
int files_settle(struct restore *r, struct rtask *t) MUST_CHECK;
int files_late(struct restore *r, struct rtask *t) MUST_CHECK;
void files_close(struct restore *r); /* ours, once all tasks have theirs */

/* state/fd/path.c: named files that something other than a descriptor leads to. */

enum path_use { PATH_FD, PATH_MAP, PATH_EXE, PATH_DIR };

struct path_view {
	const char *link; /* as /proc shows it, perhaps with " (deleted)" */
	struct stat st;
	const char *reopen; /* "/proc/PID/fd/N", "/proc/PID/map_files/...": leads to the object */
	unsigned flags;	    /* O_* */
	uint64_t pos;
	int mnt_id;  /* -1: not known */
	bool leased; /* opening it would break a lease, and wait for that */
};

/* Can it be opened again by its name, or be saved as a ghost? */
int path_check(struct dump *d, const struct path_view *v) MUST_CHECK;

/* reopen.c: what is opened, mapped executable, or the program: may it be still? */
int reopen_check_opened(const struct path_view *v) MUST_CHECK;
int reopen_check_mapped(const struct path_view *v) MUST_CHECK;
int reopen_check_program(const struct path_view *v) MUST_CHECK;

/* gone.c: files of the layers of an overlay that have been deleted there.  Sure, or perhaps. */
bool gone_may_be(const struct path_view *v);
bool gone_for_sure(struct dump *d, const struct path_view *v);

/* Its record, with ID; writes the ghost if it needs one.  The caller's. */
/* Does its name lead to it again? */
bool path_leads_there(const struct dump *d, const struct path_view *v);
int path_dump(struct dump *d, const struct path_view *v, uint32_t id, RegFileEntry **ret)
	MUST_CHECK;

/* The same as a record of files.img for what has no descriptor; known files are found again. */
int path_dump_new(struct dump *d, const struct path_view *v, uint32_t *ret_id) MUST_CHECK;

/* A descriptor that has a name; REOPEN is what the view refers to. */
struct fd_view;
struct path_view fd_view_named(const struct fd_view *v, char reopen[static 64]);
/* path_dump() with the owner of the descriptor's signals. */
int fd_dump_named(struct dump *d, const struct fd_view *v, const struct path_view *p, uint32_t id,
		  RegFileEntry **ret) MUST_CHECK;

/* Opens a named file inside the box's root; O_CLOEXEC. */
int path_open(struct restore *r, const RegFileEntry *e, unsigned flags, int *ret_fd) MUST_CHECK;

/* Does nothing but its name lead to it, in the first process' mounts, as soon as those are there?
 */
bool path_is_plain(const struct restore *r, const RegFileEntry *e);

/* Whether path_open() has nothing to say against what the file is like now. */
bool path_stays(const struct restore *r, const RegFileEntry *e);

/* state/fd/procfile.c: a directory in /proc of a process that has gone, somebody's current one. */
bool procfile_is_gone(const struct dump *d, const struct path_view *v);
int procfile_dump_dir(struct dump *d, const struct path_view *v, uint32_t *ret_id) MUST_CHECK;
/* 1: the file of this id is not of such a process. */
int procfile_chdir(struct restore *r, struct rtask *t, uint32_t id, const char *name) MUST_CHECK;

/* state/fd/linked.c: files that have other names only, with --link-remap. */
bool linked_can(struct dump *d, const struct path_view *v, int mnt_id);
int linked_dump(struct dump *d, const struct path_view *v, int mnt_id, uint32_t id) MUST_CHECK;
void linked_end(struct dump *d, bool keep); /* KEEP: the tree ends, and its images need them */
/* E, by the name of file REMAP; a descriptor, the caller's. */
int linked_open(struct restore *r, const RegFileEntry *e, uint32_t remap, uint64_t flags)
	MUST_CHECK;
void linked_restore_end(struct restore *r, bool done);

/*
 * state/fd/covered.c: something is mounted over it.  How it is found below that (the caller's), to
 * be noted with the record; NULL: it is not there either.
 */
json_t *covered_look(struct dump *d, const struct path_view *v);
/* The same of a path by which something was made, and of what there is now. */
json_t *covered_look_at(struct dump *d, const char *path, const struct stat *st);
/* A copy of the mount namespace where nothing lies on it. */
int covered_namespace(struct restore *r, const json_t *how, int *ret_fd) MUST_CHECK;
void covered_note(struct dump *d, uint32_t id, json_t *take);
const json_t *covered_find(const struct restore *r, uint32_t id);
int covered_open(struct restore *r, const RegFileEntry *e, const json_t *how, unsigned flags,
		 int *ret_fd) MUST_CHECK;

/*
 * state/fd/adrift.c: in a mount that is attached nowhere.  How there is such a one again (the
 * caller's), and the PATH in it; NULL: it is somewhere, or of a file system that cannot be made.
 */
json_t *adrift_look(struct dump *d, const struct path_view *v, char **ret_path);
int adrift_check(struct dump *d, const struct path_view *v, const json_t *how) MUST_CHECK;
int adrift_refuse(struct dump *d, const struct path_view *v) MUST_CHECK; /* 0: it is none */
int adrift_dump(struct dump *d, const struct path_view *v, uint32_t id, json_t *how_take)
	MUST_CHECK;
/* The top of the mount that FILE is to be in, borrowed; -ENOENT: in none such, not described. */
int adrift_root(struct restore *r, uint32_t file) MUST_CHECK;
bool adrift_has(const struct restore *r, int root); /* ROOT is one of those */
/* The mount itself, to the first that had it.  1: E is something else. */
int adrift_give(struct restore *r, const RegFileEntry *e, int *ret_fd) MUST_CHECK;
void adrift_end(struct restore *r);

/* state/fd/sysctl.c: below /proc/sys, of the task's namespaces; likewise. */
json_t *sysctl_look(struct dump *d, const struct path_view *v, int root);
void sysctl_note(struct dump *d, uint32_t id, json_t *take);
const json_t *sysctl_find(const struct restore *r, uint32_t id);
int sysctl_open(struct restore *r, const RegFileEntry *e, const json_t *how, unsigned flags,
		int *ret_fd) MUST_CHECK;

/* state/fd/ghost.c: files without a name. */

/* Is it too large?  Its blocks count, not its holes. */
int ghost_check(struct dump *d, const struct path_view *v) MUST_CHECK;

/* Saves the content of V once; *RET_ID is the ghost's. */
int ghost_dump(struct dump *d, const struct path_view *v, uint32_t *ret_id) MUST_CHECK;

/* Which records are ghosts: remap-fpath.img. */
int ghosts_load(struct restore *r) MUST_CHECK;

/*
 * Creates a file or directory at BASE in *DIR, or at a name beside it if there is one already.  The
 * directory of a read-only mount is exchanged for that of a copy that can be written to.
 * Returns a descriptor: O_PATH but for files, as opening devices has effects.  REG says whose
 * mounts those are.
 */
int ghost_node(struct restore *r, const RegFileEntry *reg, int *dir, const char *base,
	       const GhostFileEntry *e, char **ret_base) MUST_CHECK;

/* Makes the ghost's file at its old name, if that is free, or beside it.  *RET_NAME is the
 * caller's.  *RET_FD is a descriptor of it, borrowed, if it is to stay without a name; else -1. */
int ghost_make(struct restore *r, const RegFileEntry *e, uint32_t ghost, char **ret_name,
	       int *ret_fd) MUST_CHECK;

/* Takes the names of all ghosts away again; when everything that needs them is open, or failed. */
int ghosts_unlink(struct restore *r) MUST_CHECK;

int ghost_remap(struct dump *d, uint32_t file_id, uint32_t ghost_id) MUST_CHECK;

/* state/fd/memfd.c: memory with a descriptor, which may be closed while it is still mapped. */
bool memfd_is_map(const struct vma *v);
int memfd_dump_map(struct dump *d, const struct path_view *v, uint32_t *ret_id) MUST_CHECK;
int memfd_open_map(struct restore *r, const MemfdFileEntry *e, unsigned flags, int *ret_fd)
	MUST_CHECK;
/* 1: none is shared memory SHMID, which others map as shared anonymous memory. */
int memfd_shared(struct restore *r, uint64_t shmid, int *ret_fd) MUST_CHECK;
int memfd_seal(struct restore *r) MUST_CHECK; /* all of them, once everything is mapped */

void bpfmaps_end(struct restore *r); /* state/fd/bpfmap.c */

/* state/fd/uring.c: mappings of rings, which are the kind's own to make. */
bool uring_is_map(const struct vma *v);
bool uring_is_open(const struct dtask *t, const struct vma *v);

/* The id that path_dump_new() gave the same file before. */
bool files_known(struct dump *d, const struct path_view *v, uint32_t *ret_id);
void files_remember(struct dump *d, const struct path_view *v, uint32_t id);

/* True the first time that it is asked for this KIND and NUMBER. */
bool dump_once(struct dump *d, const char *kind, uint64_t number);

/* Counts from 1, the same for the same inode. */
uint32_t files_ghost_id(struct dump *d, const struct stat *st);
