/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree while it is being restored: its records, and what has been made of them so far.  Filled by
 * the steps of cr/restore_steps.c in their order.
 *
 * Numbers in records come from files: records_load() has checked that they lead somewhere.
 */
#pragma once

#include "agent/batch.h"
#include "image/core.pb-c.h"
#include "image/fdinfo.pb-c.h"
#include "image/fs.pb-c.h"
#include "image/image.h"
#include "image/mm.pb-c.h"
#include "image/pages.h"
#include "image/pstree.pb-c.h"
#include "image/seccomp.pb-c.h"
#include "image/userns.pb-c.h"
#include "kernel/ns.h"
#include "kernel/pace.h"
#include "state/ns/nsids.h"
#include "state/options.h"

#include <inttypes.h>
#include <jansson.h>

struct vdso_part {
	uint64_t start, bytes;
};
enum { VDSO_VVAR, VDSO_VCLOCK, VDSO_CODE, VDSO_PARTS };

struct rthread {
	struct rtask *task;
	pid_t nstid;
	unsigned slot;
	bool gone;	 /* it was to end: state/task/leader.c */
	CoreEntry *core; /* the leader's is the task's */
	/* It has directories of its own; NULL: those of its process.  Ours, until they are its. */
	FsEntry *fs;
	int cwd, root;
	/* So are its descriptors: FdinfoEntry, ascending, and which of its process become them. */
	GPtrArray *fds;
	GArray *from; /* uint32_t */
};

struct rtask {
	struct restore *restore;
	pid_t nspid, nspgid, nssid;
	int parent;    /* index in restore.tasks; -1: the root, a guest that has a stub */
	bool zombie;   /* only exits, with its code */
	bool helper;   /* not in the images: lives while the tree is made */
	unsigned slot; /* of the leader; of a living thread if that one was to end */
	bool born;
	bool traced;	 /* by another of the tree: task/traced.h */
	bool traces;	 /* others of the tree: its agents stay until these are its again */
	CoreEntry *core; /* NULL for a helper */
	MmEntry *mm;	 /* this and below: NULL or empty for zombies and helpers */
	FsEntry *fs;
	struct page_set pages;
	GPtrArray *fds;	    /* FdinfoEntry, ascending */
	uint32_t lent_from; /* the first of those that are for threads; 0: none */
	unsigned files;	    /* index of the first task that has this table of descriptors, */
	unsigned dirs, vm, sighand; /* these directories, this memory, these signal actions */
	unsigned maker;		    /* the sibling that shares with it; 0: its parent makes it */
	struct rthread *threads;
	unsigned nthreads;
	uint64_t dropped; /* from the bounding set, before its threads were made */
	json_t *extra;	  /* borrowed; may be NULL */
	unsigned nlevels; /* state/task/levels.h */
	pid_t levels[LEVELS_MAX];
	uint32_t forks;	 /* the space that its children are born in by now; 0: the box's */
	uint32_t mounts; /* the space that its mounts are of by now; 0: the box's */
	uint32_t net;	 /* of those born inside: state/sock/make.c */
	uint32_t users;	 /* the user namespace that it is in by now; 0: the box's */
	int forker;	 /* index of the task that forks it; -1: a root */
	struct stage_task *staged; /* state/mem/staged.h: some of its memory is there; or NULL */

	/* state/mem/cow.h: mappings that are there already, whose content they have */
	GArray *have;
	int have_of;
	bool settled;
};

struct guest {		  /* a process of `exec`: a root beside the first one */
	const char *name; /* borrowed from the options */
	struct stub stub;
	struct rtask *task; /* NULL: it is not in the images */
	int stdio[3];	    /* ours, of its stub's 0-2; -1 */
};

enum file_state { FILE_CLOSED, FILE_OPENING, FILE_OPEN };

struct file { /* an open file description to be */
	uint32_t id;
	const struct fd_kind *kind;
	FileEntry *entry;
	enum file_state state;
	int fd;	       /* ours; -1 */
	unsigned uses; /* by descriptors that are still to be passed on: restore.windowed */
	bool has_fd;   /* not only a mapping, or a message on its way */
	bool async;    /* O_ASYNC is still to be set */
	bool settled;  /* for kinds that do it once, in any task that has it */
};

struct restore {
	struct cryo_restore_options o;
	struct cryo_restore_stats stats;
	pid_t box; /* the root task, as we see it */
	struct stub stub;
	uint64_t caps, bounding; /* the stub's: permitted, bounding set */
	GArray *groups;		 /* gid_t: the stub's, where nobody may change them; NULL */
	int stdio[3];		 /* ours, of the stub's 0-2; -1 */
	struct agent *agent;
	struct pace pace;
	struct guest *guests; /* o.nguests */
	GPtrArray *tasks;     /* struct rtask: those of the images, parents first, then helpers */
	unsigned nimages;     /* how many of them are from the images */
	GArray *steps;	      /* struct plan_step, cr/plan.h */
	GHashTable *files;    /* id -> struct file */
	GPtrArray *locks;     /* FileLockEntry: state/lock/lock.c */
	bool windowed;	      /* more descriptions than we may have at once */
	GHashTable *gone;     /* file id -> process that had gone: state/fd/procfile.c */
	GHashTable *ghosts;   /* reg file id -> ghost id */
	GHashTable *linked;   /* reg file id -> id of that with its other name: state/fd/linked.c */
	GHashTable *adrift;   /* mounts that are attached nowhere: state/fd/adrift.c */
	GPtrArray *relinked;  /* other names, to be taken away */
	GHashTable *ghosts_made;     /* ghost id -> struct ghost: state/fd/ghost.c */
	GHashTable *fifos;	     /* pipe id -> struct pipe_ends: state/fd/fifo.c */
	GHashTable *memfds;	     /* inode id -> struct memfd: state/fd/memfd.c */
	GHashTable *pipes;	     /* pipe id -> struct pipe_ends: state/fd/pipe.c */
	struct conns_restore *conns; /* state/sock/conns.c */
	struct socks_restore *socks; /* state/sock/unix_restore.c */
	bool netlinks;		     /* messages in netlink sockets are there again */
	GHashTable *shmem;	     /* shmid -> struct shmem_restore: state/mem/shmem.c */
	GHashTable *bpfmaps;	     /* map_id -> content: state/fd/bpfmap.c */
	GPtrArray *traced;	     /* struct tracee: state/task/traced.h */
	bool tracers;		     /* these have theirs again */
	GHashTable *urings;	     /* file id -> struct uring: state/fd/uring.h */
	GHashTable *mqueues;	     /* inode -> our descriptor + 1: state/ns/mqueue.c */
	GHashTable *shms;	     /* number -> struct shm: state/ns/ipc_shm.c */
	struct ttys *ttys;	     /* state/tty/pty.h */
	GHashTable *named;	     /* ids of files that only name a terminal */
	SeccompEntry *seccomp;
	struct nsids nsids;
	uint32_t ipc_id;		   /* the IPC namespace that is being made */
	unsigned depth;			   /* pid namespaces between ours and the box's */
	GPtrArray *spaces;		   /* struct rspace: state/ns/spaces.h */
	int home[NS_COUNT];		   /* the box's namespaces, as far as asked for; -1 */
	UsernsEntry *users;		   /* maps of its own user namespace, or NULL */
	json_t *extra;			   /* IMAGE_EXTRA; may be NULL */
	int root;			   /* O_PATH: the root of the box's mount namespace */
	struct vdso_part vdso[VDSO_PARTS]; /* the stub's */
	uint64_t hole;	     /* where the agent and, meanwhile, the vdso are in all tasks */
	unsigned big, small; /* slots */
	unsigned channel;    /* number of the agents' descriptor channel: nobody's own */
	size_t xstate_bytes; /* of this CPU's extended state; 0: not known yet */
};

/* Bytes at the start of the hole, below the agent, where the parts of the vdso wait. */
#define HOLE_VDSO_BYTES 0x200000u

static inline struct rtask *restore_task(const struct restore *r, unsigned i)
{
	return g_ptr_array_index(r->tasks, i);
}

/* "task 12 (nginx): <story>" around the error of a task. */
int rtask_wrap(const struct rtask *t, int err) MUST_CHECK;

static inline void rtask_batch(struct rtask *t, struct batch *b)
{
	batch_begin(b, t->restore->agent, t->slot);
}
static inline void rthread_batch(struct rthread *h, struct batch *b)
{
	batch_begin(b, h->task->restore->agent, h->slot);
}

/* The task as we see it. */
static inline pid_t rtask_pid(const struct rtask *t)
{
	return agent_tid(t->restore->agent, t->slot);
}

/* Our descriptor that was handed in under NAME; -1: none. */
int restore_inherited(const struct restore *r, const char *name);

/* The file of this id, open as ->fd.  -ELOOP: it is being opened (it needs itself). */
int restore_file(struct restore *r, uint32_t id, struct file **ret) MUST_CHECK;
